package scope

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// names is a resolver that gives the next of a name's answers at each lookup, and
// the last one from then on.
type names struct {
	mu      sync.Mutex
	answers map[string][]string // of each name: addresses, separated by spaces
	asked   int
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	left := n.answers[host]
	if len(left) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(left) > 1 {
		n.answers[host] = left[1:]
	}
	var out []netip.Addr
	for _, s := range strings.Fields(left[0]) {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

func dialer(t *testing.T, cfg Config, r Resolver) *Dialer {
	t.Helper()
	d, err := New(cfg, r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// refused tells whether err is a refusal.
func refused(err error) bool {
	var r *RefusedError
	return errors.As(err, &r) && r.OutOfScope()
}

// server counts what arrives at a loopback address, whether it speaks HTTP or not.
type server struct {
	*httptest.Server
	accepted atomic.Int64
}

func listen(t *testing.T, address string, h http.HandlerFunc) *server {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("no loopback address for the test: %v", err)
	}
	s := new(server)
	s.Server = &httptest.Server{Listener: l, Config: &http.Server{
		Handler: h,
		ConnState: func(_ net.Conn, st http.ConnState) {
			if st == http.StateNew {
				s.accepted.Add(1)
			}
		},
	}}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *server) port() string {
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return port
}

func TestDialContext(t *testing.T) {
	in := listen(t, "127.0.0.2:0", nil)
	out := listen(t, "127.0.0.3:"+in.port(), nil)
	d := dialer(t, Config{Managed: []string{"127.0.0.0/8"}, Excluded: []string{"127.0.0.3"}}, &names{answers: map[string][]string{
		"in.test": {"127.0.0.2"}, "out.test": {"127.0.0.3"}, "both.test": {"127.0.0.3 127.0.0.2"}, "mapped.test": {"::ffff:127.0.0.3"},
	}})
	ctx := t.Context()
	for _, host := range []string{"127.0.0.2", "[::ffff:127.0.0.2]", "in.test", "both.test"} {
		conn, err := d.DialContext(ctx, "tcp", host+":"+in.port())
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if got := conn.RemoteAddr().String(); got != "127.0.0.2:"+in.port() {
			t.Errorf("%s leads to %s", host, got)
		}
		conn.Close()
	}
	before := d.Refused()
	bad := []string{"127.0.0.3", "[::ffff:127.0.0.3]", "out.test", "mapped.test", "0", "127.3", "0x7f000003", "0177.0.0.3", "2130706435", "", "0.0.0.0", "[::]", "[fe80::1%25lo]", "a b", "in.test\n"}
	for _, host := range bad {
		conn, err := d.DialContext(ctx, "tcp", host+":"+in.port())
		if !refused(err) {
			t.Errorf("%q: %v, %v", host, conn, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%q: its error has several lines", host)
		}
	}
	if got := d.Refused() - before; got != uint64(len(bad)) {
		t.Errorf("%d refusals counted, want %d", got, len(bad))
	}
	for _, network := range []string{"unix", "ip4:icmp", "", "TCP", "unixgram"} {
		if _, err := d.DialContext(ctx, network, "127.0.0.2:"+in.port()); !refused(err) {
			t.Errorf("network %q: %v", network, err)
		}
	}
	for _, address := range []string{"127.0.0.2", "127.0.0.2:http", "127.0.0.2:0", "127.0.0.2:70000", "127.0.0.2:-1"} {
		if _, err := d.DialContext(ctx, "tcp", address); err == nil {
			t.Errorf("%s: no error", address)
		}
	}
	if _, err := d.DialContext(ctx, "tcp6", "127.0.0.2:"+in.port()); err == nil {
		t.Error("tcp6 to an IPv4 address")
	}
	if n := out.accepted.Load(); n != 0 {
		t.Errorf("the excluded server was contacted %d times", n)
	}
}

func TestErrors(t *testing.T) {
	d := dialer(t, Config{Managed: []string{"127.0.0.1"}}, &names{answers: map[string][]string{"evil.test": {"10.0.0.1"}, "empty.test": {""}}})
	_, err := d.DialContext(t.Context(), "tcp", "evil.test:80")
	if want := "contacting evil.test:80 at 10.0.0.1 is refused: it is neither under scope.managed nor under scope.external"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, name := range []string{"unknown.test", "empty.test"} {
		var dns *net.DNSError
		if _, err := d.Resolve(t.Context(), name, 80); !errors.As(err, &dns) || refused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := d.Allowed(netip.MustParseAddr("10.0.0.1"), 161); !refused(err) || !strings.Contains(err.Error(), "10.0.0.1:161") {
		t.Errorf("got %v", err)
	}
	if err := d.Allowed(netip.MustParseAddr("127.0.0.1"), 0); err != nil {
		t.Error(err)
	}
	if n := d.Refused(); n != 1 {
		t.Errorf("%d refusals, want the one of the dial", n)
	}
}

func TestResolve(t *testing.T) {
	d := dialer(t, Config{Managed: []string{"10.0.0.0/8"}, External: []string{"mail.test:443"}}, &names{answers: map[string][]string{
		"mail.test": {"192.168.1.1 52.96.0.1 ::ffff:10.1.1.1 127.0.0.1 2603::1"},
	}})
	all, err := d.ResolveAll(t.Context(), "mail.test", 443)
	if err != nil || len(all) != 3 || all[0].String() != "52.96.0.1:443" || all[1].String() != "10.1.1.1:443" || all[2].String() != "[2603::1]:443" {
		t.Errorf("%v, %v", all, err)
	}
	one, err := d.Resolve(t.Context(), "mail.test", 25) // external for another port
	if err != nil || one.String() != "10.1.1.1:25" {
		t.Errorf("%v, %v", one, err)
	}
	if one, err := d.Resolve(t.Context(), "::ffff:10.2.2.2", 0); err != nil || one.Addr().String() != "10.2.2.2" {
		t.Errorf("%v, %v", one, err)
	}
}

// TestRebinding: a name that changes its answer between the check and the use.
func TestRebinding(t *testing.T) {
	in := listen(t, "127.0.0.2:0", nil)
	out := listen(t, "127.0.0.3:"+in.port(), nil)
	r := &names{answers: map[string][]string{"rebind.test": {"127.0.0.2", "127.0.0.3"}, "mail.test": {"52.96.0.1", "127.0.0.3"}}}
	d := dialer(t, Config{Managed: []string{"127.0.0.2"}, External: []string{"mail.test:443"}}, r)
	conn, err := d.DialContext(t.Context(), "tcp", "rebind.test:"+in.port())
	if err != nil || r.asked != 1 {
		t.Fatalf("%v after %d lookups", err, r.asked)
	}
	if got := conn.RemoteAddr().String(); !strings.HasPrefix(got, "127.0.0.2:") {
		t.Errorf("connected to %s", got)
	}
	conn.Close()
	if _, err := d.DialContext(t.Context(), "tcp", "rebind.test:"+in.port()); !refused(err) {
		t.Errorf("the second answer: %v", err)
	}
	if _, err := d.Resolve(t.Context(), "mail.test", 443); err != nil {
		t.Error(err)
	}
	if _, err := d.Resolve(t.Context(), "mail.test", 443); !refused(err) {
		t.Errorf("an external name that leads inside: %v", err)
	}
	if n := out.accepted.Load(); n != 0 {
		t.Errorf("the server out of scope was contacted %d times", n)
	}
}

func TestRedirects(t *testing.T) {
	out := listen(t, "127.0.0.3:0", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	in := listen(t, "127.0.0.2:"+out.port(), func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, "http://"+to+":"+out.port()+"/", http.StatusFound)
		}
	})
	t.Setenv("HTTP_PROXY", out.URL)
	t.Setenv("http_proxy", out.URL)
	d := dialer(t, Config{Managed: []string{"127.0.0.2"}}, &names{answers: map[string][]string{"out.test": {"127.0.0.3"}, "in.test": {"127.0.0.2"}}})
	transport := d.HTTPTransport()
	if transport.Proxy != nil {
		t.Error("the transport uses a proxy")
	}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	get := func(to string) (int, error) {
		resp, err := client.Get(in.URL + "/?to=" + to)
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	for _, to := range []string{"", "127.0.0.2", "in.test"} {
		if code, err := get(to); code != http.StatusOK {
			t.Errorf("%q: %d, %v", to, code, err)
		}
	}
	for _, to := range []string{"127.0.0.3", "out.test", "127.0.0.1", "[::ffff:127.0.0.3]", "169.254.169.254", "0.0.0.0", "2130706435", "10.0.0.1"} {
		if code, err := get(to); !refused(err) {
			t.Errorf("%q: %d, %v", to, code, err)
		}
	}
	if n := out.accepted.Load(); n != 0 {
		t.Errorf("the server out of scope was contacted %d times", n)
	}
}

func TestControl(t *testing.T) {
	d := dialer(t, Config{Managed: []string{"127.0.0.2"}, External: []string{"9.9.9.9:53"}}, nil)
	for address, ok := range map[string]bool{
		"127.0.0.2:161": true, "[::ffff:127.0.0.2]:161": true, "127.0.0.2": true, "9.9.9.9:53": true,
		"127.0.0.3:161": false, "9.9.9.9:54": false, "9.9.9.9": false, "0.0.0.0:0": false, "": false, "in.test:80": false, "[::1%lo]:80": false,
	} {
		if err := d.Control("tcp4", address, nil); ok != (err == nil) || !ok && !refused(err) {
			t.Errorf("%q: %v", address, err)
		}
	}
	nd := net.Dialer{Control: d.Control}
	if _, err := nd.DialContext(t.Context(), "udp", "127.0.0.3:161"); !refused(err) {
		t.Errorf("a net.Dialer with Control: %v", err)
	}
}

func TestNoBroadcast(t *testing.T) {
	d := dialer(t, Config{Managed: []string{"127.0.0.2"}}, nil)
	conn, err := d.DialContext(t.Context(), "udp", "127.0.0.2:9")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		if on, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST); err != nil || on != 0 {
			t.Errorf("the socket may broadcast: %d, %v", on, err)
		}
	}); err != nil {
		t.Error(err)
	}
}

// TestNextAddress: an address that does not answer leaves time for the next one.
func TestNextAddress(t *testing.T) {
	in := listen(t, "127.0.0.2:0", nil)
	d := dialer(t, Config{Managed: []string{"127.0.0.0/8"}}, &names{answers: map[string][]string{"two.test": {"127.0.0.4 127.0.0.2"}}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", "two.test:"+in.port())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	cancel()
	if _, err := d.DialContext(ctx, "tcp", "two.test:"+in.port()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
