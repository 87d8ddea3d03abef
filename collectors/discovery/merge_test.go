package discovery

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a1 = netip.MustParseAddr("192.168.10.1")
	a2 = netip.MustParseAddr("192.168.10.2")
	a3 = netip.MustParseAddr("192.168.10.3")
)

const (
	engA = "8000000903001b21000001"
	engB = "80001f8880aabbccddee02"
	macA = "00:1b:21:00:00:0a"
	macB = "00:1b:21:00:00:0b"
)

// sight is a device that answers SNMP at an address.
func sight(at netip.Addr, f Facts) Sighting {
	return Sighting{Address: at, SNMP: true, Credential: "lan", Facts: f}
}

func kinds(cs []Change) string {
	var out []string
	for _, c := range cs {
		s := strings.TrimPrefix(string(c.Kind), "device_")
		if c.Field != "" {
			s += ":" + c.Field
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestMerge(t *testing.T) {
	base := Facts{SysName: "sw1", Serial: "FOC1234X", EngineID: engA, MAC: macA, Vendor: "cisco", Model: "C9300", Firmware: "17.3"}
	with := func(f func(*Facts)) Facts { x := base; f(&x); return x }
	changed := func(at time.Time, ticks uint64) Facts {
		return with(func(f *Facts) { f.ConfigChanged, f.ConfigTicks = at, ticks })
	}
	other := Facts{SysName: "sw2", Serial: "FOC9999Z", EngineID: engB, MAC: macB, Vendor: "cisco", Model: "C9300", Firmware: "17.3"}
	only := func(f Facts, keep string) Facts { // of the keys, only one
		if keep != "serial" {
			f.Serial = ""
		}
		if keep != "engine" {
			f.EngineID = ""
		}
		if keep != "mac" {
			f.MAC = ""
		}
		return f
	}
	for _, c := range []struct {
		name  string
		state State // of what was seen in the first sweep
		first []Sighting
		then  []Sighting
		want  string // changes of the second sweep
		at    string // addresses of the devices after it, by sysName
	}{
		{"the same", Candidate, []Sighting{sight(a1, base)}, []Sighting{sight(a1, base)}, "", "sw1=1"},
		{"new", Candidate, nil, []Sighting{sight(a1, base)}, "new", "sw1=1"},
		{"pings only are not told", Candidate, nil, []Sighting{{Address: a1}}, "", "=1"},
		{"moved by serial, with a new engine and MAC", Candidate, []Sighting{sight(a1, only(base, "serial"))}, []Sighting{sight(a2, base)}, "moved", "sw1=2"},
		{"moved by engine", Candidate, []Sighting{sight(a1, only(base, "engine"))}, []Sighting{sight(a2, base)}, "moved", "sw1=2"},
		{"moved by MAC", Candidate, []Sighting{sight(a1, only(base, "mac"))}, []Sighting{sight(a2, base)}, "moved", "sw1=2"},
		{"a polled one that moved is polled where it was", Adopted, []Sighting{sight(a1, base)}, []Sighting{sight(a2, base)}, "moved", "sw1=1>2"},
		{"name and address are enough where nothing else is told", Candidate, []Sighting{sight(a1, only(base, ""))}, []Sighting{sight(a1, only(base, ""))}, "", "sw1=1"},
		{"a name alone is not", Candidate, []Sighting{sight(a1, only(base, ""))}, []Sighting{sight(a2, only(base, ""))}, "new", "sw1=1 sw1=2"},
		{"swapped", Candidate, []Sighting{sight(a1, base), sight(a2, other)}, []Sighting{sight(a1, other), sight(a2, base)}, "moved moved", "sw1=2 sw2=1"},
		{"swapped, with names alike", Adopted, []Sighting{sight(a1, base), sight(a2, with(func(f *Facts) { f.Serial, f.EngineID, f.MAC = "FOC9999Z", engB, macB }))},
			[]Sighting{sight(a2, base), sight(a1, with(func(f *Facts) { f.Serial, f.EngineID, f.MAC = "FOC9999Z", engB, macB }))}, "moved moved", "sw1=1>2 sw1=2>1"},
		{"firmware", Candidate, []Sighting{sight(a1, base)}, []Sighting{sight(a1, with(func(f *Facts) { f.Firmware = "17.6" }))}, "changed:firmware", "sw1=1"},
		{"name and model", Candidate, []Sighting{sight(a1, base)}, []Sighting{sight(a1, with(func(f *Facts) { f.SysName, f.Model = "core", "C9500" }))}, "changed:model changed:sysName", "core=1"},
		{"configuration", Candidate, []Sighting{sight(a1, changed(t0.Add(-time.Hour), 1_000_000))}, []Sighting{sight(a1, changed(t0, 1_360_000))}, "changed:config", "sw1=1"},
		{"the box's clock was set", Candidate, []Sighting{sight(a1, changed(time.Unix(3600, 0), 1_000_000))}, []Sighting{sight(a1, changed(t0, 1_000_000))}, "", "sw1=1"},
		{"configuration, and the box's clock was set back", Candidate, []Sighting{sight(a1, changed(t0, 1_000_000))},
			[]Sighting{sight(a1, changed(time.Unix(3600, 0), 1_360_000))}, "changed:config", "sw1=1"},
		{"restarted", Candidate, []Sighting{sight(a1, changed(t0.Add(-time.Hour), 1_000_000))}, []Sighting{sight(a1, changed(t0, 3_000))}, "", "sw1=1"},
		{"restarted, and configured since", Candidate, []Sighting{sight(a1, changed(t0.Add(-time.Hour), 1_000_000))}, []Sighting{sight(a1, changed(t0, 90_000))}, "changed:config", "sw1=1"},
		{"of a registry of before", Candidate, []Sighting{sight(a1, with(func(f *Facts) { f.ConfigChanged = t0.Add(-time.Hour) }))},
			[]Sighting{sight(a1, changed(t0, 1_360_000))}, "", "sw1=1"},
		{"what is not told has not changed", Candidate, []Sighting{sight(a1, base)}, []Sighting{sight(a1, Facts{SysName: "sw1"})}, "", "sw1=1"},
		{"replaced where it is polled", Adopted, []Sighting{sight(a1, base)}, []Sighting{sight(a1, other)}, "replaced", "sw2=1"},
		{"replaced by one of the same name", Candidate, []Sighting{sight(a1, base)}, []Sighting{sight(a1, with(func(f *Facts) { f.Serial, f.EngineID, f.MAC = "FOC9999Z", engB, macB }))}, "replaced", "sw1=1"},
		{"another on a candidate's address", Candidate, []Sighting{sight(a1, base)}, []Sighting{sight(a1, other)}, "new", "sw1=1 sw2=1"},
		{"not replaced: it moved", Adopted, []Sighting{sight(a1, base)}, []Sighting{sight(a1, other), sight(a3, base)}, "moved new", "sw1=1>3 sw2=1"},
		{"not replaced: one that is known moved there", Adopted, []Sighting{sight(a1, base), sight(a2, other)}, []Sighting{sight(a1, other)}, "moved", "sw1=1 sw2=2>1"},
		{"several addresses", Candidate, nil, []Sighting{sight(a1, base), sight(a2, base), sight(a3, other)}, "new new", "sw1=1 sw2=3"},
		{"several addresses, one of them gone", Candidate, []Sighting{sight(a1, base), sight(a2, base)}, []Sighting{sight(a2, base)}, "moved", "sw1=2"},
		{"a copied engine", Candidate, nil, []Sighting{sight(a1, only(base, "engine")), sight(a2, with(func(f *Facts) { f.SysName, f.Serial, f.MAC = "sw2", "", "" }))}, "new new", "sw1=1 sw2=2"},
		{"a copied engine, swapped", Candidate,
			[]Sighting{sight(a1, base), sight(a2, with(func(f *Facts) { f.SysName, f.Serial, f.MAC = "sw2", "FOC9999Z", macB }))},
			[]Sighting{sight(a2, base), sight(a1, with(func(f *Facts) { f.SysName, f.Serial, f.MAC = "sw2", "FOC9999Z", macB }))}, "moved moved", "sw1=2 sw2=1"},
		{"a serial of nobody", Candidate, nil, []Sighting{sight(a1, with(func(f *Facts) { f.Serial, f.EngineID, f.MAC = "0123456789", "", "" })),
			sight(a2, with(func(f *Facts) { f.Serial, f.EngineID, f.MAC, f.SysName = "0123456789", "", "", "sw2" }))}, "new new", "sw1=1 sw2=2"},
		{"SNMP was switched off", Adopted, []Sighting{sight(a1, base)}, []Sighting{{Address: a1}}, "", "sw1=1"},
		{"the site file says who it is, where it tells less than before", Listed, []Sighting{{Address: a1, Device: "d0", SNMP: true, Facts: only(base, "serial")}},
			[]Sighting{{Address: a1, Device: "d0", SNMP: true, Facts: Facts{EngineID: engA}}}, "", "sw1=1"},
		{"but not where it is another", Listed, []Sighting{{Address: a1, Device: "d0", SNMP: true, Facts: base}},
			[]Sighting{{Address: a1, Device: "d0", SNMP: true, Facts: Facts{EngineID: engB}}}, "replaced", "=1"},
		{"SNMP was switched on", Candidate, []Sighting{{Address: a1, Link: macA}}, []Sighting{{Address: a1, Link: macA, SNMP: true, Facts: base}}, "new", "sw1=1"},
		{"SNMP was switched on, where the link is not seen", Candidate, []Sighting{{Address: a1}}, []Sighting{{Address: a1, SNMP: true, Facts: base}}, "new", "sw1=1"},
		{"a credential opens what only spoke SNMP", Candidate, []Sighting{{Address: a1, SNMP: true, Facts: Facts{EngineID: "80001f8801c0a80a01"}}}, []Sighting{sight(a1, base)}, "", "sw1=1"},
		{"SNMP was switched on at another machine", Candidate, []Sighting{{Address: a1, Link: macA}}, []Sighting{{Address: a1, Link: macB, SNMP: true, Facts: base}}, "new", "=1 sw1=1"},
		{"one that is known moved to where somebody was", Candidate, []Sighting{{Address: a1}, sight(a2, base)}, []Sighting{sight(a1, base)}, "moved", "=1 sw1=1"},
		{"the same by its link", Candidate, []Sighting{{Address: a1, Link: macA}}, []Sighting{{Address: a2, Link: macA}}, "", "=2"},
		{"a router that answers ARP for others", Candidate, nil, []Sighting{{Address: a1, Link: macA}, {Address: a2, Link: macA}}, "", "=1 =2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			known, _ := Merge(nil, Seen{Sightings: c.first}, t0)
			for i := range known {
				known[i].State, known[i].Name = c.state, fmt.Sprint("d", i)
			}
			got, changes := Merge(known, Seen{Sightings: c.then}, t0.Add(time.Hour))
			if k := kinds(changes); k != c.want {
				t.Errorf("changes %q, want %q", k, c.want)
			}
			var at []string
			for _, d := range got {
				s := fmt.Sprintf("%s=%d", d.SysName, d.Address.As4()[3])
				if d.Found.IsValid() {
					s += fmt.Sprintf(">%d", d.Found.As4()[3])
				}
				at = append(at, s)
			}
			if s := strings.Join(at, " "); s != c.at {
				t.Errorf("devices %q, want %q", s, c.at)
			}
			for _, c := range changes {
				e := c.Event()
				if e.Text == "" || len(e.Labels) == 0 {
					t.Errorf("event %+v", e)
				}
			}
		})
	}
}

func TestMergeGone(t *testing.T) {
	f := Facts{SysName: "sw1", Serial: "FOC1234X"}
	ds, _ := Merge(nil, Seen{Sightings: []Sighting{sight(a1, f), {Address: a2}}}, t0)
	elsewhere := func(a netip.Addr) bool { return a == a3 }
	for n := range 5 {
		var cs []Change
		if ds, cs = Merge(ds, Seen{Covered: elsewhere}, t0); len(cs) > 0 || ds[0].Missed > 0 {
			t.Fatalf("sweep %d of other addresses: %q", n, kinds(cs))
		}
	}
	for n, want := range []string{"", "", "gone", "", ""} {
		var cs []Change
		ds, cs = Merge(ds, Seen{}, t0)
		if kinds(cs) != want {
			t.Fatalf("sweep %d: %q, want %q", n, kinds(cs), want)
		}
	}
	if len(ds) != 1 {
		t.Errorf("what only answered pings has not gone: %+v", ds)
	}
	ds, cs := Merge(ds, Seen{Sightings: []Sighting{sight(a2, f)}}, t0)
	if kinds(cs) != "back moved" || ds[0].Gone || ds[0].Missed != 0 {
		t.Errorf("%q %+v", kinds(cs), ds[0])
	}
}

func TestMergeFollows(t *testing.T) {
	f := Facts{SysName: "sw1", Serial: "FOC1234X"}
	ds, _ := Merge(nil, Seen{Sightings: []Sighting{sight(a1, f)}}, t0)
	ds[0].State, ds[0].Name = Adopted, "sw1"
	moved, cs := Merge(ds, Seen{Sightings: []Sighting{sight(a2, f)}, Follow: true}, t0)
	if kinds(cs) != "moved" || moved[0].Address != a2 || moved[0].Found.IsValid() {
		t.Errorf("by policy: %q %+v", kinds(cs), moved[0])
	}
	moved, _ = Merge(ds, Seen{Sightings: []Sighting{sight(a2, f)}}, t0)
	again, cs := Merge(moved, Seen{Sightings: []Sighting{sight(a2, f)}}, t0)
	if len(cs) > 0 {
		t.Errorf("it is told twice: %q", kinds(cs))
	}
	b := Book{Devices: again}
	if d, err := b.Follow("sw1"); err != nil || d.Address != a2 || d.Found.IsValid() {
		t.Errorf("by word: %+v, %v", d, err)
	}
	if _, err := b.Follow("sw1"); err == nil {
		t.Error("followed to nowhere")
	}
}

// TestMergeDoesNotChange: a sweep that cannot be kept must leave no trace.
func TestMergeDoesNotChange(t *testing.T) {
	f := Facts{SysName: "sw1", Serial: "FOC1234X"}
	ds, _ := Merge(nil, Seen{Sightings: []Sighting{sight(a1, f), sight(a2, f)}}, t0)
	before := fmt.Sprintf("%+v", ds)
	Merge(ds, Seen{Sightings: []Sighting{sight(a3, f)}}, t0)
	Merge(ds, Seen{}, t0)
	if after := fmt.Sprintf("%+v", ds); after != before {
		t.Errorf("%s\n%s", before, after)
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct{ kind, in, want string }{
		{"serial", "foc 1234 x", "FOC1234X"}, {"serial", "0000000000", ""}, {"serial", "XXXX", ""}, {"serial", "To Be Filled By O.E.M.", ""},
		{"serial", "12345678", ""}, {"serial", "AB", ""}, {"serial", "", ""},
		{"engine", "80001F8880AABBCCDDEE02", "80001f8880aabbccddee02"},
		{"engine", "80001f8801c0a80a01", ""},                   // of an IPv4 address
		{"engine", "80001f8802fe800000000000000000000001", ""}, // of an IPv6 address
		{"engine", "8000000903001b2100000a", "8000000903001b2100000a"},
		{"engine", "8000000903000000000000", ""}, {"engine", "8000000903021b2100000a", ""}, {"engine", "zz", ""}, {"engine", "80001f88", ""},
		{"engine", "800000090400000000000000", ""}, {"engine", "0000000902000001c0a80a01", "0000000902000001c0a80a01"},
		{"mac", "00-1B-21-00-00-0A", macA}, {"mac", "02:1b:21:00:00:0a", ""}, {"mac", "01:1b:21:00:00:0a", ""}, {"mac", "00:00:00:00:00:00", ""},
		{"mac", "00:00:5e:00:01:07", ""}, {"mac", "00:00:0c:07:ac:01", ""}, {"mac", "x", ""},
	} {
		f := map[string]func(string) string{"serial": serialKey, "engine": engineKey, "mac": macKey}[c.kind]
		if got := f(c.in); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.kind, c.in, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	none := func(string) bool { return false }
	b := Book{Devices: []Device{
		{ID: "1", State: Candidate, Address: a1, Facts: Facts{SysName: "Müller's switch"}},
		{ID: "2", State: Candidate, Address: a2, Facts: Facts{SysName: "core.example"}},
		{ID: "3", State: Candidate, Address: a3, Facts: Facts{SysName: "core.example"}},
	}}
	if d, err := b.Adopt("192.168.10.1", "", none); err != nil || d.Name != "M-ller-s-switch" {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := b.Adopt("core.example", "", none); err == nil || !strings.Contains(err.Error(), "192.168.10.2, 192.168.10.3") {
		t.Errorf("two are meant: %v", err)
	}
	twins := Book{Devices: []Device{{ID: "x1", State: Candidate, Address: a1}, {ID: "x2", State: Candidate, Address: a1, Facts: Facts{SysName: "sw1"}}}}
	if _, err := twins.Adopt(a1.String(), "", none); err == nil || !strings.Contains(err.Error(), "name one by its ID: x1 (192.168.10.1), x2 (sw1)") {
		t.Errorf("two at one address: %v", err)
	}
	if d, err := b.Adopt("2", "", func(s string) bool { return s == "core.example" }); err != nil || d.Name != "core.example-2" {
		t.Errorf("the site file has its name: %+v %v", d, err)
	}
	if _, err := b.Adopt("3", "core.example-2", none); err == nil {
		t.Error("a name was given twice")
	}
	if _, err := b.Adopt("3", "a b", none); err == nil {
		t.Error("a bad name was taken")
	}
	if d, err := b.Forget("core.example-2"); err != nil || d.ID != "2" || len(b.Devices) != 2 {
		t.Errorf("forgetting: %+v %v", d, err)
	}
	if got := sanitised(strings.Repeat("x", 70)); len(got) != 64 || !validName.MatchString(got) {
		t.Errorf("%q", got)
	}
}

func TestPolicy(t *testing.T) {
	ups := Device{State: Candidate, SNMP: true, Credential: "lan", Facts: Facts{Class: "ups", Vendor: "apc"}}
	mute := ups
	mute.Credential = ""
	for _, c := range []struct {
		p    Policy
		d    Device
		want bool
	}{
		{Policy{}, ups, false}, {Policy{Mode: Ask}, ups, false}, {Policy{Mode: Auto}, ups, true}, {Policy{Mode: Auto}, mute, false},
		{Policy{Classes: []string{"switch", "UPS"}}, ups, true}, {Policy{Classes: []string{"switch"}}, ups, false},
		{Policy{Vendors: []string{"APC"}}, ups, true}, {Policy{Classes: []string{"ups"}, Vendors: []string{"eaton"}}, ups, false},
	} {
		if got := c.p.Wants(&c.d); got != c.want {
			t.Errorf("%+v of %+v: %v", c.p, c.d, got)
		}
	}
	b := Book{Devices: []Device{ups, mute}}
	b.Devices[0].ID, b.Devices[1].ID, b.Devices[0].Address, b.Devices[1].Address = "1", "2", a1, a2
	if cs := b.takeWanted(Policy{Mode: Auto}, func(string) bool { return false }); kinds(cs) != "adopted" || b.Devices[0].Name != "apc-192.168.10.1" {
		t.Errorf("%q %+v", kinds(cs), b.Devices[0])
	}
}

func TestEventsFit(t *testing.T) {
	long := strings.Repeat("ü\x1b", 300)
	d := Device{ID: "1", State: Adopted, Name: "x", Address: a1, Found: a2, Facts: Facts{SysName: long, Vendor: long, Model: long, Serial: long, SysDescr: long, Class: long}}
	for _, k := range []Kind{DeviceNew, DeviceGone, DeviceBack, DeviceMoved, DeviceChanged, DeviceReplaced, DeviceAdopted} {
		c := Change{Kind: k, Device: d, Field: "firmware", From: long, To: long}
		e := c.Event()
		batch := batchOf(e)
		if err := batch.Validate(); err != nil {
			t.Errorf("%s: %v", k, err)
		}
		if strings.ContainsRune(e.Text, '\x1b') || slices.ContainsFunc(e.Labels, func(l label) bool { return strings.ContainsRune(l.Value, '\x1b') }) {
			t.Errorf("%s drives a terminal: %q", k, e.Text)
		}
	}
}
