package incident

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// site is a site that does not exist, on a clock that does not run: each source is
// polled at its own second of every interval, and answers as up says.
type site struct {
	t      *testing.T
	f      *Fold
	plan   Plan
	now    collectors.Stamp
	up     func(source string, at collectors.Stamp) bool
	offset map[string]collectors.Stamp
	every  collectors.Stamp // a poll
	step   collectors.Stamp // a tick

	edges   []Edge
	changes []Change
	state   map[string]State
	last    map[string]Edge
}

const (
	second = collectors.Stamp(1000)
	minute = 60 * second
	hour   = 60 * minute
)

func device(name string, parents ...string) Watched {
	w := Watched{Source: "device/" + name, Name: name, Kind: KindDevice, Owner: diagnosis.Customer, Severity: collectors.Error, Interval: time.Minute}
	for _, p := range parents {
		w.Parents = append(w.Parents, "device/"+p)
	}
	return w
}

func newSite(t *testing.T, sources ...Watched) *site {
	s := &site{t: t, now: 10 * second, every: minute, step: second, up: func(string, collectors.Stamp) bool { return true },
		offset: map[string]collectors.Stamp{}, state: map[string]State{}, last: map[string]Edge{}}
	s.plan.Sources = sources
	r := rand.New(rand.NewPCG(1, uint64(len(sources))))
	for _, w := range sources {
		s.offset[w.Source] = collectors.Stamp(r.IntN(12)) * 5 * second
	}
	s.f = NewFold(Settings{Boot: "test", Start: s.now})
	s.f.Apply(s.plan)
	return s
}

var successSchema = map[string]*collectors.Schema{}

// batch is a poll of a source that answers, or does not.
func batch(source string, at collectors.Stamp, up bool) collectors.Batch {
	if strings.HasPrefix(source, "device/") && !up {
		return collectors.Batch{Source: source, At: at, Outcome: collectors.Outcome{Result: collectors.Failed, Why: "no answer"}}
	}
	sc := successSchema[source]
	if sc == nil {
		metric := "probe_success"
		if strings.HasPrefix(source, "device/") {
			metric = "sysUpTime"
		}
		sc = &collectors.Schema{Source: source, Series: []collectors.Series{{Metric: metric, Kind: collectors.State}}}
		successSchema[source] = sc
	}
	n := int64(0)
	if up {
		n = 1
	}
	return collectors.Batch{Source: source, At: at, Schema: sc, Values: []collectors.Value{collectors.StateValue(n)}}
}

// run lets time pass until an instant.
func (s *site) run(until collectors.Stamp) {
	s.t.Helper()
	for ; s.now < until; s.now += s.step {
		for _, w := range s.plan.Sources {
			if (s.now-s.offset[w.Source])%s.every == 0 {
				for _, m := range append([]string{}, s.f.sources[w.Source].Means...) {
					b := batch(m, s.now, s.up(m, s.now))
					s.f.Observe(&b)
				}
			}
		}
		s.f.Tick(s.now)
		s.take()
	}
}

// take collects what came up, and holds it against what always holds.
func (s *site) take() {
	s.t.Helper()
	es, cs := s.f.Take()
	for _, e := range es {
		was, ok := s.last[e.Source]
		switch {
		case !ok:
		case e == was: // a checkpoint
		case e.State == was.State && e.At == was.At: // a checkpoint of one whose reason has changed
		case e.State == was.State:
			s.t.Errorf("edge %+v after %+v", e, was)
		case e.At < was.At || e.At > s.now:
			s.t.Errorf("at %d: edge %+v after %+v", s.now, e, was)
		}
		s.last[e.Source] = e
	}
	for _, c := range cs {
		switch was := s.state[c.Incident.ID]; {
		case c.What == Open && was == "", c.What == Update && was == Up, c.What == Close && was == Up:
		default:
			s.t.Errorf("%s of %s, which was %q", c.What, c.Incident.ID, was)
		}
		s.state[c.Incident.ID] = Up
		if c.What == Close {
			s.state[c.Incident.ID] = Down
		}
	}
	s.edges, s.changes = append(s.edges, es...), append(s.changes, cs...)
}

func (s *site) count(what string) (n int) {
	for _, c := range s.changes {
		if c.What == what {
			n++
		}
	}
	return n
}

