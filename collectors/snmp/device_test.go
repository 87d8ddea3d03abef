package snmp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// device is a fake with a clock, and the collector that polls it.
type device struct {
	*fake
	t   *testing.T
	c   *Collector
	now time.Time
}

func newDevice(t *testing.T, ports int) *device {
	d := &device{fake: &fake{}, t: t, now: time.Unix(1700000000, 0)}
	d.put("1.3.6.1.2.1.1.3.0", num(pdu.TagTimeTicks, 1000000))
	d.put("1.3.6.1.2.1.1.5.0", octets("switch\x00"))
	for p := 1; p <= ports; p++ {
		d.port(p)
	}
	d.c = collectorOf(t, Config{Address: "127.0.0.1"}, over(d.fake), WithClock(func() time.Time { return d.now }))
	return d
}

func (d *device) put(oid string, v pdu.Varbind) { d.set(d.t, oid, v) }
func (d *device) take(oid string)               { d.delete(d.t, oid) }

// port adds an interface with 64-bit counters.
func (d *device) port(p int) {
	at := func(column string) string { return fmt.Sprintf("%s.%d", column, p) }
	d.put(at(ifs+"2"), octets(fmt.Sprintf("port %d", p)))
	d.put(at(ifs+"8"), num(pdu.TagInteger, 1))
	d.put(at(ifs+"10"), num(pdu.TagCounter32, uint64(p)))
	d.put(at(ifx+"1"), octets(fmt.Sprintf("p%d", p)))
	d.put(at(ifx+"6"), num(pdu.TagCounter64, uint64(p)<<40))
	d.put(at(ifx+"15"), num(pdu.TagGauge32, 1000))
	d.put(at(ifx+"18"), octets(""))
}

// narrow takes the 64-bit counter of an interface away.
func (d *device) narrow(p int) { d.take(fmt.Sprintf("%s6.%d", ifx, p)) }

// step is a poll a minute later.
func (d *device) step() []collectors.Batch {
	d.t.Helper()
	d.now = d.now.Add(time.Minute)
	i, _ := d.find(pdu.MustOID("1.3.6.1.2.1.1.3.0"))
	d.vars[i].Num = (d.vars[i].Num + 6000) % (1 << 32)
	return mustPoll(d.t, d.c)
}

// only keeps the readings whose series begin so, without the device's label.
func only(bs []collectors.Batch, metrics ...string) map[string]string {
	m := map[string]string{}
	for s, v := range readings(bs) {
		for _, metric := range metrics {
			if strings.HasPrefix(s, metric+"{") {
				m[strings.Replace(s, `device="sw1",`, "", 1)] = v
			}
		}
	}
	return m
}

