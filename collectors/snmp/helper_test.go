package snmp

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// loopback is a scope that holds some prefixes.
type loopback struct{ within []netip.Prefix }

func scopeOf(prefixes ...string) loopback {
	var l loopback
	for _, p := range prefixes {
		l.within = append(l.within, netip.MustParsePrefix(p))
	}
	return l
}

var errOutside = errors.New("outside the scope")

func (l loopback) Resolve(ctx context.Context, host string, port uint16) (netip.AddrPort, error) {
	if err := ctx.Err(); err != nil {
		return netip.AddrPort{}, err
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for _, p := range l.within {
		if p.Contains(a) {
			return netip.AddrPortFrom(a, port), nil
		}
	}
	return netip.AddrPort{}, errOutside
}

func (l loopback) Control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	_, err = l.Resolve(context.Background(), at.Addr().String(), at.Port())
	return err
}

func v2c(community string) Credential {
	return Credential{Name: community, Auth: Auth{Version: "2c", Community: collectors.Secret(community)}}
}

// serve starts an agent for the test.
func serve(t testing.TB, c snmptest.Config) *snmptest.Agent {
	t.Helper()
	a, err := snmptest.Listen("", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// genericKinds are those of tests that are not about profiles: every device is of
// the generic kind.
var genericKinds = sync.OnceValue(func() *Kinds {
	set, _ := profile.Open("")
	return NewKinds(always{set.Named(profile.Generic)})
})

type always struct{ *profile.Profile }

func (a always) For(string, string, ...[]byte) *profile.Profile { return a.Profile }
func (a always) Asks(string, string) [][]byte                   { return nil }

func genericProfile(t testing.TB) *profile.Profile {
	t.Helper()
	return genericKinds().profiles.For("", "")
}

// collectorOf makes a collector of an address with short times.
func collectorOf(t testing.TB, cfg Config, opts ...Option) *Collector {
	t.Helper()
	if cfg.Device == "" {
		cfg.Device = "sw1"
	}
	if cfg.Credentials == nil {
		cfg.Credentials = []Credential{v2c("public")}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	c, err := New(cfg, scopeOf("127.0.0.0/8"), append([]Option{WithKinds(genericKinds())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// socketsOf makes sockets for the test.
func socketsOf(t testing.TB) *Sockets {
	t.Helper()
	s := NewSockets()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// poll collects once and checks that what is emitted is within the bounds.
func poll(t testing.TB, c *Collector) ([]collectors.Batch, error) {
	t.Helper()
	var bs []collectors.Batch
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // as the scheduler does: a session must outlive its poll's context
	err := c.Collect(ctx, func(b collectors.Batch) { bs = append(bs, b) })
	for i := range bs {
		if err := errors.Join(bs[i].Validate(), bs[i].Schema.Validate()); err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
	}
	return bs, err
}

// mustPoll is poll of a device that answers in full.
func mustPoll(t testing.TB, c *Collector) []collectors.Batch {
	t.Helper()
	bs, err := poll(t, c)
	if err != nil {
		t.Fatalf("Collect: %v", err)
	}
	return bs
}

// readings maps each series to its reading, as text; a missing one is "-".
func readings(bs []collectors.Batch) map[string]string {
	m := map[string]string{}
	for _, b := range bs {
		for i, v := range b.Values {
			s := &b.Schema.Series[i]
			if strings.HasPrefix(s.Metric, "snmp_scrape_") {
				continue
			}
			text := v.Format(s.Kind)
			if v.Missing() {
				text = "-"
			}
			m[s.String()] = text
		}
	}
	return m
}

// count tells how many series have a metric.
func count(bs []collectors.Batch, metric string) (n int) {
	for _, b := range bs {
		for i := range b.Schema.Series {
			if b.Schema.Series[i].Metric == metric {
				n++
			}
		}
	}
	return n
}