func (s *site) edgesTo(state State) (names []string) {
	for _, e := range s.edges {
		if e.State == state {
			names = append(names, e.Source)
		}
	}
	return names
}

func (s *site) show() string {
	var b strings.Builder
	for _, c := range s.changes {
		fmt.Fprintf(&b, "%6d %-6s %s %s first %d closed %d (%d) %s %q\n", c.At/second, c.What, c.Incident.ID, c.Incident.Kind, c.Incident.First/second, c.Incident.Closed/second, len(c.Incident.Affected), c.Incident.Silenced, c.Incident.Summary)
	}
	return b.String()
}

func TestDeviceDies(t *testing.T) {
	s := newSite(t, device("gw"), device("core", "gw"), device("nvr", "core"))
	death, back := 30*minute+7*second, 60*minute+3*second
	s.up = func(source string, at collectors.Stamp) bool {
		return source != "device/nvr" || at < death || at >= back
	}
	s.run(90 * minute)
	if len(s.changes) != 2 || s.changes[0].What != Open || s.changes[1].What != Close {
		t.Fatalf("%s", s.show())
	}
	o, c := s.changes[0], s.changes[1]
	if o.At-death > 3*minute-10*second {
		t.Errorf("opened %d s after it had died", (o.At-death)/second)
	}
	if o.Incident.First < death || o.Incident.First > death+minute || c.Incident.Closed < back || c.Incident.Closed > back+minute {
		t.Errorf("not dated back: %s", s.show())
	}
	if o.Incident.ID != c.Incident.ID || o.Incident.Kind != KindDevice || o.Incident.Owner != diagnosis.Customer {
		t.Errorf("%s", s.show())
	}
	var got []State
	for _, e := range s.edges {
		if e.Source == "device/nvr" {
			got = append(got, e.State)
		}
	}
	if fmt.Sprint(got) != "[up down up]" {
		t.Errorf("edges of the device: %v", got)
	}
}

func behindCore(n int) []Watched {
	all := []Watched{device("gw"), device("core", "gw")}
	for i := range n {
		all = append(all, device(fmt.Sprint("dev", i), "core"))
	}
	return all
}

// The children are noticed in any order, before the core and after it.
func TestCoreDies(t *testing.T) {
	for seed := range 5 {
		s := newSite(t, behindCore(40)...)
		r := rand.New(rand.NewPCG(7, uint64(seed)))
		for name := range s.offset {
			s.offset[name] = collectors.Stamp(r.IntN(60)) * second
		}
		death := 30*minute + collectors.Stamp(r.IntN(60))*second
		s.up = func(source string, at collectors.Stamp) bool {
			return source == "device/gw" || at < death || at > death+30*minute
		}
		s.run(death + 2*hour)
		if s.count(Open) != 1 || s.count(Close) != 1 || fmt.Sprint(s.edgesTo(Down)) != "[device/core]" {
			t.Fatalf("seed %d: %s\ndown: %v", seed, s.show(), s.edgesTo(Down))
		}
		last := s.changes[len(s.changes)-1]
		if last.Incident.Source != "device/core" || len(last.Incident.Affected) != 41 || last.Incident.Affected[0] != "device/core" {
			t.Errorf("seed %d: %s", seed, s.show())
		}
		if len(s.f.Open()) != 0 {
			t.Errorf("still open: %v", s.f.Open())
		}
	}
}

// The parent is polled so seldom that a child opens first: its incident is part of the
// parent's then, and nobody is told.
func TestMerged(t *testing.T) {
	core := device("core")
	core.Interval = 10 * time.Minute
	s := newSite(t, core, device("nvr"))
	s.f.Wiring(Wiring{Parents: map[string][]string{"device/nvr": {"device/core"}}})
	s.offset["device/core"] = 0
	alive := true
	s.up = func(string, collectors.Stamp) bool { return alive }
	s.run(5 * minute)
	alive = false
	// The core is not heard at all for a while, as one that is polled seldom.
	s.plan.Sources = s.plan.Sources[1:]
	s.run(5*minute + 5*minute)
	if s.count(Open) != 1 {
		t.Fatalf("the child was held back for longer than a poll: %s", s.show())
	}
	s.plan.Sources = []Watched{core, device("nvr")}
	s.run(40 * minute)
	open := s.f.Open()
	if len(open) != 1 || open[0].Source != "device/core" || len(open[0].Affected) != 2 {
		t.Fatalf("%s", s.show())
	}
	for _, c := range s.changes {
		if c.What == Close && (c.Incident.Source != "device/nvr" || !strings.HasPrefix(c.Incident.Silenced, "merged into device/core@")) {
			t.Errorf("%s", s.show())
		}
	}
	if s.count(Close) != 1 || s.last["device/nvr"].State != Unknown {
		t.Errorf("%s", s.show())
	}
}

