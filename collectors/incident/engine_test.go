package incident

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// testClock is a clock that is set by hand.
type testClock struct {
	now    collectors.Stamp
	offset int64
	boot   string
}

func (c *testClock) Now() collectors.Stamp { return c.now }
func (c *testClock) Offset() (int64, bool) { return c.offset, true }
func (c *testClock) Boot() string          { return c.boot }

// rig is an engine with everything that it hands on.
type rig struct {
	t       *testing.T
	clock   *testClock
	dir     string
	e       *Engine
	batches []collectors.Batch
	tell    Tell
	changes []Change
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, clock: &testClock{now: hour, offset: 1_800_000_000_000, boot: "one"}, dir: t.TempDir()}
	r.start()
	return r
}

func (r *rig) start(sources ...Watched) {
	r.e = NewEngine(Options{Clock: r.clock, Dir: r.dir, Add: func(b collectors.Batch) {
		if err := b.Validate(); err != nil {
			r.t.Error(err)
		}
		r.batches = append(r.batches, b)
		for i := range b.Events {
			r.tell.Add(&b.Events[i], time.UnixMilli(int64(b.At)+r.clock.offset), false)
		}
	}, Sink: func(_ []Edge, cs []Change) { r.changes = append(r.changes, cs...) }})
	r.e.Apply(Plan{Sources: sources}, nil)
}

func (r *rig) pass(d collectors.Stamp, up bool, sources ...string) {
	for until := r.clock.now + d; r.clock.now < until; r.clock.now += 5 * second {
		if r.clock.now%minute == 0 {
			for _, s := range sources {
				r.e.Observe(batch(s, r.clock.now, up))
			}
		}
		r.e.step(r.clock.now)
	}
}

func (r *rig) events(kind string) (out []collectors.Event) {
	for _, b := range r.batches {
		for _, e := range b.Events {
			if e.Kind == kind {
				out = append(out, e)
			}
		}
	}
	return out
}

func TestEngineOverRestart(t *testing.T) {
	r := newRig(t)
	r.start(device("sw"))
	r.pass(10*minute, true, "device/sw")
	r.pass(10*minute, false, "device/sw")
	if len(r.e.Incidents()) != 1 {
		t.Fatalf("%d open", len(r.e.Incidents()))
	}
	was := r.e.Incidents()[0]
	if err := r.e.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(r.events(StoppedEvent)); n != 1 {
		t.Errorf("%d events of the stop", n)
	}
	// The box is started anew, two minutes later: its boot clock begins again.
	before := int64(was.First) + r.clock.offset
	wall := int64(r.clock.now) + r.clock.offset + 120_000
	r.clock.boot, r.clock.now = "two", 30*second
	r.clock.offset = wall - int64(r.clock.now)
	r.start(device("sw"))
	open := r.e.Incidents()
	if len(open) != 1 || open[0].ID != was.ID || int64(open[0].First)+r.clock.offset != before {
		t.Fatalf("%+v, was %+v", open, was)
	}
	r.pass(10*minute, true, "device/sw")
	last := r.changes[len(r.changes)-1]
	if last.What != Close || last.Incident.ID != was.ID || len(r.e.Incidents()) != 0 {
		t.Errorf("%+v", last)
	}
	if n := len(r.events(StartedEvent)); n != 2 {
		t.Errorf("%d events of starts", n)
	}
	if told := r.tell.List(); len(told) != 1 || told[0].Closed.IsZero() {
		t.Errorf("told: %+v", told)
	}
}

