package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/collectortest"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
)

// place is what is at an address of a made-up network.
type place struct {
	ping, refuses bool
	engine        string
	opens         string // the credential
	facts         Facts
}

// made is a made-up network, and what was asked of it.
type made struct {
	at     map[string]place
	kernel []neighbour
	noPing error
	visits map[string]looked
	each   time.Duration // that looking takes
	log    []string
}

func (m *made) neighbours() ([]neighbour, error) { return m.kernel, nil }

func (m *made) ping(ctx context.Context, to []netip.Addr, wait func(context.Context) error) (map[netip.Addr]bool, error) {
	out := map[netip.Addr]bool{}
	if m.noPing != nil {
		return out, m.noPing
	}
	for _, a := range to {
		if err := wait(ctx); err != nil {
			return out, err
		}
		m.log = append(m.log, "ping "+a.String())
		if m.at[a.String()].ping {
			out[a] = true
		}
	}
	return out, nil
}

func (m *made) engines(ctx context.Context, to []netip.Addr, wait func(context.Context) error) (map[netip.Addr]reply, error) {
	out := map[netip.Addr]reply{}
	for _, a := range to {
		if err := wait(ctx); err != nil {
			return nil, err
		}
		m.log = append(m.log, "engine "+a.String())
		p := m.at[a.String()]
		out[a] = reply{p.engine, p.refuses}
	}
	return out, nil
}

func (m *made) try(ctx context.Context, a netip.Addr, c snmp.Credential) (looked, error) {
	m.log = append(m.log, c.Name+" "+a.String())
	t := time.NewTimer(m.each)
	select {
	case <-t.C:
	case <-ctx.Done():
		return looked{}, ctx.Err()
	}
	p := m.at[a.String()]
	if p.opens != c.Name {
		return looked{}, snmp.ErrNoAnswer
	}
	return looked{credential: c.Name, facts: p.facts, address: a}, nil
}

func (m *made) visit(_ context.Context, cfg snmp.Config) (looked, error) {
	m.log = append(m.log, "visit "+cfg.Device)
	if v, ok := m.visits[cfg.Device]; ok {
		return v, nil
	}
	return looked{}, errors.New("no answer")
}

func credentials() []snmp.Credential {
	return []snmp.Credential{
		{Name: "lan", Auth: snmp.Auth{Version: "2c", Community: "canary-lan"}},
		{Name: "old", Auth: snmp.Auth{Version: "1", Community: "canary-old"}},
		{Name: "core", Auth: snmp.Auth{Version: "3", Username: "probe"}},
	}
}