func TestOwnLinkDown(t *testing.T) {
	s := newSite(t, behindCore(10)...)
	alive := true
	s.up = func(string, collectors.Stamp) bool { return alive }
	s.run(20 * minute)
	alive = false
	s.f.Link(false, s.now)
	s.run(30 * minute)
	s.f.Verdict(diagnosis.Verdict{Code: diagnosis.LinkDown, Owner: diagnosis.Customer, Sentence: "No carrier."}, 20*minute, "proof", s.now)
	s.run(60 * minute)
	alive = true
	s.f.Link(true, s.now)
	s.f.Verdict(diagnosis.Verdict{Code: diagnosis.OK}, s.now, "proof", s.now)
	s.run(90 * minute)
	if fmt.Sprint(s.edgesTo(Down)) != "[line]" || s.count(Open) != 1 || s.count(Close) != 1 {
		t.Errorf("down: %v\n%s", s.edgesTo(Down), s.show())
	}
	for _, w := range s.plan.Sources {
		if st, _ := s.f.State(w.Source); st != Up {
			t.Errorf("%s is %s", w.Source, st)
		}
	}
}

// Nobody but the carrier has a say, as where diagnosis is off: the incident is over with
// the link's being back.
func TestOwnLinkAlone(t *testing.T) {
	s := newSite(t, behindCore(3)...)
	alive := true
	s.up = func(string, collectors.Stamp) bool { return alive }
	s.run(20 * minute)
	alive = false
	s.f.Link(false, s.now)
	s.run(25 * minute)
	alive = true
	s.f.Link(true, s.now)
	s.run(40 * minute)
	if fmt.Sprint(s.edgesTo(Down)) != "[line]" || s.count(Open) != 1 || s.count(Close) != 1 {
		t.Errorf("down: %v\n%s", s.edgesTo(Down), s.show())
	}
	if i := s.changes[0].Incident; i.Cause != string(diagnosis.LinkDown) || i.First != 20*minute {
		t.Errorf("%+v", i)
	}
}

// The gateway, polled often, is silent before diagnosis says that it is dead: it is no
// second incident.
func TestGatewayDies(t *testing.T) {
	gw := device("gw")
	gw.Gateway, gw.Interval = true, 5*time.Second
	s := newSite(t, append(behindCore(3)[1:], gw)...)
	s.every, s.offset["device/gw"] = 5*second, 0
	alive := true
	s.up = func(source string, _ collectors.Stamp) bool { return alive || source != "device/gw" }
	s.run(20 * minute)
	alive = false
	s.run(20*minute + 40*second)
	s.f.Verdict(diagnosis.Verdict{Code: diagnosis.GatewayDown, Owner: diagnosis.Customer}, 20*minute, "proof", s.now)
	s.run(30 * minute)
	if fmt.Sprint(s.edgesTo(Down)) != "[line]" || s.count(Open) != 1 {
		t.Errorf("down: %v\n%s", s.edgesTo(Down), s.show())
	}
	alive = true
	s.f.Verdict(diagnosis.Verdict{Code: diagnosis.OK}, s.now, "proof", s.now)
	s.run(40 * minute)
	if s.count(Open) != 1 || s.count(Close) != 1 {
		t.Errorf("%s", s.show())
	}
}

