package scope

import (
	"context"
	"net/netip"
	"strings"
	"testing"
)

// says is a resolver that gives one answer to every question.
type says struct{ addr netip.Addr }

func (s says) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{s.addr}, nil
}

// FuzzResolve: whatever is asked for and whatever a name leads to, an address that
// comes out is one of the contract.
func FuzzResolve(f *testing.F) {
	for _, host := range []string{"10.1.2.3", "::ffff:10.2.0.1", "0x0a010203", "10.66051", "[::1]", "fe80::1%eth0", "mail.test", "MAIL.test.", "mail.test\x00", "", ".", "64:ff9b::a01:203", "１０.1.1.1"} {
		f.Add(host, uint16(443), []byte{52, 96, 0, 1})
	}
	f.Add("mail.test", uint16(443), netip.MustParseAddr("::ffff:127.0.0.1").AsSlice())
	f.Add("mail.test", uint16(443), netip.MustParseAddr("2002:7f00:1::").AsSlice())
	cfg := Config{Managed: []string{"10.1.0.0/16"}, Excluded: []string{"10.1.2.0/24", "52.0.0.0/16"}, External: []string{"mail.test:443"}}
	f.Fuzz(func(t *testing.T, host string, port uint16, answer []byte) {
		addr, _ := netip.AddrFromSlice(answer)
		d := dialer(t, cfg, says{addr})
		all, err := d.ResolveAll(t.Context(), host, port)
		if err != nil {
			if len(all) > 0 || strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Errorf("%v with %q", all, err)
			}
			return
		}
		for _, ap := range all {
			a := ap.Addr()
			managed := strings.HasPrefix(a.String(), "10.1.") && !strings.HasPrefix(a.String(), "10.1.2.")
			external := strings.EqualFold(strings.TrimSuffix(host, "."), "mail.test") && port == 443 && a == addr.Unmap() &&
				a.IsGlobalUnicast() && !a.IsPrivate() && !strings.HasPrefix(a.String(), "52.0.")
			if !managed && !external || ap.Port() != port || a.Is4In6() || a.Zone() != "" {
				t.Errorf("%q port %d with answer %v gives %v", host, port, addr, ap)
			}
			if err := d.Control("tcp", ap.String(), nil); managed && err != nil {
				t.Errorf("Resolve and Control disagree: %v", err)
			}
		}
	})
}

// FuzzConfig: what Validate takes is a contract that a dialer can be made of, and
// no entry of it is wider than it may be.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "::/0", "mail.test:443", "[::1]:80", "1.2.3.4:5", "[", "]:1", "a:b:c", "%", "/"} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, managed, excluded, external string) {
		cfg := Config{Managed: []string{managed}, Excluded: []string{excluded}, External: []string{external}}
		r, err := cfg.rules()
		if (err == nil) != (cfg.Validate() == nil) {
			t.Fatal("Validate and New disagree")
		}
		if err != nil {
			return
		}
		if p := r.managed[0]; p != p.Masked() || p.Addr().Is4() && p.Bits() < 8 || p.Bits() < 7 {
			t.Errorf("%q is %v", managed, p)
		}
		if e := r.external[0]; (e.name == "") == !e.addr.IsValid() {
			t.Errorf("%q is %+v", external, e)
		}
	})
}
