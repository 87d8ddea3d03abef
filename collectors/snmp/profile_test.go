package snmp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

func at(oid string) []byte { return pdu.MustOID(oid) }

// under is a device that is asked for what a profile says.
func under(t *testing.T, p *profile.Profile) *device {
	d := newDevice(t, 0)
	d.c = collectorOf(t, Config{Address: "127.0.0.1"}, over(d.fake), WithClock(func() time.Time { return d.now }),
		WithKinds(NewKinds(always{p})))
	return d
}

func TestForms(t *testing.T) {
	words := map[int64]string{1: "up", 2: "down"}
	d := under(t, &profile.Profile{
		Scalars: []profile.Metric{
			{Name: "model_info", OID: at("1.3.9.1.0"), Form: profile.Info, FormLabel: "model"},
			{Name: "power", OID: at("1.3.9.2.0"), Form: profile.StateSet, Convert: profile.Convert{Enum: words}},
			{Name: "alarms", OID: at("1.3.9.3.0"), Form: profile.Bits, Convert: profile.Convert{Enum: map[int64]string{0: "hot", 9: "wet"}}},
			{Name: "temperature", OID: at("1.3.9.4.0"), Unit: "celsius", Convert: profile.Convert{Extract: &profile.Extract{}}},
			{Name: "temperature_text", OID: at("1.3.9.4.0"), Kind: text, Interval: time.Minute},
		},
	})
	d.put("1.3.9.1.0", octets("X-1"))
	d.put("1.3.9.2.0", integer(2))
	d.put("1.3.9.3.0", octets("\x80\x40"))
	d.put("1.3.9.4.0", octets("23.5"))
	want := map[string]string{
		`model_info{device="sw1",model="X-1"}`: "1", `power{device="sw1",power="up"}`: "0", `power{device="sw1",power="down"}`: "1",
		`alarms{device="sw1",alarms="hot"}`: "1", `alarms{device="sw1",alarms="wet"}`: "1",
		`temperature{device="sw1"}`: "23.5", `temperature_text{device="sw1"}`: "23.5",
	}
	same := func(what string) {
		t.Helper()
		got := readings(d.step())
		for s, v := range want {
			if got[s] != v {
				t.Errorf("%s: %s is %q, want %q", what, s, got[s], v)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %v", what, got)
		}
	}
	same("first")
	want[`model_info{device="sw1",model="X-1"}`] = "-" // read when names are
	d.put("1.3.9.2.0", integer(1))
	d.put("1.3.9.3.0", octets(""))
	want[`power{device="sw1",power="up"}`], want[`power{device="sw1",power="down"}`] = "1", "0"
	want[`alarms{device="sw1",alarms="hot"}`], want[`alarms{device="sw1",alarms="wet"}`] = "0", "0"
	same("second")
	d.put("1.3.9.2.0", integer(7))
	d.now = d.now.Add(10 * time.Minute)
	want[`model_info{device="sw1",model="X-1"}`] = "1"
	want[`power{device="sw1",power="up"}`] = "0"
	same("a state without a word")
}

// TestLabels: of the index, of the same table, of one that is found by part of the
// index, and of one that a third leads to.
func TestLabels(t *testing.T) {
	d := under(t, &profile.Profile{
		Labels: []profile.Label{{Name: "location", From: []profile.Source{{OID: at("1.3.6.1.2.1.1.6.0")}}}},
		Tables: []profile.Table{{
			Name:  "stations",
			Index: []profile.Index{{Label: "port"}, {Label: "mac", Type: profile.IndexMAC}},
			Columns: []profile.Metric{
				{Name: "seen", OID: at("1.3.9.1.1.3")},
				{Name: "named", OID: at("1.3.9.1.1.3"), Labels: []profile.Label{{Name: "own", From: []profile.Source{{Value: "yes"}}}}},
			},
			Labels: []profile.Label{
				{Name: "kind", From: []profile.Source{{OID: at("1.3.9.1.1.4"), Enum: map[int64]string{1: "radio"}}}},
				{Name: "arc", From: []profile.Source{{Arc: 7}}},
				{Name: "portName", From: []profile.Source{{OID: at("1.3.9.2.1.2"), Arcs: [][2]int{{0, 0}}}}},
				{Name: "ifName", From: []profile.Source{{OID: at("1.3.9.3.1.2"),
					Through: &profile.Source{OID: at("1.3.9.2.1.3"), Arcs: [][2]int{{0, 0}}}}}},
				{Name: "none", From: []profile.Source{{OID: at("1.3.9.1.1.9")}, {Value: "fallback"}}},
				{Name: "address", From: []profile.Source{{OID: at("1.3.9.1.1.5"), Text: profile.InetAddress, TypeOf: at("1.3.9.1.1.4")}}},
			},
		}},
	})
	d.put("1.3.6.1.2.1.1.6.0", octets("rack 4"))
	d.put("1.3.9.1.1.3.5.0.1.2.3.4.5", num(pdu.TagGauge32, 9))
	d.put("1.3.9.1.1.4.5.0.1.2.3.4.5", integer(1))
	d.put("1.3.9.1.1.5.5.0.1.2.3.4.5", octets("\x0a\x00\x00\x01"))
	d.put("1.3.9.2.1.2.5", octets("port five"))
	d.put("1.3.9.2.1.3.5", integer(105))
	d.put("1.3.9.3.1.2.105", octets("Gi5"))
	labels := `location="rack 4",%sport="5",mac="00:01:02:03:04:05",kind="radio",arc="5",portName="port five",ifName="Gi5",none="fallback",address="10.0.0.1"}`
	want := map[string]string{
		"seen{" + fmt.Sprintf(labels, ""): "9",
	}
	d.check("labels", d.step(), want, "seen")
	named := only(d.step(), "named")
	for s := range named {
		if !strings.Contains(s, `own="yes"`) || !strings.Contains(s, `portName="port five"`) {
			t.Errorf("%s has not its labels", s)
		}
	}
	if len(named) != 1 {
		t.Errorf("%v", named)
	}
	// A row that comes has its labels at once, looked up in the other tables.
	d.put("1.3.9.2.1.2.6", octets("port six"))
	d.put("1.3.9.1.1.3.6.0.1.2.3.4.5", num(pdu.TagGauge32, 8))
	found := false
	for s := range only(d.step(), "seen") {
		found = found || strings.Contains(s, `portName="port six"`)
	}
	if !found {
		t.Error("the row that has come has not its label")
	}
}

func TestRowsAlike(t *testing.T) {
	d := under(t, &profile.Profile{Tables: []profile.Table{{
		Name: "twins", Index: []profile.Index{{}},
		Columns: []profile.Metric{{Name: "n", OID: at("1.3.9.1.1.3")}},
	}}})
	for i := range 3 {
		d.put(fmt.Sprintf("1.3.9.1.1.3.%d", i+1), num(pdu.TagGauge32, uint64(i)))
	}
	d.check("rows without labels", d.step(), map[string]string{`n{device="sw1"}`: "0", `n{index="2"}`: "1", `n{index="3"}`: "2"}, "n")
}

func TestSensors(t *testing.T) {
	s := &profile.Sensor{Type: at("1.3.9.1.1.1"), Scale: at("1.3.9.1.1.2"), Precision: at("1.3.9.1.1.3"), Status: at("1.3.9.1.1.5")}
	d := under(t, &profile.Profile{Tables: []profile.Table{{
		Name: "sensors", Index: []profile.Index{{Label: "id"}},
		Columns: []profile.Metric{{Name: "value", OID: at("1.3.9.1.1.4"), Kind: gauge, Convert: profile.Convert{Sensor: s}}},
	}}})
	for i, r := range [][5]int64{{8, 9, 1, 235, 1}, {4, 8, 0, 3300, 1}, {10, 9, 0, 4200, 1}, {8, 9, 0, 1000000000, 1}, {8, 9, 0, 20, 2}, {12, 9, 3, 2, 1}} {
		for col, n := range r {
			d.put(fmt.Sprintf("1.3.9.1.1.%d.%d", col+1, i+1), integer(n))
		}
	}
	bs := d.step()
	d.check("sensors", bs, map[string]string{
		`value{id="1"}`: "23.5", `value{id="2"}`: "3.3", `value{id="3"}`: "4200", `value{id="4"}`: "-", `value{id="5"}`: "-", `value{id="6"}`: "2",
	}, "value")
	units := map[string]string{}
	for _, s := range bs[0].Schema.Series {
		units[s.Label("id")] = s.Unit
	}
	if units["1"] != "celsius" || units["2"] != "volts" || units["3"] != "rpm" || units["6"] != "" {
		t.Errorf("units %v", units)
	}
	d.put("1.3.9.1.1.5.5", integer(1))
	if got := only(d.step(), "value")[`value{id="5"}`]; got != "20" {
		t.Errorf("a sensor that is back: %s", got)
	}
}

func TestIntervals(t *testing.T) {
	d := under(t, &profile.Profile{
		Scalars: []profile.Metric{{Name: "slow", OID: at("1.3.9.9.0"), Interval: 5 * time.Minute}},
		Tables: []profile.Table{
			{Name: "often", Columns: []profile.Metric{{Name: "a", OID: at("1.3.9.1.1.3")}, {Name: "b", OID: at("1.3.9.1.1.4"), Interval: 5 * time.Minute}}},
			{Name: "seldom", Interval: 5 * time.Minute, Columns: []profile.Metric{{Name: "c", OID: at("1.3.9.2.1.3")}}},
		},
	})
	for _, oid := range []string{"1.3.9.9.0", "1.3.9.1.1.3.1", "1.3.9.1.1.4.1", "1.3.9.2.1.3.1"} {
		d.put(oid, num(pdu.TagGauge32, 5))
	}
	schema := d.step()[0].Schema
	for n := 1; n < 9; n++ {
		bs := d.step()
		if bs[0].Schema != schema {
			t.Fatalf("poll %d has another schema", n)
		}
		want := "-"
		if n == 5 {
			want = "5"
		}
		got := readings(bs)
		if got[`a{device="sw1",index="1"}`] != "5" || got[`b{device="sw1",index="1"}`] != want || got[`c{device="sw1",index="1"}`] != want || got[`slow{device="sw1"}`] != want {
			t.Errorf("poll %d: %v", n, got)
		}
	}
}

func TestATableThatIsEmptied(t *testing.T) {
	d := newDevice(t, 3)
	schema := d.step()[0].Schema
	d.take(ifs[:len(ifs)-1])
	d.take(ifx[:len(ifx)-1])
	flagged := 0
	for range 20 {
		d.now = d.now.Add(time.Minute)
		bs, err := poll(t, d.c)
		if err == nil {
			break
		}
		flagged++
		if !errors.Is(err, errEmptied) || !strings.Contains(err.Error(), "interfaces incomplete") || bs[0].Schema != schema {
			t.Fatalf("error %v, same schema: %v", err, bs[0].Schema == schema)
		}
	}
	if flagged != 10 {
		t.Errorf("said to be empty in %d polls, want 10", flagged)
	}
	d.port(1)
	if n := count(d.step(), "ifHCInOctets"); n != 1 {
		t.Errorf("%d rows after they have come back", n)
	}
}

func TestUnorderedAgents(t *testing.T) {
	column := func(loop bool) (*device, error) {
		d := under(t, &profile.Profile{
			Agent:  profile.Agent{AllowUnordered: true},
			Tables: []profile.Table{{Name: "unsorted", Columns: []profile.Metric{{Name: "n", OID: at("1.3.9.1.1.3")}}}},
		})
		order := []string{"1.3.9.1.1.3", "1.3.9.1.1.3.5", "1.3.9.1.1.3.2", "1.3.9.1.1.3.9", "1.3.9.8"}
		if loop {
			order[4] = "1.3.9.1.1.3.5"
		}
		d.answer = func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
			if r.reps < 0 {
				return vbs, nil
			}
			out := []pdu.Varbind{}
			at := string(pdu.AppendDotted(nil, r.oids[0]))
			for range max(r.reps, 1) {
				for i, o := range order[:len(order)-1] {
					if o == at {
						at = order[i+1]
						break
					}
				}
				out = append(out, pdu.Varbind{OID: pdu.MustOID(at), Tag: pdu.TagGauge32, Num: 1})
			}
			return out, nil
		}
		bs, err := poll(t, d.c)
		if n := count(bs, "n"); n != 3 {
			t.Errorf("loop %v: %d rows, want 3 (%v)", loop, n, err)
		}
		return d, err
	}
	if _, err := column(false); err != nil {
		t.Errorf("error %v", err)
	}
	if _, err := column(true); !errors.Is(err, errNotIncreasing) {
		t.Errorf("of one that repeats: %v", err)
	}
}

