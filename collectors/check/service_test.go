package check

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// elsewhere is a dialer that leads names to servers of the test.
type elsewhere struct {
	scope
	to map[string]string
}

func (e *elsewhere) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := e.permit(address); err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, e.to[address])
}

func TestService(t *testing.T) {
	ca, now := newAuthority(t), time.Now()
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	issue := func(name string) *httptest.Server {
		return serveTLS(t, ca.issue(t, name, now.Add(-time.Hour), now.Add(time.Hour)))
	}
	good, portal := issue("a.test"), issue("portal.test")
	second := issue("b.test")
	status := http.StatusFound
	second.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://out.of.scope.test/")
		w.WriteHeader(status)
	})
	for _, test := range []struct {
		name    string
		second  *httptest.Server
		status  int
		reason  string
		success string
	}{
		{"all answer, one elsewhere", second, http.StatusFound, "", "1"},
		{"one has trouble", second, http.StatusServiceUnavailable, "status 503", "0"},
		{"a captive portal", portal, http.StatusOK, "certificate of another name", "0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status = test.status
			d := &elsewhere{to: map[string]string{"a.test:443": good.Listener.Addr().String(), "b.test:443": test.second.Listener.Addr().String()}}
			hosts := []string{"a.test", "b.test"}
			c := mustNew(t, Config{Service: "teams"}, d, Options{})
			var metrics []metric
			metrics = append(metrics, commonMetrics()...)
			for _, h := range hosts {
				metrics = append(metrics, targetMetrics(h)...)
			}
			c.layout = newLayout(c.source, c.layout.schema.Series[0].Labels, metrics)
			c.probe = visitAll(hosts, func() *opener { return &opener{dialer: d, now: time.Now, roots: pool} })
			r := collect(t, c)
			if test.reason == "" {
				r.up()
			} else {
				r.down(test.reason)
			}
			r.want("probe_target_success/a.test=1", "probe_target_success/b.test="+test.success, "probe_target_ssl_earliest_cert_expiry/a.test=*")

			d.refused = []string{"b.test"}
			if err := refuse(t, c); !errors.Is(err, ErrOutOfScope) {
				t.Errorf("out of scope: %v", err)
			}
		})
	}
}