func (d *device) check(what string, bs []collectors.Batch, want map[string]string, metrics ...string) {
	d.t.Helper()
	if diff := cmp.Diff(want, only(bs, metrics...)); diff != "" {
		d.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestCountersArePinned(t *testing.T) {
	const (
		hc1 = `ifHCInOctets{ifIndex="1",ifName="p1",ifAlias=""}`
		hc2 = `ifHCInOctets{ifIndex="2",ifName="p2",ifAlias=""}`
		in2 = `ifInOctets{ifIndex="2",ifName="p2",ifAlias=""}`
	)
	octetCounters := []string{"ifHCInOctets", "ifInOctets"}
	d := newDevice(t, 2)
	d.narrow(2)
	want := map[string]string{hc1: "1099511627776", in2: "2"}
	d.check("HC on one of two", d.step(), want, octetCounters...)
	d.check("again", d.step(), want, octetCounters...)

	d.narrow(1)
	d.check("HC is missing once", d.step(), map[string]string{hc1: "-", in2: "2"}, octetCounters...)

	d.put(ifx+"6.1", num(pdu.TagCounter64, 5))
	d.put(ifx+"6.2", num(pdu.TagCounter64, 6))
	d.now = d.now.Add(time.Hour)
	d.put("1.3.6.1.2.1.1.3.0", num(pdu.TagTimeTicks, 1500000))
	d.check("HC has come, names are read", d.step(), map[string]string{hc1: "5", in2: "2"}, octetCounters...)

	d.put("1.3.6.1.2.1.1.3.0", num(pdu.TagTimeTicks, 0))
	d.check("after a restart", d.step(), map[string]string{hc1: "5", hc2: "6"}, octetCounters...)
}

func TestLostColumnIsNotAnAbsentOne(t *testing.T) {
	d := newDevice(t, 1)
	d.answer = func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
		if r.reps >= 0 {
			for i := range vbs {
				if _, ok := pdu.Below(vbs[i].OID, pdu.MustOID(ifx+"6")); ok {
					return nil, ErrNoAnswer
				}
			}
		}
		return vbs, nil
	}
	bs, err := poll(t, d.c)
	if !errors.Is(err, ErrNoAnswer) {
		t.Fatalf("error %v", err)
	}
	d.check("a device that falls silent", bs, map[string]string{}, "ifHCInOctets", "ifInOctets")
	d.answer = nil
	d.step()
	d.check("it speaks again", d.step(), map[string]string{
		`ifHCInOctets{ifIndex="1",ifName="p1",ifAlias=""}`: "1099511627776"}, "ifHCInOctets", "ifInOctets")
}

func TestSpeed(t *testing.T) {
	d := newDevice(t, 4)
	d.put(ifs+"5.1", num(pdu.TagGauge32, 1000000000))
	d.put(ifx+"15.2", num(pdu.TagGauge32, 0))
	d.put(ifs+"5.2", num(pdu.TagGauge32, 64000))
	d.take(ifx + "15.3")
	d.put(ifs+"5.3", num(pdu.TagGauge32, 10000000))
	d.put(ifx+"15.4", num(pdu.TagGauge32, 0))
	d.put(ifs+"5.4", num(pdu.TagGauge32, 0))
	want := map[string]string{
		`ifHighSpeed{ifIndex="1",ifName="p1",ifAlias=""}`: "1000",
		`ifSpeed{ifIndex="2",ifName="p2",ifAlias=""}`:     "64000",
		`ifSpeed{ifIndex="3",ifName="p3",ifAlias=""}`:     "10000000",
		`ifHighSpeed{ifIndex="4",ifName="p4",ifAlias=""}`: "0",
	}
	d.check("first", d.step(), want, "ifHighSpeed", "ifSpeed")
	d.check("second", d.step(), want, "ifHighSpeed", "ifSpeed")
}

func TestNames(t *testing.T) {
	const metric = "ifOperStatus"
	d := newDevice(t, 2)
	d.take(ifx + "1.2") // an interface without ifName
	want := map[string]string{
		`ifOperStatus{ifIndex="1",ifName="p1",ifAlias=""}`:                      "1",
		`ifOperStatus{ifIndex="2",ifName="port 2",ifDescr="port 2",ifAlias=""}`: "1",
	}
	first := d.step()
	d.check("first", first, want, metric)

	d.put(ifx+"18.1", octets("uplink"))
	d.check("names are kept", d.step(), want, metric)

	delete(want, `ifOperStatus{ifIndex="1",ifName="p1",ifAlias=""}`)
	want[`ifOperStatus{ifIndex="1",ifName="p1",ifAlias="uplink"}`] = "1"
	d.put("1.3.6.1.2.1.31.1.5.0", num(pdu.TagTimeTicks, 1000))
	last := d.step()
	d.check("ifTableLastChange has moved", last, want, metric)
	if last[0].Schema == first[0].Schema {
		t.Error("other names and the same schema")
	}

	d.take(ifx + "18.1")
	d.check("names are kept", d.step(), want, metric)
	for range 11 {
		last = d.step()
	}
	delete(want, `ifOperStatus{ifIndex="1",ifName="p1",ifAlias="uplink"}`)
	want[`ifOperStatus{ifIndex="1",ifName="p1",ifAlias=""}`] = "1"
	d.check("after ten minutes", last, want, metric)
	schema := last[0].Schema
	for range 11 {
		last = d.step()
	}
	if last[0].Schema != schema {
		t.Error("names were read and are the same, but the schema is another")
	}

	d.put(ifx+"1.1", octets("new1"))
	d.put("1.3.6.1.2.1.1.3.0", num(pdu.TagTimeTicks, 0))
	last = d.step()
	delete(want, `ifOperStatus{ifIndex="1",ifName="p1",ifAlias=""}`)
	want[`ifOperStatus{ifIndex="1",ifName="new1",ifAlias=""}`] = "1"
	d.check("after a restart", last, want, metric)
	if n := len(last[0].Events); n != 1 || last[0].Events[0].Kind != "reboot" {
		t.Errorf("events %v", last[0].Events)
	}
	if last = d.step(); len(last[0].Events) != 0 {
		t.Errorf("events %v after it", last[0].Events)
	}
}

func TestUptimeWrapIsNoReboot(t *testing.T) {
	d := newDevice(t, 1)
	d.put("1.3.6.1.2.1.1.3.0", num(pdu.TagTimeTicks, 1<<32-9000))
	var kinds []string
	for range 3 {
		kinds = append(kinds, eventKinds(d.step())...)
	}
	if diff := cmp.Diff([]string{"uptime_wrap"}, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func eventKinds(bs []collectors.Batch) (kinds []string) {
	for _, b := range bs {
		for _, e := range b.Events {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

func TestRowsComeAndGo(t *testing.T) {
	d := newDevice(t, 0)
	if got := count(d.step(), "ifOperStatus"); got != 0 {
		t.Fatalf("%d rows of none", got)
	}
	for n, step := range []struct {
		change func()
		want   []int
	}{
		{func() { d.port(5); d.port(9) }, []int{5, 9}}, // within a minute of there being none
		{func() { d.port(7) }, []int{5, 7, 9}},
		{func() { d.port(1); d.port(300) }, []int{1, 5, 7, 9, 300}},
		{func() {
			for _, column := range []string{ifs + "2", ifs + "8", ifs + "10", ifx + "1", ifx + "6", ifx + "15", ifx + "18"} {
				d.take(column + ".7")
			}
		}, []int{1, 5, 9, 300}},
	} {
		step.change()
		want := map[string]string{}
		for _, p := range step.want {
			want[fmt.Sprintf(`ifHCInOctets{ifIndex="%d",ifName="p%d",ifAlias=""}`, p, p)] = fmt.Sprint(uint64(p) << 40)
		}
		d.check(fmt.Sprintf("step %d", n), d.step(), want, "ifHCInOctets")
	}
}

func TestSeveralBatches(t *testing.T) {
	d := newDevice(t, 1500)
	d.c.cfg.Labels = []collectors.Label{{Name: "contract", Value: "gold"}}
	first := d.step()
	if len(first) < 3 {
		t.Fatalf("%d batches of %d ports", len(first), 1500)
	}
	for n, b := range d.step() {
		if b.Schema != first[n].Schema {
			t.Errorf("batch %d has another schema in the second poll", n)
		}
	}
	if n := count(first, "ifHCInOctets"); n != 1500 {
		t.Errorf("%d ports", n)
	}

	d.put(ifx+"18.1500", octets("changed"))
	d.now = d.now.Add(10 * time.Minute)
	for n, b := range d.step() {
		if same, last := b.Schema == first[n].Schema, n == len(first)-1; same == last {
			t.Errorf("batch %d: same schema: %v, although only the last port has another name", n, same)
		}
	}
}

func TestTooManyRows(t *testing.T) {
	d := newDevice(t, 20)
	d.c.cfg.MaxRows = 8
	bs, err := poll(t, d.c)
	if !errors.Is(err, errTooManyRows) {
		t.Errorf("error %v", err)
	}
	if n := count(bs, "ifHCInOctets"); n != 8 {
		t.Errorf("%d rows", n)
	}
}

// TestRoom: what a device makes up takes no more memory than one may.
func TestRoom(t *testing.T) {
	p := &profile.Profile{}
	for n := range 40 {
		tab := profile.Table{Name: fmt.Sprintf("t%d", n)}
		for c := range 20 {
			tab.Columns = append(tab.Columns, profile.Metric{Name: fmt.Sprintf("m%d_%d", n, c), OID: pdu.MustOID(fmt.Sprintf("1.3.9.%d.%d", n, c)), Kind: collectors.Text})
		}
		p.Tables = append(p.Tables, tab)
	}
	d := under(t, p)
	for n := range 40 {
		for i := range 200 {
			d.put(fmt.Sprintf("1.3.9.%d.0.%d", n, i), octets(strings.Repeat("x", 400)))
		}
	}
	_, err := poll(t, d.c)
	if !errors.Is(err, errTooManyRows) || d.c.room < 0 {
		t.Errorf("error %v, room %d", err, d.c.room)
	}
}

// TestSteadyPollsTakeNoMemory but for the values that they hand over.
func TestSteadyPollsTakeNoMemory(t *testing.T) {
	d := newDevice(t, 48)
	c := collectorOf(t, Config{Address: "127.0.0.1", NamesEvery: time.Hour}, Offline(d.vars))
	for range 5 {
		mustPoll(t, c)
	}
	n := testing.AllocsPerRun(20, func() {
		if err := c.Collect(t.Context(), func(collectors.Batch) {}); err != nil {
			t.Fatal(err)
		}
	})
	if n > 20 {
		t.Errorf("%v allocations in a poll of 48 ports", n)
	}
	t.Logf("%v allocations", n)
}

func TestSilenceMidway(t *testing.T) {
	d := newDevice(t, 100)
	schema := d.step()[0].Schema
	left := 1
	d.answer = func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
		if left--; left < 0 {
			return nil, ErrNoAnswer
		}
		return vbs, nil
	}
	bs, err := poll(t, d.c)
	if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "interfaces incomplete (ifOperStatus") {
		t.Errorf("error %v", err)
	}
	if bs[0].Schema != schema {
		t.Error("the schema is another")
	}
	if n := bs[0].Readings(); n < 20 || n > 110 {
		t.Errorf("%d readings of half a poll", n)
	}
}

func TestAnswersAreBoundToNoOrder(t *testing.T) {
	d := newDevice(t, 1)
	d.answer = func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
		if r.reps == -1 {
			for i, j := 0, len(vbs)-1; i < j; i, j = i+1, j-1 {
				vbs[i], vbs[j] = vbs[j], vbs[i]
			}
		}
		return vbs, nil
	}
	if got := readings(d.step())[`sysName{device="sw1"}`]; got != "switch" {
		t.Errorf("sysName %q", got)
	}
}