// The line to the internet dies: no device does, and services elsewhere are of the
// line's incident.
func TestUplinkDies(t *testing.T) {
	all := append(behindCore(10), Watched{Source: "check/m365", Name: "m365", Kind: KindCheck, Owner: diagnosis.Customer, Host: Line, Interval: time.Minute})
	s := newSite(t, all...)
	alive := true
	s.up = func(source string, _ collectors.Stamp) bool { return alive || source != "check/m365" }
	s.run(20 * minute)
	alive = false
	died := s.now
	s.run(21 * minute)
	s.f.Verdict(diagnosis.Verdict{Code: diagnosis.AccessDown, Owner: diagnosis.ISP, Sentence: "The line of the provider is down."}, died, "proof", s.now)
	s.run(60 * minute)
	if fmt.Sprint(s.edgesTo(Down)) != "[line check/m365]" || s.count(Open) != 1 {
		t.Errorf("down: %v\n%s", s.edgesTo(Down), s.show())
	}
	if got := s.changes[0].Incident.Evidence; got != "proof" {
		t.Errorf("it opens with the evidence %q", got)
	}
	if e := s.last["check/m365"]; e.Owner != diagnosis.ISP || e.Incident != s.changes[0].Incident.ID {
		t.Errorf("%+v", e)
	}
	alive = true
	s.f.Verdict(diagnosis.Verdict{Code: diagnosis.OK}, s.now, "proof", s.now)
	s.run(90 * minute)
	if s.count(Open) != 1 || s.count(Close) != 1 {
		t.Errorf("%s", s.show())
	}
}

// A check belongs to its device: one dead server is one incident.
func TestCheckOfDevice(t *testing.T) {
	check := Watched{Source: "check/web", Name: "web", Kind: KindCheck, Host: "device/srv", Interval: time.Minute}
	s := newSite(t, device("srv"), check)
	var srv, web bool = true, true
	s.up = func(source string, _ collectors.Stamp) bool {
		if source == "device/srv" {
			return srv
		}
		return web
	}
	s.run(10 * minute)
	srv, web = false, false
	s.run(30 * minute)
	if open := s.f.Open(); len(open) != 1 || open[0].Source != "device/srv" || len(open[0].Affected) != 2 {
		t.Fatalf("%s", s.show())
	}
	srv = true // it runs again, the service does not
	s.run(50 * minute)
	if open := s.f.Open(); len(open) != 1 || open[0].Source != "check/web" {
		t.Fatalf("%s", s.show())
	}
	web = true
	s.run(70 * minute)
	if s.count(Open) != 2 || s.count(Close) != 2 {
		t.Errorf("%s", s.show())
	}
}

func TestBlips(t *testing.T) {
	w := device("sw")
	w.Interval = 5 * time.Second
	s := newSite(t, w)
	s.every = 5 * second
	r := rand.New(rand.NewPCG(3, 3))
	var blip collectors.Stamp
	var long collectors.Stamp
	blips := 0
	s.up = func(_ string, at collectors.Stamp) bool {
		if at >= blip+long {
			blip, long = at+collectors.Stamp(20+r.IntN(100))*second, collectors.Stamp(1+r.IntN(9))*second
			blips++
		}
		return at < blip
	}
	for blips <= 200 {
		s.run(s.now + minute)
	}
	if len(s.changes) != 0 {
		t.Errorf("%d blips gave\n%s", blips, s.show())
	}
}

func TestFlapping(t *testing.T) {
	for _, period := range []collectors.Stamp{5 * minute, 8 * minute, 14 * minute, 20 * minute, 26 * minute} {
		s := newSite(t, device("sw"))
		s.step = 5 * second
		stop := 12 * hour
		s.up = func(_ string, at collectors.Stamp) bool { return at > stop || at%period < period/2 }
		s.run(20 * hour)
		for i := range s.changes {
			n := 0
			for _, c := range s.changes[i:] {
				if c.At-s.changes[i].At < hour {
					n++
				}
			}
			if n > 2 {
				t.Errorf("period %d s: %d notices in an hour\n%s", period/second, n, s.show())
				break
			}
		}
		if len(s.f.Open()) != 0 {
			t.Errorf("period %d s: open once it is stable: %s", period/second, s.show())
		}
		if period < 15*minute && (s.count(Open) > 2 || s.changes[len(s.changes)-1].Incident.Kind != KindFlapping) {
			t.Errorf("period %d s: %s", period/second, s.show())
		}
	}
}

