package discovery

import (
	"slices"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/recordingtest"
)

// TestRecordings looks at recordings of real devices, which are not part of the
// repository (SITEPROBE_SHARED names the folder that has them): none is taken for
// another, and each is known again wherever it moves, unless it tells nothing at all
// that it could be known by.
func TestRecordings(t *testing.T) {
	files := recordingtest.Files(t)
	dialer, err := scope.New(scope.Config{Managed: []string{"10.9.0.0/16"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ss []Sighting
	names := map[string]string{} // by ID
	weak := 0
	for _, file := range files {
		name, vars := file.Name, file.Variables(t)
		l := &lan{scope: dialer, port: 161, snmp: []snmp.Option{snmp.Offline(vars)}}
		at := address(len(ss) + 1)
		got, err := l.try(t.Context(), at, snmp.Credential{Name: "lan", Auth: snmp.Auth{Version: "2c", Community: "x"}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.facts.SysObjectID == "" && got.facts.SysDescr == "" {
			t.Errorf("%s says nothing of itself: %+v", name, got.facts)
		}
		k := keysOf(&got.facts, "")
		t.Logf("%-45s %-12s %-10s model %q serial %q engine %s mac %s, %d parts, %d neighbours", name, got.facts.Class, got.facts.Vendor, got.facts.Model, k.serial, k.engine, k.mac,
			len(got.facts.Modules), len(got.neighbours))
		if !k.strong() {
			weak++
		}
		got.facts.SysName = name // those of recordings were made alike
		ss = append(ss, sight(at, got.facts))
	}
	known, changes := Merge(nil, Seen{Sightings: ss}, t0)
	if len(known) != len(ss) || len(changes) != len(ss) {
		t.Fatalf("%d devices of %d recordings", len(known), len(ss))
	}
	for _, d := range known {
		names[d.ID] = d.SysName
	}
	for i := range ss {
		ss[i].Address = address((i+7)%len(ss) + 1)
	}
	slices.Reverse(ss)
	moved, changes := Merge(known, Seen{Sightings: ss}, t0.Add(time.Hour))
	n := 0
	for _, c := range changes {
		if c.Kind == DeviceMoved {
			n++
		}
	}
	for _, d := range moved {
		if was, ok := names[d.ID]; ok && was != d.SysName {
			t.Errorf("%s is taken for %s", d.SysName, was)
		}
	}
	if n != len(ss)-weak {
		t.Errorf("%d of %d are known again, and %d tell nothing to be known by: %q", n, len(ss), weak, kinds(changes))
	}
	t.Logf("%d devices, %d of which tell nothing to be known by but address and name", len(ss), weak)
}
