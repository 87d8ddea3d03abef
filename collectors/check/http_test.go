package check

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// authority is a CA for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return authority{cert, key, file}
}

// issue makes a server certificate for a name.
func (a authority) issue(t *testing.T, name string, from, to time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: from, NotAfter: to,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func serveTLS(t *testing.T, cert tls.Certificate) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "all is well")
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func portOf(s *httptest.Server) string {
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return port
}

func TestHTTPCertificates(t *testing.T) {
	ca, now := newAuthority(t), time.Now()
	hour := func(n time.Duration) time.Time { return now.Add(n * time.Hour).Truncate(time.Second) }
	names := &scope{names: map[string]netip.Addr{"web.test": netip.MustParseAddr("127.0.0.1")}}
	for _, test := range []struct {
		name     string
		host     string
		from, to time.Time
		cfg      HTTP
		reason   string
	}{
		{"good", "web.test", hour(-1), hour(1), HTTP{CA: ca.file}, ""},
		{"expired", "web.test", hour(-2), hour(-1), HTTP{CA: ca.file}, "certificate expired"},
		{"from the future", "web.test", hour(1), hour(2), HTTP{CA: ca.file}, "certificate not yet valid"},
		{"wrong name", "other.test", hour(-1), hour(1), HTTP{CA: ca.file}, "certificate of another name"},
		{"unknown authority", "web.test", hour(-1), hour(1), HTTP{}, "certificate of an unknown authority"},
		{"expired, but insecure", "web.test", hour(-2), hour(-1), HTTP{Insecure: true}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serveTLS(t, ca.issue(t, test.host, test.from, test.to))
			test.cfg.URL = "https://web.test:" + portOf(s) + "/"
			r := collect(t, mustNew(t, Config{HTTP: &test.cfg}, names, Options{}))
			expiry := strconv.FormatInt(test.to.Unix(), 10)
			if test.reason != "" {
				r.down(test.reason)
				r.want("probe_http_status_code=", "probe_http_ssl=", "probe_http_duration_seconds/tls=")
			} else {
				r.up()
				r.want("probe_http_status_code=200", "probe_http_ssl=1", "probe_http_duration_seconds/tls=*",
					"probe_http_content_length=11", "probe_http_redirects=0")
			}
			r.want("probe_ssl_earliest_cert_expiry=" + expiry)
		})
	}
}

func TestHTTPJudgesCertificatesByTheClockItIsGiven(t *testing.T) {
	ca := newAuthority(t)
	s := serveTLS(t, ca.issue(t, "web.test", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
	names := &scope{names: map[string]netip.Addr{"web.test": netip.MustParseAddr("127.0.0.1")}}
	cfg := Config{HTTP: &HTTP{URL: "https://web.test:" + portOf(s), CA: ca.file}}
	later := func() time.Time { return time.Now().Add(2 * time.Hour) }
	collect(t, mustNew(t, cfg, names, Options{Now: later})).down("certificate expired")
}

func TestHTTPCAFileThatCannotBeReadIsNotDown(t *testing.T) {
	cfg := Config{HTTP: &HTTP{URL: "https://127.0.0.1:1/", CA: filepath.Join(t.TempDir(), "none.pem")}}
	if err := refuse(t, mustNew(t, cfg, &scope{}, Options{})); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestHTTP(t *testing.T) {
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "all is well") })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", "/loop"); w.WriteHeader(302) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", "ok"); w.WriteHeader(301) })
	mux.HandleFunc("/file", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "file:///etc/passwd")
		w.WriteHeader(302)
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 2*maxHeaders))
	})
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		for range 64 { // ends early when nobody reads on
			if _, err := w.Write(make([]byte, maxBody/8)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "one moment")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/mute", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/hangup", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	no := false

	for _, test := range []struct {
		name   string
		cfg    HTTP // the URL is a path here
		reason string
		also   []string
	}{
		{"ok", HTTP{URL: "/ok"}, "", []string{"probe_http_status_code=200", "probe_http_ssl=0", "probe_ssl_earliest_cert_expiry=",
			"probe_failed_due_to_regex=", "probe_http_duration_seconds/resolve=0", "probe_http_duration_seconds/connect=*",
			"probe_http_duration_seconds/tls=", "probe_http_duration_seconds/processing=*", "probe_http_duration_seconds/transfer=*"}},
		{"head", HTTP{URL: "/ok", Method: "HEAD"}, "", []string{"probe_http_content_length=11"}},
		{"match", HTTP{URL: "/ok", Body: "^all.*well$"}, "", []string{"probe_failed_due_to_regex=0"}},
		{"no match", HTTP{URL: "/ok", Body: "ill"}, "body does not match", []string{"probe_failed_due_to_regex=1", "probe_http_status_code=200"}},
		{"status", HTTP{URL: "/broken"}, "status 503", []string{"probe_http_status_code=503"}},
		{"status as expected", HTTP{URL: "/broken", Status: []int{200, 503}}, "", nil},
		{"redirect", HTTP{URL: "/moved"}, "", []string{"probe_http_redirects=1", "probe_http_status_code=200"}},
		{"redirect not followed", HTTP{URL: "/moved", FollowRedirects: &no}, "status 301", []string{"probe_http_redirects=0"}},
		{"redirect as expected", HTTP{URL: "/moved", FollowRedirects: &no, Status: []int{301}}, "", nil},
		{"loop", HTTP{URL: "/loop"}, "too many redirects", []string{"probe_http_redirects=10"}},
		{"redirect to a file", HTTP{URL: "/file"}, "redirect to an invalid address", nil},
		{"endless headers", HTTP{URL: "/headers"}, "response failed", []string{"probe_http_status_code="}},
		{"huge body", HTTP{URL: "/huge", Body: "^\x00"}, "", []string{"probe_http_content_length="}},
		{"slow body", HTTP{URL: "/slow"}, "timeout: body", []string{"probe_http_status_code=200"}},
		{"no response", HTTP{URL: "/mute?token=hush"}, "timeout: response", nil},
		{"hang up", HTTP{URL: "/hangup?token=hush"}, "connection closed", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.URL = s.URL + test.cfg.URL
			timeout := 10 * time.Second
			if strings.HasPrefix(test.reason, "timeout") {
				timeout = 150 * time.Millisecond
			}
			r := collect(t, mustNew(t, Config{Timeout: timeout, HTTP: &test.cfg}, &scope{}, Options{}))
			if test.reason == "" {
				r.up()
			} else {
				r.down(test.reason)
			}
			r.want(test.also...)
		})
	}
}

