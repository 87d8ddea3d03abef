package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// figures is a device that tells of numbers.
type figures struct {
	schema *collectors.Schema
	values []float64
}

func newFigures(source string, series ...collectors.Series) *figures {
	for i := range series {
		series[i].Kind = collectors.Gauge
	}
	return &figures{&collectors.Schema{Source: source, Series: series}, make([]float64, len(series))}
}

func (x *figures) batch(at collectors.Stamp) collectors.Batch {
	b := collectors.Batch{Source: x.schema.Source, At: at, Schema: x.schema}
	for _, v := range x.values {
		b.Values = append(b.Values, collectors.GaugeValue(v))
	}
	return b
}

// pass lets time pass, with a poll each minute.
func (s *site) pass(d collectors.Stamp, xs ...*figures) {
	s.t.Helper()
	for until := s.now + d; s.now < until; s.now += second {
		if s.now%minute == 0 {
			for _, x := range xs {
				b := x.batch(s.now)
				s.f.Observe(&b)
			}
		}
		s.f.Tick(s.now)
		s.take()
	}
}

func labelled(metric string, pairs ...string) collectors.Series {
	x := collectors.Series{Metric: metric}
	for i := 0; i < len(pairs); i += 2 {
		x.Labels = append(x.Labels, collectors.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return x
}

func number(f float64) *float64 { return &f }

func TestRule(t *testing.T) {
	s := newSite(t)
	s.plan = Plan{Sources: []Watched{device("srv"), device("pc")}, Config: Config{Rules: []Rule{{Name: "cpu_high", Metric: "hrProcessorLoad", Above: number(90), For: 5 * time.Minute,
		Clear: number(70), ForClear: 2 * time.Minute, Severity: "error", Owner: "msp", Summary: "{device} is busy: {value} % on {hrDeviceIndex}."}}}}
	s.plan.Sources[1].Quiet = true
	s.f.Apply(s.plan)
	srv := newFigures("device/srv", labelled("hrProcessorLoad", "device", "srv", "hrDeviceIndex", "1"), labelled("hrProcessorLoad", "device", "srv", "hrDeviceIndex", "2"))
	pc := newFigures("device/pc", labelled("hrProcessorLoad", "device", "pc"))
	pc.values[0] = 100
	srv.values[0] = 95
	s.pass(4*minute, srv, pc)
	srv.values[0] = 80
	s.pass(minute, srv, pc) // one reading below the bound: it begins anew
	srv.values[0] = 95
	s.pass(4*minute, srv, pc)
	if len(s.changes) != 0 {
		t.Fatalf("too early: %s", s.show())
	}
	began := s.now - 4*minute
	s.pass(4*minute, srv, pc)
	if s.count(Open) != 1 || s.changes[0].Incident.Summary != "srv is busy: 95 % on 1." || s.changes[0].Incident.Source != "device/srv" {
		t.Fatalf("%s", s.show())
	}
	i := s.changes[0].Incident
	if i.Owner != diagnosis.MSP || i.Severity != collectors.Error || i.Cause != "cpu_high" || i.Kind != KindThreshold || i.First < began || i.First > began+minute {
		t.Errorf("%+v, began at %d", i, began)
	}
	srv.values[0] = 80 // neither
	s.pass(30*minute, srv, pc)
	if s.count(Close) != 0 {
		t.Fatalf("closed between the bounds: %s", s.show())
	}
	srv.values[0] = 60
	s.pass(10*minute, srv, pc)
	if s.count(Close) != 1 || s.count(Open) != 1 {
		t.Errorf("%s", s.show())
	}
	// A rule that is gone takes its incident with it.
	srv.values[1] = 99
	s.pass(2*hour, srv, pc)
	if s.count(Open) != 2 {
		t.Fatalf("%s", s.show())
	}
	s.plan.Config = Config{}
	s.f.Apply(s.plan)
	s.take()
	if s.count(Close) != 2 {
		t.Errorf("%s", s.show())
	}
}

// A value that swings around its bound every few minutes is one incident.
func TestRuleFlaps(t *testing.T) {
	s := newSite(t, device("srv"))
	s.plan.Config = Config{Rules: []Rule{{Name: "hot", Metric: "t", Above: number(50)}}}
	s.f.Apply(s.plan)
	x := newFigures("device/srv", labelled("t"))
	for i := range 200 {
		x.values[0] = float64(40 + i%2*20)
		s.pass(4*minute, x)
	}
	hours := int(s.now/hour) + 1
	if n := len(s.changes); n > 2*hours || s.count(Open) > 2 {
		t.Errorf("%d changes in %d hours:\n%s", n, hours, s.show())
	}
}

func TestBuiltin(t *testing.T) {
	rules, absence := Builtin()
	if err := (Config{Rules: rules, Absence: absence}).Validate(); err != nil {
		t.Error(err)
	}
	for _, r := range slices.Concat(rules, absence) {
		if r.Metric == "" {
			r.Metric = "any" // only a built-in rule may wait for whatever comes
		}
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
	s := newSite(t, device("ups"), device("nas"), Watched{Source: "check/web", Name: "web", Kind: KindCheck})
	wall := int64(1_800_000_000_000)
	s.f.wall = func(at collectors.Stamp) int64 { return wall + int64(at) }
	ups := newFigures("device/ups", labelled("upsOutputSource"), labelled("upsBatteryStatus"))
	nas := newFigures("device/nas", labelled("raidStatus", "device", "nas", "raidName", "Volume 1"),
		labelled("hrStorageUsed", "hrStorageType", "fixedDisk", "hrStorageDescr", "/volume1"), labelled("hrStorageSize", "hrStorageType", "fixedDisk", "hrStorageDescr", "/volume1"),
		labelled("hrStorageUsed", "hrStorageType", "fixedDisk", "hrStorageDescr", "/snap/core"), labelled("hrStorageSize", "hrStorageType", "fixedDisk", "hrStorageDescr", "/snap/core"))
	web := newFigures("check/web", labelled("probe_success"), labelled("probe_ssl_earliest_cert_expiry"))
	box := newFigures(Host, labelled("node_filesystem_avail_bytes", "mountpoint", "/var"), labelled("node_filesystem_size_bytes", "mountpoint", "/var"), labelled("siteprobe_clock_sure"))
	ups.values = []float64{3, 2}
	nas.values = []float64{1, 10, 100, 100, 100}
	web.values = []float64{1, float64(wall/1000) + 30*86400}
	box.values = []float64{50, 100, 1}
	all := []*figures{ups, nas, web, box}
	s.pass(hour, all...)
	if len(s.changes) != 0 {
		t.Fatalf("%s", s.show())
	}
	ups.values[0], nas.values[0], nas.values[1], web.values[1], box.values[0] = 5, 11, 97, float64(wall/1000)+10*86400, 3
	s.pass(hour, all...)
	var got []string
	for _, i := range s.f.Open() {
		got = append(got, i.Cause)
	}
	slices.Sort(got)
	if want := "certificate_expires filesystem_full raid_degraded self_disk_full ups_on_battery"; strings.Join(got, " ") != want {
		t.Errorf("open: %v\n%s", got, s.show())
	}
	for _, i := range s.f.Open() {
		if strings.Contains(i.Summary, "{") || i.Source == "" {
			t.Errorf("%+v", i)
		}
		if i.Cause == "self_disk_full" && (i.Kind != KindSelf || i.Owner != diagnosis.MSP || i.Source != Host) {
			t.Errorf("%+v", i)
		}
	}
	ups.values[0], nas.values[0], nas.values[1], web.values[1], box.values[0] = 3, 1, 10, float64(wall/1000)+90*86400, 50
	s.pass(hour, all...)
	if len(s.f.Open()) != 0 {
		t.Errorf("%s", s.show())
	}
}

func TestAbsence(t *testing.T) {
	w := device("srv")
	w.SNMP, w.Means = true, []string{"device/srv", "check/srv~ping"}
	s := newSite(t)
	s.plan = Plan{Sources: []Watched{w}, Config: Config{Absence: []Rule{{Name: "no_backup", Metric: "backup_time", Device: "srv", For: 2 * time.Hour}}}}
	s.f.Apply(s.plan)
	backup, ping := newFigures("device/srv", labelled("backup_time")), newFigures("check/srv~ping", labelled("probe_success"))
	ping.values[0] = 1
	s.pass(3*hour, backup, ping)
	if len(s.changes) != 0 {
		t.Fatalf("%s", s.show())
	}
	s.pass(3*hour, ping)
	causes := map[string]Kind{}
	for _, i := range s.f.Open() {
		causes[i.Cause] = i.Kind
	}
	if want := map[string]Kind{"no_backup": KindAbsence, "no_readings": KindAbsence}; !maps.Equal(causes, want) {
		t.Fatalf("%v\n%s", causes, s.show())
	}
	s.pass(hour, backup, ping)
	if len(s.f.Open()) != 0 || s.count(Close) != 2 {
		t.Errorf("%s", s.show())
	}
	// One that is down gives no readings either, which is another incident.
	n := s.count(Open)
	ping.values[0] = 0
	s.pass(5*hour, ping)
	if open := s.f.Open(); s.count(Open) != n+1 || len(open) != 1 || open[0].Kind != KindDevice {
		t.Errorf("%s", s.show())
	}
}

// ports of a switch: an uplink, one that is watched, and one of a PC.
func switchPorts() (*figures, func(port string, oper, admin float64)) {
	var series []collectors.Series
	for i, name := range []string{"Gi1/0/1", "Gi1/0/24", "Gi1/0/7"} {
		series = append(series, labelled("ifAdminStatus", "ifIndex", fmt.Sprint(i+1), "ifName", name), labelled("ifOperStatus", "ifIndex", fmt.Sprint(i+1), "ifName", name))
	}
	x := newFigures("device/sw", series...)
	set := func(port string, oper, admin float64) {
		for i := range series {
			if series[i].Label("ifName") == port {
				x.values[i] = map[string]float64{"ifOperStatus": oper, "ifAdminStatus": admin}[series[i].Metric]
			}
		}
	}
	for _, p := range []string{"Gi1/0/1", "Gi1/0/24", "Gi1/0/7"} {
		set(p, 1, 1)
	}
	return x, set
}

func TestPorts(t *testing.T) {
	sw := device("sw")
	sw.Ports = []string{"uplinks", "gi1/0/24"}
	s := newSite(t)
	s.plan.Sources = []Watched{sw, device("far")}
	s.f.Apply(s.plan)
	s.f.Wiring(Wiring{Uplinks: map[string][]Uplink{"device/sw": {{IfIndex: 1, To: "device/far"}}}})
	x, set := switchPorts()
	far := newFigures("device/far", labelled("sysUpTime"))
	s.pass(10*minute, x, far)
	set("Gi1/0/7", 2, 1) // a PC is switched off
	set("Gi1/0/24", 2, 2)
	s.pass(10*minute, x, far)
	if len(s.changes) != 0 {
		t.Fatalf("%s", s.show())
	}
	set("Gi1/0/24", 2, 1)
	s.pass(10*minute, x, far)
	if open := s.f.Open(); len(open) != 1 || open[0].Key != "port/sw/Gi1/0/24" || open[0].Kind != KindPort {
		t.Fatalf("%s", s.show())
	}
	set("Gi1/0/24", 1, 1)
	s.pass(10*minute, x, far)
	// The far end dies, and its port with it: one incident.
	set("Gi1/0/1", 2, 1)
	s.pass(minute, x)
	b := batch("device/far", s.now, false)
	for range 5 {
		b.At = s.now
		s.f.Observe(&b)
		s.pass(minute, x)
	}
	if open := s.f.Open(); len(open) != 1 || open[0].Key != "device/far" || len(open[0].Affected) != 2 {
		t.Fatalf("%s", s.show())
	}
	set("Gi1/0/1", 1, 1)
	s.pass(20*minute, x, far)
	if len(s.f.Open()) != 0 || s.count(Open) != 2 {
		t.Errorf("%s", s.show())
	}
	// A port that nobody asks for any more is forgotten, with its incident.
	set("Gi1/0/24", 2, 1)
	s.pass(2*hour, x, far)
	s.plan.Sources[0].Ports = nil
	s.f.Apply(s.plan)
	s.pass(hour, x, far)
	if len(s.f.Open()) != 0 || len(s.f.ports) != 1 {
		t.Errorf("%d ports, %s", len(s.f.ports), s.show())
	}
}

func TestBounds(t *testing.T) {
	var all []Watched
	for i := range maxSources + 5 {
		all = append(all, device(fmt.Sprint(i)))
	}
	f := NewFold(Settings{Start: 1})
	f.Apply(Plan{Sources: all})
	if len(f.sources) != maxSources || f.over != 6 { // the line is one
		t.Errorf("%d sources, %d over", len(f.sources), f.over)
	}
	// What is kept of ten thousand sources that come and go does not grow.
	f.Apply(Plan{Sources: all[:10_000]})
	at := minute
	for round := range 14 {
		for i := range 10_000 {
			b := batch(all[i].Source, at, round/3%2 == 0)
			f.Observe(&b)
		}
		f.Tick(at)
		f.Take()
		at += minute
	}
	for _, s := range f.order {
		if len(s.downs) > flapMost+1 {
			t.Fatalf("%d downs kept", len(s.downs))
		}
	}
	if len(f.open) > 10_000 || len(f.layouts) > 20_001 {
		t.Errorf("%d open, %d layouts", len(f.open), len(f.layouts))
	}
	at += 2 * hour
	f.Tick(at)
	if len(f.layouts) != 0 {
		t.Errorf("%d layouts after hours without a batch", len(f.layouts))
	}
}
