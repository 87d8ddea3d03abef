package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// refusal is how a scope dialer says no.
type refusal struct{ address string }

func (r refusal) Error() string    { return "refused " + r.address }
func (r refusal) OutOfScope() bool { return true }

// scope is a dialer for tests: it covers loopback unless told otherwise, knows a
// few names, and notes what it was asked for.
type scope struct {
	mu      sync.Mutex
	names   map[string]netip.Addr // names and their addresses
	refused []string              // addresses, host or host:port, to refuse
	fail    error                 // what every dial fails with
	asked   []string
}

func (s *scope) permit(address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, address)
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if slices.Contains(s.refused, address) || slices.Contains(s.refused, host) {
		return fmt.Errorf("dialing: %w", refusal{address})
	}
	return s.fail
}

func (s *scope) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := s.permit(address); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil {
		a, ok := s.names[host]
		if !ok {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		address = net.JoinHostPort(a.String(), port)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("dialing %s: %w", address, err)
	}
	return struct{ net.Conn }{conn}, nil // wrapped, as a dialer may
}

func (s *scope) Resolve(_ context.Context, host string, port uint16) (netip.AddrPort, error) {
	if err := s.permit(host); err != nil {
		return netip.AddrPort{}, err
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(a, port), nil
	}
	if a, ok := s.names[host]; ok {
		return netip.AddrPortFrom(a, port), nil
	}
	return netip.AddrPort{}, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// result is a batch by the name of its metrics.
type result struct {
	t     *testing.T
	batch collectors.Batch
}

// collect runs a check once and requires a batch that keeps to the bounds.
func collect(t *testing.T, c *Check) result {
	t.Helper()
	var got []collectors.Batch
	if err := c.Collect(t.Context(), func(b collectors.Batch) { got = append(got, b) }); err != nil {
		t.Fatalf("Collect: %v", err)
	}
	if len(got) != 1 {
		t.Fatalf("%d batches, want 1", len(got))
	}
	if err := got[0].Validate(); err != nil {
		t.Fatalf("batch: %v", err)
	}
	if err := got[0].Schema.Validate(); err != nil {
		t.Fatalf("schema: %v", err)
	}
	return result{t, got[0]}
}

// refuse runs a check that cannot be performed and returns its error.
func refuse(t *testing.T, c *Check) error {
	t.Helper()
	err := c.Collect(t.Context(), func(collectors.Batch) { t.Error("a batch of a check that could not be performed") })
	if err == nil {
		t.Fatal("no error")
	}
	return err
}

// get returns a value as text, "" if it is missing. The name is that of a metric,
// or metric/phase, or metric/value of any other label.
func (r result) get(name string) string {
	r.t.Helper()
	metric, phase, _ := strings.Cut(name, "/")
	for i := range r.batch.Schema.Series {
		s := &r.batch.Schema.Series[i]
		of := func(l collectors.Label) bool { return l.Value == phase }
		if s.Metric == metric && (s.Label("phase") == phase || phase != "" && slices.ContainsFunc(s.Labels, of)) {
			return r.batch.Values[i].Format(s.Kind)
		}
	}
	r.t.Fatalf("no series %s", name)
	return ""
}

// want compares values, given as name=text; an empty text is a missing value and
// "*" any that is there.
func (r result) want(pairs ...string) {
	r.t.Helper()
	for _, p := range pairs {
		name, want, _ := strings.Cut(p, "=")
		if got := r.get(name); got != want && (want != "*" || got == "") {
			r.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func (r result) up() {
	r.t.Helper()
	r.want("probe_success=1", "probe_failure_reason=", "probe_duration_seconds=*")
}

func (r result) down(reason string) {
	r.t.Helper()
	r.want("probe_success=0", "probe_failure_reason="+reason, "probe_duration_seconds=*")
}

func mustNew(t *testing.T, cfg Config, d Dialer, opts Options) *Check {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "test"
	}
	c, err := New(cfg, d, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	d := &scope{names: map[string]netip.Addr{"db1": netip.MustParseAddr("127.0.0.1")}}
	c := mustNew(t, Config{TCP: &TCP{Address: address}}, d, Options{})

	r := collect(t, c)
	r.up()
	r.want("probe_dns_lookup_time_seconds=0")
	collect(t, mustNew(t, Config{TCP: &TCP{Address: "db1:" + port}}, d, Options{})).up()

	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := collect(t, c)
	again.down("connection refused")
	if again.batch.Schema != r.batch.Schema {
		t.Error("the schema is another one after the service went down")
	}
	collect(t, mustNew(t, Config{TCP: &TCP{Address: "db2:" + port}}, d, Options{})).down("dns: NXDOMAIN")
}

func TestOutOfScopeIsNotDown(t *testing.T) {
	d := &scope{refused: []string{"127.0.0.9"}}
	for _, cfg := range []Config{
		{TCP: &TCP{Address: "127.0.0.9:80"}},
		{HTTP: &HTTP{URL: "http://127.0.0.9/?token=hush"}},
		{HTTP: &HTTP{URL: "https://127.0.0.9/"}},
		{DNS: &DNS{Server: "127.0.0.9", Name: "example.com"}},
		{ICMP: &ICMP{Address: "127.0.0.9"}},
		{TLS: &TLS{Address: "127.0.0.9:443"}},
		{NTP: &NTP{Server: "127.0.0.9"}},
		{Banner: &Banner{Protocol: "ssh", Address: "127.0.0.9:22"}},
		{LDAP: &LDAP{Address: "127.0.0.9"}},
		{Prometheus: &Prometheus{URL: "http://127.0.0.9/?token=hush", Metrics: []Pick{{Name: "x"}}}},
		{Path: &Path{Address: "127.0.0.9"}},
	} {
		err := refuse(t, mustNew(t, cfg, d, Options{}))
		if !errors.Is(err, ErrOutOfScope) || !strings.Contains(err.Error(), "127.0.0.9") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%v: want one that wraps ErrOutOfScope and names the address only", err)
		}
	}
}

func TestErrorsOfTheBoxAreNotDown(t *testing.T) {
	d := &scope{fail: &net.OpError{Op: "dial", Err: errnoEPERM}}
	err := refuse(t, mustNew(t, Config{TCP: &TCP{Address: "127.0.0.1:80"}}, d, Options{}))
	if !errors.Is(err, ErrNotPermitted) {
		t.Errorf("%v does not wrap ErrNotPermitted", err)
	}
}

func TestCancelledIsNotDown(t *testing.T) {
	none := func(collectors.Batch) { t.Error("a batch after a shutdown") }
	ctx, cancel := context.WithCancel(t.Context())
	d := &stuck{dialing: cancel}
	c := mustNew(t, Config{TCP: &TCP{Address: "127.0.0.1:1"}}, d, Options{})
	if err := c.Collect(ctx, none); !errors.Is(err, context.Canceled) {
		t.Errorf("in the middle: %v, want context.Canceled", err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	if err := c.Collect(ctx, none); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("too late: %v, want context.DeadlineExceeded", err)
	}
}

// stuck is a dialer whose dials end only with their ctx.
type stuck struct {
	scope
	dialing func() // called when a dial has begun
}

func (s *stuck) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	if s.dialing != nil {
		s.dialing()
	}
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
}

func TestTimeoutIsHandedOverBeforeTheCallersDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c := mustNew(t, Config{TCP: &TCP{Address: "127.0.0.1:1"}, Timeout: time.Minute}, &stuck{}, Options{})
	err := c.Collect(ctx, func(b collectors.Batch) {
		if ctx.Err() != nil {
			t.Error("emitted after the deadline")
		}
		result{t, b}.down("timeout: connect")
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLabels(t *testing.T) {
	cfg := Config{
		Name: "intranet", Device: "web1", Labels: map[string]string{"tier": "gold", "room": "4"},
		HTTP: &HTTP{URL: "http://127.0.0.1/"},
	}
	c := mustNew(t, cfg, &scope{}, Options{})
	if c.Source() != "check/intranet" || c.Target() != "127.0.0.1:80" {
		t.Errorf("source %q, target %q", c.Source(), c.Target())
	}
	series := c.layout.schema.Series
	if got, want := series[0].String(), `probe_success{check="intranet",device="web1",room="4",tier="gold"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	last := series[len(series)-1].String()
	if want := `probe_http_duration_seconds{check="intranet",device="web1",room="4",tier="gold",phase="transfer"}`; last != want {
		t.Errorf("got %s, want %s", last, want)
	}

	p, err := NewPing(Ping{Device: "nvr", Address: "192.168.10.40:161"}, &scope{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.layout.schema.Series[0].String(); p.Source() != "device/nvr" || p.Target() != "192.168.10.40" || got != `probe_success{device="nvr"}` {
		t.Errorf("ping: source %q, target %q, first series %s", p.Source(), p.Target(), got)
	}
}

func TestSecondsAreMicroseconds(t *testing.T) {
	if got := seconds(1234567 * time.Nanosecond).Gauge(); got != 0.001235 {
		t.Errorf("got %v", got)
	}
}