// quietWeek is a week of a site in which nothing is wrong: PCs are off at night,
// printers sleep, one packet in a hundred is lost, a switch is restarted.
func TestQuietWeek(t *testing.T) {
	all := behindCore(30)
	for i := range 40 {
		pc := device(fmt.Sprint("pc", i), "core")
		pc.Quiet = true
		all = append(all, pc)
	}
	s := newSite(t, all...)
	s.step = 20 * second
	r := rand.New(rand.NewPCG(5, 5))
	for _, w := range all {
		s.offset[w.Source] = collectors.Stamp(r.IntN(3)) * s.step
	}
	const packets = 100 // one of which is lost
	reboot := 3*24*hour + 10*hour
	s.up = func(source string, at collectors.Stamp) bool {
		if strings.HasPrefix(source, "device/pc") {
			if h := at / hour % 24; h < 8 || h > 17 {
				return false
			}
		}
		if source == "device/dev3" && at >= reboot && at < reboot+100*second {
			return false
		}
		return r.IntN(packets*packets) > 0 // it is asked twice
	}
	s.run(7 * 24 * hour)
	if n := s.count(Open); n > 1 {
		t.Errorf("%d incidents:\n%s", n, s.show())
	}
}

func TestRestart(t *testing.T) {
	s := newSite(t, device("gw"), device("nvr", "gw"))
	alive := true
	s.up = func(source string, _ collectors.Stamp) bool { return source == "device/gw" || alive }
	s.run(10 * minute)
	alive = false
	s.run(20 * minute)
	open := s.f.Open()
	if len(open) != 1 {
		t.Fatalf("%s", s.show())
	}
	s.f = NewFold(Settings{Boot: "test", Start: s.now})
	s.f.Restore(open)
	s.f.Apply(s.plan)
	s.last = map[string]Edge{}
	s.run(40 * minute)
	alive = true
	s.run(60 * minute)
	if s.count(Open) != 1 || s.count(Close) != 1 || s.changes[0].Incident.ID != s.changes[1].Incident.ID || len(s.f.Open()) != 0 {
		t.Errorf("%s", s.show())
	}
	// One that is gone from the site file is over, after a while.
	s.f = NewFold(Settings{Boot: "test", Start: s.now})
	s.f.Restore([]Incident{{ID: "device/old@1", Key: "device/old", Source: "device/old", Opened: minute}})
	s.state["device/old@1"] = Up
	s.f.Apply(s.plan)
	s.last = map[string]Edge{}
	s.run(s.now + 2*hour)
	if s.count(Close) != 2 || len(s.f.Open()) != 0 {
		t.Errorf("%s", s.show())
	}
}

// Whatever comes in whatever order, what take() checks holds.
func TestAnyOrder(t *testing.T) {
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 1))
		all := behindCore(4)
		all = append(all, Watched{Source: "check/a", Kind: KindCheck, Host: "device/dev1"}, Watched{Source: "check/b", Kind: KindCheck, Host: Line})
		all[3].Means = []string{"device/dev1", "check/dev1~ping"}
		s := newSite(t, all...)
		codes := []diagnosis.Code{diagnosis.OK, diagnosis.GatewayDown, diagnosis.AccessDown, diagnosis.SelfFault, diagnosis.OnBackupWAN}
		for range 3000 {
			s.now += collectors.Stamp(r.IntN(40_000))
			at := s.now - collectors.Stamp(r.IntN(5000))
			switch r.IntN(40) {
			case 0:
				s.f.Link(r.IntN(2) == 0, at)
			case 1:
				s.f.Verdict(diagnosis.Verdict{Code: codes[r.IntN(len(codes))], Owner: diagnosis.ISP}, at-collectors.Stamp(r.IntN(100_000)), "", at)
			case 2:
				s.f.Wiring(Wiring{Parents: map[string][]string{"device/gw": {"device/dev1"}, "device/dev1": {"device/core", "device/gw"}}}) // a circle, too
			case 3:
				p := Plan{Sources: append([]Watched{}, all...)}
				r.Shuffle(len(p.Sources), func(i, j int) { p.Sources[i], p.Sources[j] = p.Sources[j], p.Sources[i] })
				p.Sources = p.Sources[r.IntN(3):]
				s.f.Apply(p)
			case 4, 5, 6, 7:
				s.f.Tick(s.now)
			default:
				w := all[r.IntN(len(all))]
				m := w.Source
				if len(w.Means) > 0 {
					m = w.Means[r.IntN(len(w.Means))]
				}
				b := batch(m, at, r.IntN(3) > 0 == (s.now/(20*minute)%2 == 0))
				s.f.Observe(&b)
			}
			s.take()
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
