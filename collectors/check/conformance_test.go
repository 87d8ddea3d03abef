package check

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/collectortest"
)

// closedPort is an address of loopback at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Every kind that speaks a protocol keeps to what a collector promises, and to itself
// what it is to keep to itself.
func TestConformance(t *testing.T) {
	const token = "s3cret-token-of-a-check"
	ca, now := newAuthority(t), time.Now()
	cert := ca.issue(t, "dc1.test", now.Add(-time.Hour), now.Add(time.Hour))
	exporter := func(t *testing.T) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, exposition) }))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	for kind, test := range map[string]struct {
		good func(t *testing.T) string
		of   func(address string) Config
	}{
		"tls":  {func(t *testing.T) string { return serveTLS(t, cert).Listener.Addr().String() }, func(a string) Config { return Config{TLS: &TLS{Address: a, ServerName: "dc1.test", CA: ca.file}} }},
		"smtp": {func(t *testing.T) string { return scripted(t, nil, "S: 220 x\nC: QUIT") }, func(a string) Config { return Config{Banner: &Banner{Protocol: "smtp", Address: a}} }},
		"ldap": {func(t *testing.T) string { return directory{cert: &cert, entries: 1}.serve(t) }, func(a string) Config {
			return Config{LDAP: &LDAP{Address: a, StartTLS: true, ServerName: "dc1.test", CA: ca.file, BindDN: "cn=probe", Password: token}}
		}},
		"prometheus": {exporter, func(a string) Config {
			return Config{Prometheus: &Prometheus{URL: "http://" + a + "/metrics?key=" + token, BasicAuth: &BasicAuth{"probe", token}, Metrics: []Pick{{Name: "node_.*"}}}}
		}},
	} {
		t.Run(kind, func(t *testing.T) {
			collectortest.Run(t, func(t *testing.T) collectortest.Subject {
				make := func(address string) collectors.Collector { return mustNew(t, test.of(address), &scope{}, Options{}) }
				return collectortest.Subject{
					Collector: make(test.good(t)), Source: "check/test",
					Broken: make(closedPort(t)), Silent: make(serveTCP(t, mute)), Secrets: []string{token},
				}
			})
		})
	}
}