// collectorOn makes a collector for 192.168.10.0/29 on a made-up network.
func collectorOn(t testing.TB, m *made, cfg Config, opt Options) *Collector {
	t.Helper()
	dialer, err := scope.New(scope.Config{Managed: []string{"192.168.10.0/24"}, Excluded: []string{"192.168.10.5"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Networks == nil {
		cfg.Networks = []string{"192.168.10.0/29"}
	}
	cfg.Tried = credentials()
	opt.Scope = dialer
	if opt.Registry == nil {
		opt.Registry = OpenRegistry(t.TempDir())
	}
	c, err := New(cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	c.net = m
	return c
}

func TestSweepOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &made{
			at: map[string]place{
				"192.168.10.1": {ping: true, engine: engA, opens: "core", facts: Facts{SysName: "one", Serial: "SER1"}},
				"192.168.10.2": {ping: true},                 // silent
				"192.168.10.3": {ping: true, refuses: true},  // no SNMP
				"192.168.10.4": {engine: engB, opens: "old"}, // its firewall drops pings, but it is on the link
				"192.168.10.6": {},                           // nobody
			},
			kernel: []neighbour{{netip.MustParseAddr("192.168.10.4"), macA}, {netip.MustParseAddr("192.168.10.5"), macB}, {netip.MustParseAddr("10.0.0.1"), macB}},
			visits: map[string]looked{"gw": {credential: "lan", address: netip.MustParseAddr("192.168.10.77"), facts: Facts{Serial: "GW1"},
				neighbours: []neighbour{{netip.MustParseAddr("192.168.10.2"), macB}, {netip.MustParseAddr("192.168.10.99"), macB}}}},
		}
		c := collectorOn(t, m, Config{}, Options{Taken: func(s string) bool { return s == "gw" },
			Targets: []Target{{Listed: true, Config: snmp.Config{Device: "gw", Address: "192.168.10.77"}}}})
		start := time.Now()
		changes, err := c.Sweep(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := "visit gw; ping 192.168.10.4; ping 192.168.10.2; engine 192.168.10.4; engine 192.168.10.2; core 192.168.10.4; lan 192.168.10.4; old 192.168.10.4; " +
			"ping 192.168.10.1; ping 192.168.10.3; ping 192.168.10.6; ping 192.168.10.7; engine 192.168.10.1; engine 192.168.10.3; core 192.168.10.1"
		if got := strings.Join(m.log, "; "); got != want {
			t.Errorf("asked\n%s, want\n%s", got, want)
		}
		if k := kinds(changes); k != "new new" {
			t.Errorf("changes %q", k)
		}
		asked := len(m.log) - 1
		if took, least := time.Since(start), time.Duration(asked-1)*time.Second/DefaultRate; took < least {
			t.Errorf("%d packets within %v", asked, took)
		}
		b, err := c.opt.Registry.Read()
		if err != nil || len(b.Devices) != 5 || b.Sweep != nil || b.Swept.IsZero() || b.Tries[engB].Failed != 2 {
			t.Errorf("%+v %v", b, err)
		}
	})
}

// TestSweepFailures: a device hears no more than so many wrong credentials a day, all
// of them in the course of some days, and the right one at once when it is known.
func TestSweepFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &made{at: map[string]place{"192.168.10.1": {ping: true, engine: engA}}}
		dir := t.TempDir()
		again := func() string {
			m.log = nil
			c := collectorOn(t, m, Config{Networks: []string{"192.168.10.1"}, MaxFailures: 2}, Options{Registry: OpenRegistry(dir)})
			if _, err := c.Sweep(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			tried := slices.DeleteFunc(m.log, func(s string) bool { return strings.HasPrefix(s, "ping") || strings.HasPrefix(s, "engine") })
			return strings.ReplaceAll(strings.Join(tried, " "), " 192.168.10.1", "")
		}
		for n, want := range []string{"core lan", "", ""} {
			if got := again(); got != want {
				t.Errorf("sweep %d tried %q, want %q", n, got, want)
			}
		}
		time.Sleep(24 * time.Hour)
		m.at["192.168.10.1"] = place{ping: true, engine: engA, opens: "lan", facts: Facts{Serial: "SER1"}}
		for n, want := range []string{"old core", ""} {
			if got := again(); got != want {
				t.Errorf("next day, sweep %d tried %q, want %q", n, got, want)
			}
		}
		time.Sleep(24 * time.Hour)
		for n, want := range []string{"lan", "lan", "lan"} {
			if got := again(); got != want {
				t.Errorf("third day, sweep %d tried %q, want %q", n, got, want)
			}
		}
	})
}

// TestSweepInParts: a collection's deadline ends a part, and the next one goes on.
func TestSweepInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &made{at: map[string]place{}, each: 25 * time.Second}
		for i := 1; i < 7; i++ {
			if i != 5 {
				m.at[fmt.Sprint("192.168.10.", i)] = place{ping: true, engine: fmt.Sprintf("80001f8880abcdef%04d", i), opens: "core", facts: Facts{Serial: fmt.Sprint("SERIAL", i)}}
			}
		}
		dir := t.TempDir()
		var events []collectors.Event
		parts := 0
		for ; parts < 10; parts++ {
			// A new one each time, as after a restart.
			c := collectorOn(t, m, Config{}, Options{Registry: OpenRegistry(dir)})
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			err := c.Collect(ctx, func(b collectors.Batch) { events = append(events, b.Events...) })
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := c.opt.Registry.Read(); b.Sweep == nil {
				break
			}
		}
		if parts == 0 || parts > 4 || len(events) != 5 {
			t.Errorf("%d events after %d parts", len(events), parts+1)
		}
		slices.Sort(m.log)
		if n := len(m.log); n != 6+5+5 || len(slices.Compact(m.log)) != n {
			t.Errorf("something was asked twice, or not at all: %v", m.log)
		}
		// No other sweep until it is time.
		m.log = nil
		c := collectorOn(t, m, Config{}, Options{Registry: OpenRegistry(dir)})
		if err := c.Collect(t.Context(), func(collectors.Batch) {}); err != nil || len(m.log) > 0 {
			t.Errorf("%v %v", err, m.log)
		}
		time.Sleep(DefaultInterval)
		if err := c.Collect(t.Context(), func(collectors.Batch) {}); err != nil || len(m.log) == 0 {
			t.Errorf("%v %v", err, m.log)
		}
	})
}

