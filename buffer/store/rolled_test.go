package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

const minute = 60_000

// roll keeps one block of what batches of one source become, numbered from first on.
func (k *kept) roll(tier block.Tier, first uint64, bs ...collectors.Batch) {
	k.t.Helper()
	err := k.Update(func(tx *store.Tx) error {
		r := block.NewRoller(bs[0].Source, tier, 0)
		for i := range bs {
			r.Add(&bs[i])
		}
		sec := block.Section{First: first, Rollup: &r.Rollup}
		if r.Schema != nil {
			id, b, err := k.Codec().EncodeSchema(r.Schema)
			if err != nil {
				return err
			}
			if err := tx.PutSchema(id, b); err != nil {
				return err
			}
			sec.Schema = id
		}
		b, err := k.Codec().Encode(block.Head{Probe: probe, Epoch: 1, Boot: [16]byte{1}, Tier: tier}, []block.Section{sec})
		if err != nil {
			return err
		}
		id, err := tx.Probe(probe)
		if err != nil {
			return err
		}
		return tx.PutBlock(id, b, false)
	})
	if err != nil {
		k.t.Fatal(err)
	}
}

// counts writes points as time:count, those of one reading as time:1.
func counts(ps []store.Point) (out string) {
	for _, p := range ps {
		n := 1
		switch {
		case p.V.Missing():
			n = 0
		case p.Rolled != nil:
			n = 10 * int(p.Rolled.Count)
		}
		out += fmt.Sprintf("%d:%d ", p.T/minute, n)
	}
	return out
}

func (k *kept) line(s *collectors.Schema) (*store.Points, []store.Hole) {
	k.t.Helper()
	p, holes, err := k.Line(context.Background(), store.Query{Probe: probe, Source: s.Source, Series: s.Series[0].String()})
	if err != nil || p == nil {
		k.t.Fatal(p, err)
	}
	return p, holes
}

// A bucket that two rollups have a share in is two points; of rollups of the same
// batches the one that holds most counts.
func TestRollupsOfOneBucket(t *testing.T) {
	k := open(t)
	s := gauges("a", "m")
	bs := make([]collectors.Batch, 30)
	for i := range bs {
		bs[i] = at(s, int64(i)*minute, float64(i))
	}
	k.roll(block.Quarter, 0, bs[:7]...)
	k.roll(block.Quarter, 7, bs[7:20]...)
	k.roll(block.Quarter, 7, bs[7:12]...) // some of the same again
	p, _ := k.line(s)
	if got := counts(p.Points); got != "6:70 14:80 19:50 " || p.Tier != block.Quarter {
		t.Error(got, p.Tier)
	}
	if v := p.Points[0].V.Gauge(); v != 3 {
		t.Errorf("the mean of 0 to 6 is %v", v)
	}
	k.roll(block.Hour, 0, bs[:20]...)
	if p, _ = k.line(s); counts(p.Points) != "6:70 14:80 19:50 " {
		t.Error(counts(p.Points), "the hour's point is at the time of a finer one")
	}
	k.n = 20
	k.put(block.Readings, bs[20:]...)
	if p, _ = k.line(s); len(p.Points) != 13 || p.Tier != block.Hour {
		t.Error(counts(p.Points), p.Tier)
	}
}

// What a rollup knows of holes, and where a counter fell.
func TestHolesInRollups(t *testing.T) {
	k := open(t)
	s := &collectors.Schema{Source: "a", Series: []collectors.Series{{Metric: "c", Kind: collectors.Counter}, {Metric: "g", Kind: collectors.Gauge}}}
	poll := func(minutes int64, c uint64) collectors.Batch {
		return collectors.Batch{Source: "a", At: collectors.Stamp(minutes * minute), Schema: s, Values: []collectors.Value{collectors.CounterValue(c), collectors.GaugeValue(1)}}
	}
	unread := poll(35, 0)
	unread.Values[0] = collectors.Value{}
	bs := []collectors.Batch{poll(1, 5), poll(14, 9), failed("a", 16*minute), failed("a", 29*minute), unread, poll(46, 20), poll(52, 2), poll(59, 1),
		{Source: "a", At: 61 * minute, Outcome: collectors.Outcome{Result: collectors.Skipped, Why: "busy"}}}
	k.roll(block.Quarter, 0, bs...)
	p, holes := k.line(s)
	// First and last; nothing; no value; 46 to 52 and 52 to 59 fell, and 59 is the last.
	if got := counts(p.Points); got != "1:1 14:20 29:0 35:0 46:1 52:1 59:30 61:0 " {
		t.Error(got)
	}
	if len(holes) != 2 || holes[0].Polls != 2 || holes[0].T != 29*minute || holes[0].Result != collectors.Failed || holes[1].Result != collectors.Skipped || holes[1].Why != "busy" {
		t.Errorf("%+v", holes)
	}
}

func TestTold(t *testing.T) {
	event := func(labels ...collectors.Label) *collectors.Event {
		return &collectors.Event{Kind: "trap", Labels: labels}
	}
	l := func(name, value string) collectors.Label { return collectors.Label{Name: name, Value: value} }
	for _, c := range []struct {
		e            *collectors.Event
		count, first int64
	}{
		{event(), 1, 0},
		{event(l("count", "37"), l("first_ms", "1000")), 37, 1000},
		{event(l("count", "37")), 1, 0},
		{event(l("count", "many"), l("first_ms", "1000")), 1, 0},
		{event(l("count", "-2"), l("first_ms", "1000")), 1, 0},
	} {
		if n, first := store.Told(c.e); n != c.count || first != c.first {
			t.Errorf("%v: %d since %d", c.e.Labels, n, first)
		}
	}
	e := event(l("count", "37"), l("first_ms", "1000"))
	was := e.Labels
	store.Retime(e, 500)
	if _, first := store.Told(e); first != 1500 || was[1].Value != "1000" {
		t.Error(first, was)
	}
}