func TestHTTPServerThatDoesNotSpeakIt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 mail.test ESMTP\r\n")
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	address := l.Addr().String()
	collect(t, mustNew(t, Config{HTTP: &HTTP{URL: "http://" + address}}, &scope{}, Options{})).down("response failed")
	collect(t, mustNew(t, Config{HTTP: &HTTP{URL: "https://" + address}}, &scope{}, Options{})).down("tls: not a TLS server")
}

// A redirect must lead out of the scope no more than a URL of the site file, and
// what the site file gives for one host must not reach another.
func TestHTTPRedirectToAnotherHost(t *testing.T) {
	type seen struct{ secret, user, referer string }
	got := map[string]seen{}
	note := func(r *http.Request) {
		user, _, _ := r.BasicAuth()
		got[r.URL.Path] = seen{r.Header.Get("X-Api-Key"), user, r.Referer()}
	}
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { note(r) }))
	t.Cleanup(other.Close)
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note(r)
		w.Header().Set("Location", fmt.Sprintf("http://u:p@inside.test:%s/second", portOf(other)))
		w.WriteHeader(302)
	}))
	t.Cleanup(first.Close)
	cfg := Config{HTTP: &HTTP{
		URL:       first.URL + "/first?token=hush",
		Headers:   map[string]collectors.Secret{"X-Api-Key": "hush"},
		BasicAuth: &BasicAuth{Username: "probe", Password: "hush"},
	}}
	d := &scope{names: map[string]netip.Addr{"inside.test": netip.MustParseAddr("127.0.0.1")}}
	r := collect(t, mustNew(t, cfg, d, Options{}))
	r.up()
	r.want("probe_http_redirects=1")
	if want := (seen{"hush", "probe", ""}); got["/first"] != want {
		t.Errorf("first request: %+v, want %+v", got["/first"], want)
	}
	if want := (seen{}); got["/second"] != want {
		t.Errorf("second request: %+v, want nothing of the first", got["/second"])
	}

	delete(got, "/second")
	d.refused = []string{"inside.test"}
	err := refuse(t, mustNew(t, cfg, d, Options{}))
	if !errors.Is(err, ErrOutOfScope) || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v, want one that wraps ErrOutOfScope", err)
	}
	if _, ok := got["/second"]; ok {
		t.Error("the refused host was contacted")
	}
}

func TestHTTPIgnoresProxiesOfTheEnvironment(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.9:3128")
	d := &scope{names: map[string]netip.Addr{"web.test": netip.MustParseAddr("127.0.0.1")}}
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	cfg := Config{HTTP: &HTTP{URL: "http://web.test:" + portOf(s), Headers: map[string]collectors.Secret{"Host": "intranet"}}}
	collect(t, mustNew(t, cfg, d, Options{})).down("status 404")
	if len(d.asked) != 1 || !strings.HasPrefix(d.asked[0], "web.test:") {
		t.Errorf("contacted %v", d.asked)
	}
}