func TestChoosing(t *testing.T) {
	model := func(name string) *profile.Profile {
		return &profile.Profile{Name: name, Scalars: []profile.Metric{{Name: "fans", OID: at("1.3.9.1.0")}}}
	}
	one, two := model("one"), model("two")
	two.Agent.NoBulk = true
	d := newDevice(t, 3)
	d.put("1.3.9.1.0", num(pdu.TagGauge32, 3))
	d.put("1.3.6.1.2.1.1.1.0", octets("firmware 1"))
	d.c = collectorOf(t, Config{Address: "127.0.0.1"}, over(d.fake), WithClock(func() time.Time { return d.now }),
		WithKinds(NewKinds(byDescr{"firmware 1": one, "firmware 2": two})))
	first := d.step()
	if d.c.plan.profile != one || len(first[0].Events) != 0 {
		t.Errorf("profile %q, events %v", d.c.plan.profile.Name, first[0].Events)
	}
	d.put("1.3.6.1.2.1.1.1.0", octets("firmware 2"))
	d.put("1.3.6.1.2.1.1.3.0", num(pdu.TagTimeTicks, 0))
	bs := d.step()
	kinds := eventKinds(bs)
	if d.c.plan.profile != two || strings.Join(kinds, " ") != "snmp_profile reboot" {
		t.Errorf("profile %q, events %v", d.c.plan.profile.Name, kinds)
	}
	if got := readings(bs)[`fans{device="sw1"}`]; got != "3" {
		t.Errorf("fans: %q", got)
	}
	if d.c.walker.pace.bulk {
		t.Error("GetBulk, although the profile says that the agent cannot")
	}

	forced := collectorOf(t, Config{Address: "127.0.0.1", Profile: one}, over(d.fake), WithKinds(NewKinds(byDescr{"firmware 2": two})))
	mustPoll(t, forced)
	if forced.plan.profile != one {
		t.Errorf("profile %q, although another one is given", forced.plan.profile.Name)
	}
}

