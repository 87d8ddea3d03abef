package snmp

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

func clientOf(t *testing.T, address string, opts ...Option) *Client {
	t.Helper()
	c, err := Dial(t.Context(), Config{Address: address, Credentials: []Credential{v2c("wrong"), v2c("public")}, Timeout: 200e6}, scopeOf("127.0.0.0/8"), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestClient(t *testing.T) {
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(30)})
	c := clientOf(t, agent.Addr().String())
	if c.Credential() != "public" {
		t.Errorf("credential %q", c.Credential())
	}
	got, err := c.Get(t.Context(), pdu.MustOID("1.3.6.1.2.1.1.5.0"), pdu.MustOID("1.3.9.0"))
	if err != nil || len(got) != 2 || string(got[0].Bytes) != "switch" || !got[1].Absent() {
		t.Errorf("Get: %v %v", got, err)
	}
	walk := func(l Limits, stop int, roots ...string) (n int, err error) {
		var oids [][]byte
		for _, r := range roots {
			oids = append(oids, pdu.MustOID(r))
		}
		err = c.Walk(t.Context(), l, func(v pdu.Varbind) bool { n++; return n != stop }, oids...)
		return n, err
	}
	if n, err := walk(Limits{}, 0, ifx+"1", ifx+"6"); n != 60 || err != nil {
		t.Errorf("two columns: %d %v", n, err)
	}
	if n, err := walk(Limits{}, 0, "1.3.9"); n != 0 || err != nil {
		t.Errorf("nothing: %d %v", n, err)
	}
	if n, err := walk(Limits{Variables: 7}, 0, ifx+"1"); n != 7 || !errors.Is(err, errTooManyVariables) {
		t.Errorf("a limit of variables: %d %v", n, err)
	}
	if _, err := walk(Limits{Requests: 1}, 0, "1.3.6.1"); !errors.Is(err, errTooMany) {
		t.Errorf("a limit of requests: %v", err)
	}
	if n, err := walk(Limits{}, 5, ifx+"1"); n != 5 || err != nil {
		t.Errorf("stopped: %d %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Walk(ctx, Limits{}, func(pdu.Varbind) bool { return true }, pdu.MustOID("1.3.6.1")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	is, err := c.Interfaces(t.Context())
	if err != nil || len(is) != 30 {
		t.Fatalf("%d interfaces: %v", len(is), err)
	}
	if diff := cmp.Diff(Interface{Index: 30, Name: "Gi1/0/30", Descr: is[29].Descr, SpeedBPS: 1e9, Oper: 1, Admin: 1}, is[29]); diff != "" {
		t.Error(diff)
	}
}

func TestIdentify(t *testing.T) {
	mib := snmptest.Switch(1)
	mib.Set("1.3.9.7.5", snmptest.Octets("SN-1\x00"))
	agent := serve(t, snmptest.Config{MIB: mib})
	p := &profile.Profile{Name: "tester", Device: profile.Device{Class: "switch", Fields: map[string][]profile.Field{
		"vendor":        {{Value: "Siteprobe"}},
		"serial_number": {{OID: pdu.MustOID("1.3.9.7.4")}, {OID: pdu.MustOID("1.3.9.7.5")}},
	}}}
	c := clientOf(t, agent.Addr().String(), WithKinds(NewKinds(always{p})))
	d, err := c.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Device{SysName: "switch", SysObjectID: "1.3.6.1.4.1.8072.9999.1", SysDescr: "Siteprobe test switch, 1 ports",
		Profile: "tester", Class: "switch", Vendor: "Siteprobe", Serial: "SN-1"}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	if m := c.Manners(); m.Credential != "public" || m.Version != "2c" || m.NoBulk {
		t.Errorf("manners %+v", m)
	}
}

func TestDialFails(t *testing.T) {
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(1), Manners: snmptest.Manners{DropEvery: 1}})
	_, err := Dial(t.Context(), Config{Address: agent.Addr().String(), Credentials: []Credential{v2c("x")}, Timeout: 20e6}, scopeOf("127.0.0.0/8"))
	if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), agent.Addr().String()) {
		t.Errorf("error %v", err)
	}
}

// TestOneAttempt: a wrong credential is heard once, in whatever version.
func TestOneAttempt(t *testing.T) {
	for _, version := range []string{"1", "2c"} {
		agent := serve(t, snmptest.Config{MIB: snmptest.Switch(1)})
		wrong := v2c("wrong")
		wrong.Auth.Version = version
		cfg := Config{Address: agent.Addr().String(), Credentials: []Credential{wrong}, Timeout: 200e6}
		if _, err := Dial(t.Context(), cfg, scopeOf("127.0.0.0/8"), OneAttempt()); !errors.Is(err, ErrNoAnswer) {
			t.Errorf("version %s: %v", version, err)
		}
		if n, _ := agent.Requests(); n != 1 {
			t.Errorf("version %s: %d requests", version, n)
		}
	}
}
