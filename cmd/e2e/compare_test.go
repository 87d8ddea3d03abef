package e2e

import "testing"

// TestCompare keeps the comparison of the kill test from going blind: each fault
// that it is to find is made once.
func TestCompare(t *testing.T) {
	name := func(n uint64) batchName { return batchName{1, "device/d0", n} }
	const value = 1 << deviceShift // of the first agent
	type faults struct{ lost, forgotten, unknown, unlogged, different, invented, doubled int }
	for _, c := range []struct {
		what string
		make func(l *ledger, box, hub *contents)
		want faults
	}{
		{"nothing", func(*ledger, *contents, *contents) {}, faults{}},
		{"not at the hub", func(_ *ledger, _, hub *contents) { delete(hub.batches, name(0)) }, faults{lost: 1}},
		{"nowhere", func(_ *ledger, box, hub *contents) { delete(hub.batches, name(0)); delete(box.batches, name(0)) }, faults{lost: 1, forgotten: 1}},
		{"sent before its commit", func(l *ledger, box, _ *contents) { delete(l.batches, name(0)); delete(box.batches, name(0)) }, faults{unknown: 1}},
		{"committed without a line", func(l *ledger, _, _ *contents) { delete(l.batches, name(0)) }, faults{unlogged: 1}},
		{"committed without a line and lost", func(l *ledger, _, hub *contents) { delete(l.batches, name(0)); delete(hub.batches, name(0)) }, faults{unlogged: 1, lost: 1}},
		{"changed on the way", func(_ *ledger, _, hub *contents) { hub.batches[name(0)] = "other" }, faults{different: 1}},
		{"of another device", func(_ *ledger, _, hub *contents) { hub.values[0].device = "d1" }, faults{invented: 1}},
		{"never answered", func(_ *ledger, _, hub *contents) { hub.values[0].value = value + 9 }, faults{invented: 1}},
		{"under two names", func(_ *ledger, _, hub *contents) { hub.values[1].value = hub.values[0].value }, faults{doubled: 1}},
	} {
		f := &fleet{agents: []*agent{{name: "d0", number: 1}, {name: "d1", number: 2}}}
		f.agents[0].given.Store(2)
		l, box, hub := newLedger(), newContents(), newContents()
		for n := range uint64(2) {
			l.batches[name(n)] = true
			box.batches[name(n)], hub.batches[name(n)] = "same", "same"
			hub.values = append(hub.values, reading{name(n), "d0", value + 1 + n})
		}
		c.make(l, box, hub)
		got := compare(l, f, box, hub)
		sizes := faults{len(got.lost), len(got.forgotten), len(got.unknown), got.unlogged, len(got.different), len(got.invented), len(got.doubled)}
		if sizes != c.want {
			t.Errorf("%s: found %+v, want %+v", c.what, sizes, c.want)
		}
	}
}