type byDescr map[string]*profile.Profile

func (b byDescr) For(_, descr string, _ ...[]byte) *profile.Profile { return b[descr] }
func (b byDescr) Asks(string, string) [][]byte                      { return nil }

// TestSmallTablesShareRequests: what a poll of many short tables costs.
func TestSmallTablesShareRequests(t *testing.T) {
	p := &profile.Profile{}
	for n := range 8 {
		p.Tables = append(p.Tables, profile.Table{Name: fmt.Sprintf("t%d", n), Columns: []profile.Metric{{Name: fmt.Sprintf("m%d", n), OID: at(fmt.Sprintf("1.3.9.%d.1.3", n))}}})
	}
	d := under(t, p)
	for n := range 8 {
		for i := range 3 {
			d.put(fmt.Sprintf("1.3.9.%d.1.3.%d", n, i+1), num(pdu.TagGauge32, 1))
		}
	}
	for range 5 {
		d.step()
	}
	d.asked = nil
	if bs := d.step(); bs[0].Readings() != 8*3+2 || len(d.asked) != 1 {
		t.Errorf("%d readings in %d requests, want 26 in 1", bs[0].Readings(), len(d.asked))
	}
}

// TestBoundsOfProfiles: more than there may be of everything.
func TestBoundsOfProfiles(t *testing.T) {
	p := &profile.Profile{}
	for n := range 2 * maxTables {
		tab := profile.Table{Name: "t", Index: []profile.Index{{Label: "i"}}}
		for c := range 4 {
			m := profile.Metric{Name: fmt.Sprintf("m%d_%d", n, c), OID: at(fmt.Sprintf("1.3.9.%d.1.%d", n, c))}
			for l := range 2 * collectors.MaxLabels {
				m.Labels = append(m.Labels, profile.Label{Name: fmt.Sprintf("l%d", l), From: []profile.Source{{Value: strings.Repeat("x", 400)}, {OID: at("1.3.9.9.1.1"), Arcs: [][2]int{{0, 90}}}}})
			}
			tab.Columns = append(tab.Columns, m)
		}
		p.Tables = append(p.Tables, tab)
		p.Scalars = append(p.Scalars, profile.Metric{Name: fmt.Sprintf("s%d", n), OID: at(fmt.Sprintf("1.3.9.8.%d.0", n)), Kind: text})
	}
	d := under(t, p)
	for n := range 2 * maxTables {
		d.put(fmt.Sprintf("1.3.9.%d.1.1.7", n), num(pdu.TagGauge32, 1))
		d.put(fmt.Sprintf("1.3.9.8.%d.0", n), octets(strings.Repeat("y", 300)))
	}
	bs := d.step()
	if n := count(bs, "s5"); n != 1 || len(bs) < 2 {
		t.Errorf("%d series of a scalar, %d batches", n, len(bs))
	}
	missing := 0
	for s, v := range readings(bs) {
		if strings.HasPrefix(s, "s") && v == "-" {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d texts are missing", missing)
	}
}