func TestSweepOff(t *testing.T) {
	m := &made{}
	c := collectorOn(t, m, Config{Off: "the site has no internet"}, Options{})
	n := 0
	if err := c.Collect(t.Context(), func(b collectors.Batch) { n += b.Readings() }); err != nil || n == 0 || len(m.log) > 0 {
		t.Errorf("%v, %d readings, asked %v", err, n, m.log)
	}
	if _, err := c.Sweep(t.Context(), nil); err != nil || len(m.log) == 0 {
		t.Errorf("not when it is asked for either: %v", err)
	}
}

// TestSweepNotKept: where nothing can be kept nobody is asked.
func TestSweepNotKept(t *testing.T) {
	m := &made{}
	c := collectorOn(t, m, Config{}, Options{Registry: OpenRegistry("/nonexistent/folder")})
	if _, err := c.Sweep(t.Context(), nil); err == nil {
		t.Error("a sweep without an error")
	}
	if err := c.Collect(t.Context(), func(collectors.Batch) {}); err == nil {
		t.Error("a collection without an error")
	}
	if len(m.log) > 0 {
		t.Errorf("asked %v", m.log)
	}
}

// TestSweepAdopts: the policy takes what is of its kinds, once.
func TestSweepAdopts(t *testing.T) {
	m := &made{at: map[string]place{
		"192.168.10.1": {ping: true, engine: engA, opens: "core", facts: Facts{SysName: "sw", Serial: "SER1", Class: "switch"}},
		"192.168.10.2": {ping: true, engine: engB, opens: "core", facts: Facts{SysName: "printer", Serial: "SER2", Class: "printer"}},
		"192.168.10.3": {ping: true, engine: "80001f8880abcdef0003", facts: Facts{SysName: "closed", Class: "switch"}},
	}}
	c := collectorOn(t, m, Config{Rate: 1000, Adopt: Policy{Classes: []string{"switch"}}}, Options{Taken: func(s string) bool { return s == "sw" }})
	changes, err := c.Sweep(t.Context(), nil)
	if err != nil || kinds(changes) != "new new new adopted" {
		t.Errorf("%v %q", err, kinds(changes))
	}
	b, _ := c.opt.Registry.Read()
	if d := b.Devices[0]; d.State != Adopted || d.Name != "sw-2" || d.Credential != "core" || b.Devices[1].State != Candidate || b.Devices[2].State != Candidate {
		t.Errorf("%+v", b.Devices)
	}
	if changes, err := c.Sweep(t.Context(), nil); err != nil || len(changes) > 0 {
		t.Errorf("%v %q", err, kinds(changes))
	}
}

// TestSweepFoundWhen: a daemon may tell days later what a command's sweep has found.
func TestSweepFoundWhen(t *testing.T) {
	now := t0
	m := &made{at: map[string]place{"192.168.10.1": {ping: true, engine: engA, opens: "core", facts: Facts{SysName: "sw"}}}}
	c := collectorOn(t, m, Config{Rate: 1000, Interval: 30 * 24 * time.Hour}, Options{Now: func() time.Time { return now }})
	if _, err := c.Sweep(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	now = now.Add(72 * time.Hour)
	var told []collectors.Event
	if err := c.Collect(t.Context(), func(b collectors.Batch) { told = append(told, b.Events...) }); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].Kind != "device_new" || !slices.Contains(told[0].Labels, collectors.Label{Name: "found", Value: "2026-03-01T12:00:00Z"}) {
		t.Errorf("%+v", told)
	}
}

// TestSweepWithoutPing: a box that may not ping says so, and finds who is on the link.
func TestSweepWithoutPing(t *testing.T) {
	m := &made{noPing: check.ErrNotPermitted, at: map[string]place{"192.168.10.1": {engine: engA, opens: "core", facts: Facts{Serial: "SER1"}}},
		kernel: []neighbour{{a1, macA}}}
	c := collectorOn(t, m, Config{Rate: 1000}, Options{})
	changes, err := c.Sweep(t.Context(), nil)
	if !errors.Is(err, check.ErrNotPermitted) || kinds(changes) != "new" {
		t.Errorf("%v %q", err, kinds(changes))
	}
}

// TestSweepListed: a device of the site file is asked what the site file says, and no
// credential besides.
func TestSweepListed(t *testing.T) {
	m := &made{at: map[string]place{"192.168.10.1": {ping: true, engine: engA, opens: "lan"}, "192.168.10.2": {ping: true}}}
	c := collectorOn(t, m, Config{Rate: 1000, Communities: Pinged}, Options{Names: map[netip.Addr]string{a1: "nvr", a2: "sw1"},
		Taken: func(s string) bool { return s == "nvr" || s == "sw1" }, Targets: []Target{{Listed: true, Config: snmp.Config{Device: "sw1", Address: a2.String()}}}})
	changes, err := c.Sweep(t.Context(), nil)
	if err != nil || len(changes) > 0 || slices.ContainsFunc(m.log, func(s string) bool { return strings.HasPrefix(s, "lan") || strings.HasPrefix(s, "core") }) {
		t.Errorf("%v %q %v", err, kinds(changes), m.log)
	}
	b, _ := c.opt.Registry.Read()
	if len(b.Devices) != 2 || b.Devices[0].Name != "nvr" || b.Devices[1].Name != "sw1" || b.Devices[0].State != Listed {
		t.Errorf("%+v", b.Devices)
	}
}

