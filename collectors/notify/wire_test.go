package notify

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/syslog"
)

// readFrames reads messages framed by octet count until the end.
func readFrames(t *testing.T, conn net.Conn) (out []string) {
	t.Helper()
	r := bufio.NewReader(conn)
	for {
		n, err := r.ReadString(' ')
		if errors.Is(err, io.EOF) && n == "" {
			return out
		}
		size, err := strconv.Atoi(strings.TrimSpace(n))
		if err != nil {
			t.Errorf("no octet count: %q", n)
			return out
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			t.Error(err)
			return out
		}
		out = append(out, string(b))
	}
}

const wantLine = `<27>1 2025-11-26T11:00:00.000Z acme-berlin siteprobe - incident_open [siteprobe@32473 what="open" id="device/core-sw1@7f3a"` +
	` key="device/core-sw1" kind="device_down" cause="device_down" owner="customer" severity="error" source="device/core-sw1" affected="4"` +
	` since="2025-11-26T10:57:00Z"] ` + "\ufeff" + `Device does not answer: core-sw1 (in charge: the site) - core-sw1 does not answer; 3 devices behind it cannot be seen.`

func TestSyslog(t *testing.T) {
	m := messageOf(t, "en", item{What: whatOpen, Note: switchDown()})
	cert, ca := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	for _, transport := range []string{UDP, TCP, UseTLS} {
		t.Run(transport, func(t *testing.T) {
			c := Config{Name: "log", Syslog: &Syslog{Transport: transport}}
			got := make(chan []string, 1)
			if transport == UDP {
				l, err := net.ListenPacket("udp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				c.Syslog.Server = l.LocalAddr().String()
				go func() {
					b := make([]byte, 4096)
					n, _, _ := l.ReadFrom(b)
					got <- []string{string(b[:n])}
				}()
			} else {
				l := listen(t)
				c.Syslog.Server = l.Addr().String()
				if transport == UseTLS {
					c.Syslog.TLS.CA = ca
					l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
				}
				go func() {
					conn, err := l.Accept()
					if err != nil {
						got <- nil
						return
					}
					defer conn.Close()
					got <- readFrames(t, conn)
				}()
			}
			if err := try(t, c, m); err != nil {
				t.Fatal(err)
			}
			if lines := <-got; len(lines) != 1 || lines[0] != wantLine {
				t.Errorf("got %q,\nwant %q", lines, wantLine)
			}
		})
	}
	for _, transport := range []string{UDP, TCP} { // nothing listens
		l := listen(t)
		c := Config{Name: "log", Syslog: &Syslog{Server: l.Addr().String(), Transport: transport}}
		_ = l.Close()
		if err := try(t, c, m); HintOf(err) == "" {
			t.Errorf("%s: %v", transport, err)
		}
	}
}

// Our own receiver reads it, whatever devices call themselves.
func TestSyslogIsUnderstood(t *testing.T) {
	n := switchDown()
	n.Source, n.Summary = `device/sw"]\ [x@1 a="b"]`, "two\nlines ü"
	m := messageOf(t, "en", item{What: whatOpen, Note: n}, item{What: whatClose, Note: n})
	lines := (&logger{}).lines(m)
	if len(lines) != 2 {
		t.Fatalf("%q", lines)
	}
	got, ok := syslog.Parse(lines[0])
	if !ok || got.Host != "acme-berlin" || got.ID != "incident_digest" || got.App != "siteprobe" || !strings.HasSuffix(got.Text, "two lines ü") {
		t.Errorf("%+v", got)
	}
	if !bytes.Contains(lines[0], []byte(` source="device/sw\"\]\\ [x@1 a=\"b\"\]"`)) {
		t.Errorf("%s", lines[0])
	}
}

func TestWebhook(t *testing.T) {
	var got hook
	var header http.Header
	var body []byte
	status := http.StatusNoContent
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/hook", http.StatusTemporaryRedirect)
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, canary)
	})
	plain, secure := httptest.NewServer(handler), httptest.NewUnstartedServer(handler)
	defer plain.Close()
	cert, ca := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	secure.StartTLS()
	defer secure.Close()
	n := switchDown()
	n.Evidence = "ab12"
	m := messageOf(t, "en", item{What: whatOpen, Note: n})
	for _, c := range []Webhook{{URL: plain.URL + "/hook?token=" + canary, Secret: canary}, {URL: secure.URL + "/hook", Secret: canary, TLS: TLS{CA: ca}}} {
		if err := try(t, Config{Name: "hook", Webhook: &c}, m); err != nil {
			t.Fatal(err)
		}
		if want := Sign(canary, noon, body); header.Get(SignatureHeader) != want || !strings.HasPrefix(want, "t=1764154800,v1=") || len(want) != len("t=1764154800,v1=")+64 {
			t.Errorf("signature %q, want %q", header.Get(SignatureHeader), want)
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		x := got.Incidents[0]
		if got.What != whatOpen || got.Delivery != header.Get(DeliveryHeader) || x.ID != n.ID || x.Severity != "error" || x.Count != 4 || x.Card.Name != "device_down" || !x.Since.Equal(n.First) {
			t.Errorf("%+v", got)
		}
		if bytes.Contains(body, []byte("canary")) {
			t.Errorf("the body holds a secret: %s", body)
		}
	}
	for code, want := range map[int]struct {
		hint    string
		refused bool
	}{401: {"signature", false}, 404: {"POST", false}, 422: {"does not understand", true}, 503: {"trouble of its own", false}} {
		status = code
		err := try(t, Config{Name: "hook", Webhook: &Webhook{URL: plain.URL + "/" + canary, Secret: canary}}, m)
		var f *Failure
		if !errors.As(err, &f) || !strings.Contains(f.Hint, want.hint) || f.Refused != want.refused {
			t.Errorf("%d: %v, %+v", code, err, f)
		}
	}
	if err := try(t, Config{Name: "hook", Webhook: &Webhook{URL: plain.URL + "/away", Secret: canary}}, m); !strings.Contains(HintOf(err), "redirect") {
		t.Errorf("%v", err)
	}
}

// fixed resolves every name to one address.
type fixed netip.Addr

func (f fixed) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.Addr(f)}, nil
}

// A name that leads elsewhere than to the site is no way out of it.
func TestNamesLeadWhereTheyMay(t *testing.T) {
	for address, want := range map[string]string{"169.254.169.254": "refused", "127.0.0.1": "refused", "198.51.100.1": "refused"} {
		c := Config{Name: "x", Webhook: &Webhook{URL: "http://tickets.acme.example/", Secret: canary}}
		s, err := newSender(c, Options{Resolver: fixed(netip.MustParseAddr(address))})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.send(t.Context(), messageOf(t, "en")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}