func TestDamagedState(t *testing.T) {
	for _, text := range []string{"", "{", `{"version":99}`, `{"version":1,"incidents":[{"ID":""},{"ID":"a","Key":"b","Severity":99}]}`} {
		r := newRig(t)
		if err := os.WriteFile(filepath.Join(r.dir, "incidents.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.start(device("sw"))
		if n := len(r.e.Incidents()); n != 0 {
			t.Errorf("%q: %d open", text, n)
		}
	}
}

// Many changes at once are divided into batches within the bounds.
func TestManyAtOnce(t *testing.T) {
	r := newRig(t)
	var all []Watched
	var names []string
	for i := range 500 {
		w := device(fmt.Sprint(strings.Repeat("long", 20), i))
		all, names = append(all, w), append(names, w.Source)
	}
	r.start(all...)
	r.pass(10*minute, true, names...)
	r.pass(10*minute, false, names...)
	if n := len(r.events(OpenEvent)); n != 500 || len(r.e.Incidents()) != 500 {
		t.Errorf("%d told of", n)
	}
	last := collectors.Stamp(0)
	for _, b := range r.batches {
		if b.At <= last {
			t.Fatalf("batch at %d after one at %d", b.At, last)
		}
		last = b.At
	}
}

func TestSilences(t *testing.T) {
	r := newRig(t)
	r.start(device("sw"), Watched{Source: "check/web", Name: "web", Kind: KindCheck, Host: "device/sw"})
	r.pass(5*minute, true, "device/sw")
	now := r.e.time(r.clock.now)
	id, err := r.e.Silence(Silence{Scope: []string{"device/sw"}, Until: now.Add(time.Hour), Why: "I know"})
	if err != nil {
		t.Fatal(err)
	}
	r.pass(20*minute, false, "device/sw")
	if r.changes[0].Incident.Silenced != "silence "+id {
		t.Errorf("%+v", r.changes[0])
	}
	r.e.Apply(Plan{Sources: []Watched{device("sw")}}, nil)
	if err := r.e.Close(); err != nil {
		t.Fatal(err)
	}
	r.start(device("sw")) // a silence outlives a restart
	if len(r.e.Silences()) != 1 {
		t.Fatal("the silence is gone")
	}
	n := len(r.changes)
	r.pass(2*hour, false, "device/sw")
	if len(r.e.Silences()) != 0 || len(r.changes) != n+1 || r.changes[n].What != Update || r.changes[n].Incident.Silenced != "" {
		t.Errorf("after the silence: %+v", r.changes[n:])
	}
	if err := r.e.End(id); err == nil {
		t.Error("a silence that is over was ended")
	}
}

func TestMaintenanceWindows(t *testing.T) {
	r := newRig(t)
	r.start(device("sw"), device("other"), Watched{Source: "check/web", Name: "web", Kind: KindCheck, Host: "device/sw"})
	now := r.e.time(r.clock.now)
	id, err := r.e.AddWindow(Window{Name: "firmware", Scope: []string{"device/sw"}, Start: now.Add(10 * time.Minute), End: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	r.pass(9*minute, true, "device/sw", "device/other")
	told := r.events(WindowEvent)
	if len(told) != 1 {
		t.Fatalf("%d events of a window that is approved", len(told))
	}
	if w, ok := WindowOf(&told[0]); !ok || !w.Excluded() || w.ID != id || fmt.Sprint(w.Scope) != "[device/sw check/web]" {
		t.Errorf("%+v %v", w, ok)
	}
	r.pass(20*minute, false, "device/sw", "device/other")
	for _, c := range r.changes {
		want := map[string]string{"device/sw": "maintenance firmware"}[c.Incident.Source]
		if c.Incident.Silenced != want {
			t.Errorf("%s is silenced by %q", c.Incident.Source, c.Incident.Silenced)
		}
	}
	if err := r.e.End(id); err != nil {
		t.Fatal(err)
	}
	r.pass(minute, false)
	told = r.events(WindowEvent)
	if w, _ := WindowOf(&told[len(told)-1]); len(told) != 2 || !w.End.Before(now.Add(40*time.Minute)) || !w.End.After(w.Start) {
		t.Errorf("ended early: %+v", told)
	}
	late := Window{Start: r.e.time(r.clock.now), End: r.e.time(r.clock.now).Add(time.Hour), Approved: r.e.time(r.clock.now)}
	if late.Excluded() {
		t.Error("a window that was approved when it began is excluded")
	}
}

func TestMaintenanceConfig(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no zone files:", err)
	}
	m := Maintenance{Name: "patches", Devices: []string{"all"}, Every: "Sun 02:30", Duration: 2 * time.Hour, Approved: "2026-01-01 00:00"}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	// Also on the days on which there is no 02:30, and on which there are two.
	for _, c := range []struct{ at, start string }{
		{"2026-03-22T02:00:00Z", "2026-03-22T01:30:00Z"},
		{"2026-03-29T02:00:00Z", "2026-03-29T01:30:00Z"},
		{"2026-04-05T01:00:00Z", "2026-04-05T00:30:00Z"},
		{"2026-10-25T02:00:00Z", "2026-10-25T01:30:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		ws := m.Windows(at, berlin)
		if len(ws) != 1 || ws[0].Start.Format(time.RFC3339) != c.start || !ws[0].Excluded() || ws[0].End.Sub(ws[0].Start) != 2*time.Hour {
			t.Errorf("at %s: %+v", c.at, ws)
		}
	}
	for _, c := range []struct {
		m    Maintenance
		want string
	}{
		{Maintenance{}, "name: must"},
		{Maintenance{Name: "a"}, "devices: is missing"},
		{Maintenance{Name: "a", Devices: []string{"all", "b"}}, "devices: all"},
		{Maintenance{Name: "a", Devices: []string{"b"}}, "start: needs"},
		{Maintenance{Name: "a", Devices: []string{"b"}, Every: "Son 02:00", Duration: 1}, "every: "},
		{Maintenance{Name: "a", Devices: []string{"b"}, Every: "Sun 2", Duration: 1}, "every: "},
		{Maintenance{Name: "a", Devices: []string{"b"}, Every: "daily 02:00", Duration: 25 * time.Hour}, "duration: must be less"},
		{Maintenance{Name: "a", Devices: []string{"b"}, Start: "2026-01-01 02:00"}, "duration: needs"},
		{Maintenance{Name: "a", Devices: []string{"b"}, Start: "2026-01-01 02:00", End: "2026-01-01 01:00"}, "end: must be later"},
		{Maintenance{Name: "a", Devices: []string{"b"}, Start: "2026-01-01 02:00", End: "2026-02-01 01:00"}, "end: must be at most"},
		{Maintenance{Name: "a", Devices: []string{"b"}, Start: "tomorrow", Duration: 1}, "start: "},
		{Maintenance{Name: "a", Devices: []string{"b"}, Start: "2026-01-01 02:00", Duration: 1, Timezone: "Mars"}, "timezone: "},
		{Maintenance{Name: "a", Devices: []string{"b"}, Start: "2026-01-01 02:00", Duration: 1, Approved: "yes"}, "approved: "},
	} {
		if err := c.m.Validate(); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.m, err, c.want)
		}
	}
}

func TestWindowOfManyDevices(t *testing.T) {
	w := Window{ID: "x", Name: "n", Start: time.Unix(1000, 0).UTC(), End: time.Unix(2000, 0).UTC()}
	for i := range 100 {
		w.Scope = append(w.Scope, fmt.Sprint("device/", strings.Repeat("n", 30), i))
	}
	var got []string
	for _, e := range w.Events() {
		b := collectors.Batch{Source: Source, Events: []collectors.Event{e}}
		if err := b.Validate(); err != nil {
			t.Fatal(err)
		}
		x, ok := WindowOf(&e)
		if !ok {
			t.Fatal("no window")
		}
		got = append(got, x.Scope...)
	}
	if fmt.Sprint(got) != fmt.Sprint(w.Scope) {
		t.Errorf("%d of %d came back", len(got), len(w.Scope))
	}
}

// Everybody may call at once.
func TestEngineConcurrently(t *testing.T) {
	r := newRig(t)
	var all []Watched
	for i := range 20 {
		all = append(all, device(fmt.Sprint(i)))
	}
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	e := NewEngine(Options{Clock: r.clock, Dir: r.dir, Wiring: func() Wiring { return Wiring{} }, Add: func(collectors.Batch) {}})
	wg.Go(func() { _ = e.Run(ctx) })
	for n := range 4 {
		wg.Go(func() {
			for i := range 500 {
				b := collectors.Batch{Source: fmt.Sprint("device/", i%20), At: hour + collectors.Stamp(i)*second, Outcome: collectors.Outcome{Result: collectors.Failed}}
				e.Observe(b)
				switch {
				case i%50 == n:
					e.Apply(Plan{Sources: all[n:]}, nil)
				case i%51 == n:
					e.Link(i%2 == 0, b.At)
				case i%52 == n:
					e.Incidents()
					e.Maintenance()
					e.Self("a", "b")
				}
			}
		})
	}
	time.AfterFunc(100*time.Millisecond, stop)
	wg.Wait()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// BenchmarkObserve is a poll of a switch of 48 ports, two of which matter.
func BenchmarkObserve(b *testing.B) {
	var series []collectors.Series
	for i := range 48 {
		for _, m := range []string{"ifAdminStatus", "ifOperStatus", "ifHCInOctets", "ifHCOutOctets", "ifInErrors", "ifOutErrors", "ifInDiscards", "ifOutDiscards", "ifHighSpeed", "ifAlias", "ifMtu"} {
			series = append(series, labelled(m, "device", "sw", "ifIndex", fmt.Sprint(i+1), "ifName", fmt.Sprint("Gi1/0/", i+1)))
		}
	}
	x := newFigures("device/sw", series...)
	for i := range x.values {
		x.values[i] = 1
	}
	f := NewFold(Settings{Start: 1})
	w := device("sw")
	w.Ports = []string{"Gi1/0/1", "Gi1/0/48"}
	f.Apply(Plan{Sources: []Watched{w}})
	batch := x.batch(hour)
	for b.Loop() {
		batch.At += second
		f.Observe(&batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(series)), "ns/reading")
}

// TestWindowGoneOverRestart: a window that is taken out of the site file while the
// daemon does not run is called off when it runs again; one that stays is told once.
func TestWindowGoneOverRestart(t *testing.T) {
	r := newRig(t)
	day := r.e.time(r.clock.now).Add(2 * time.Hour).UTC()
	plan := Maintenance{Name: "patch day", Devices: []string{All}, Start: day.Format(time.RFC3339), Duration: time.Hour, Approved: day.Add(-24 * time.Hour).Format(time.RFC3339)}
	r.e.Apply(Plan{}, []Maintenance{plan, plan}) // twice is once
	r.pass(5*minute, true)
	if n := len(r.events(WindowEvent)); n != 1 {
		t.Fatalf("%d events of a window: %+v", n, r.events(WindowEvent))
	}
	for _, still := range []bool{true, false} {
		if err := r.e.Close(); err != nil {
			t.Fatal(err)
		}
		r.start()
		if still {
			r.e.Apply(Plan{}, []Maintenance{plan})
		}
		r.pass(5*minute, true)
	}
	told := r.events(WindowEvent)
	if len(told) != 2 {
		t.Fatalf("%d events of a window, want the first and that it is called off", len(told))
	}
	if w, _ := WindowOf(&told[1]); w.End.After(w.Start) {
		t.Errorf("it is not called off: %+v", w)
	}
}

// TestUnlooked: where nobody looks at the line any more, what was said of it ends.
func TestUnlooked(t *testing.T) {
	s := newSite(t, behindCore(3)...)
	s.run(20 * minute)
	s.f.Verdict(diagnosis.Verdict{Code: diagnosis.GatewayDown, Owner: diagnosis.Customer}, s.now, "", s.now)
	s.run(25 * minute)
	s.f.Unlooked(s.now)
	s.run(60 * minute)
	if e := s.last[Line]; e.State != Unknown || s.count(Open) != 1 || s.count(Close) != 1 {
		t.Errorf("%+v\n%s", e, s.show())
	}
	if e := s.last["device/core"]; e.State != Up {
		t.Errorf("devices stay hidden: %+v", e)
	}
}