// TestSweepElsewhere: a sweep of other networks by command neither counts as the
// daemon's, nor lets devices go that it could not see.
func TestSweepElsewhere(t *testing.T) {
	m := &made{at: map[string]place{"192.168.10.1": {ping: true, engine: engA, opens: "core", facts: Facts{Serial: "SER1"}}}}
	c := collectorOn(t, m, Config{Rate: 1000}, Options{})
	if _, err := c.Sweep(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	swept, _ := c.opt.Registry.Read()
	for range 4 {
		if changes, err := c.Sweep(t.Context(), []netip.Prefix{netip.MustParsePrefix("192.168.10.16/30")}); err != nil || len(changes) > 0 {
			t.Errorf("%v %q", err, kinds(changes))
		}
	}
	b, _ := c.opt.Registry.Read()
	if !b.Swept.Equal(swept.Swept) || b.Devices[0].Missed > 0 {
		t.Errorf("%+v", b)
	}
	if _, err := c.Sweep(t.Context(), []netip.Prefix{netip.MustParsePrefix("172.16.0.0/30")}); err != nil || slices.ContainsFunc(m.log, func(s string) bool { return strings.Contains(s, "172.16") }) {
		t.Errorf("asked outside of the contract: %v %v", err, m.log)
	}
}

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(20)
		var at []time.Time
		for i := range 200 {
			if i == 100 {
				time.Sleep(time.Hour) // no burst after a pause
			}
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			at = append(at, time.Now())
		}
		for i := range at {
			n := 0
			for _, b := range at[i:] {
				if b.Sub(at[i]) < time.Second {
					n++
				}
			}
			if n > 20 {
				t.Fatalf("%d within a second", n)
			}
		}
		if took := at[99].Sub(at[0]); took > 8*time.Second {
			t.Errorf("100 took %v", took)
		}
	})
}

func TestNetworks(t *testing.T) {
	for _, c := range []struct {
		networks []string
		max      int
		want     string // of the error; empty: none
	}{
		{[]string{"10.0.0.0/20"}, 0, ""},
		{[]string{"10.0.0.0/16"}, 0, "max_hosts: 65536 if that is meant"},
		{[]string{"10.0.0.0/16"}, 65536, ""},
		{[]string{"10.0.0.0/8"}, 65536, "write smaller networks"},
		{[]string{"fd00::/64", "10.0.0.0/24"}, 0, ""},
		{[]string{"10.0.0.1/24"}, 0, "write 10.0.0.0/24"},
		{[]string{"switch1"}, 0, "is neither a network"},
		{[]string{"10.0.0.7"}, 0, ""},
	} {
		err := Config{Networks: c.networks, MaxHosts: c.max}.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: %v, want %q", c.networks, err, c.want)
		}
	}
	for _, c := range []struct {
		network string
		n       uint64
		want    string
	}{{"10.0.0.0/16", 300, "10.0.1.44"}, {"fd00::/112", 258, "fd00::102"}, {"fd00::ff00/120", 255, "fd00::ffff"}, {"10.0.0.7/32", 0, "10.0.0.7"}} {
		if got := nth(netip.MustParsePrefix(c.network), c.n); got.String() != c.want {
			t.Errorf("%d of %s: %v", c.n, c.network, got)
		}
	}
}

func TestConformance(t *testing.T) {
	collectortest.Run(t, func(t *testing.T) collectortest.Subject {
		// Events are told once, so each collection after the first is the same.
		m := &made{at: map[string]place{"192.168.10.1": {ping: true, engine: engA, opens: "core", facts: Facts{Serial: "SER1"}}}}
		slow := &made{at: map[string]place{"192.168.10.1": {ping: true, engine: engA}}, each: time.Hour}
		return collectortest.Subject{
			Source: Source, Collector: collectorOn(t, m, Config{Rate: 1000}, Options{}),
			Silent: collectorOn(t, slow, Config{Rate: 1000}, Options{}), Secrets: []string{"canary-lan", "canary-old"}, Timeout: 40 * time.Second,
		}
	})
}
