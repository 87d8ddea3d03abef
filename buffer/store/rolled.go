package store

import (
	"slices"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// Rolled is what a point out of a rollup stands for. The point's value is the last
// reading of a counter, state or text, and the mean of a gauge; its time is that of
// the last reading.
type Rolled struct {
	block.Cell
	Tier  block.Tier
	Start int64 // of the bucket: wall time, Unix ms
	epoch uint64
}

func (r *Rolled) tier() block.Tier {
	if r == nil {
		return block.Raw
	}
	return r.Tier
}

func (r *Rolled) count() uint32 {
	if r == nil {
		return 0
	}
	return r.Count
}

// rollup takes in what a rollup has of the series that are chosen; kept is the offset
// that it was made with, which may have been corrected since.
func (h *history) rollup(r *block.Rollup, hd *block.Head, kept int64) {
	within := func(t int64) bool { return t >= h.q.From && t <= h.q.To }
	for i := len(r.Buckets) - 1; i >= 0; i-- {
		b := &r.Buckets[i]
		t := hd.Wall(b.Last)
		if !within(t) {
			continue
		}
		if b.Full == 0 {
			h.holes[r.Source] = append(h.holes[r.Source], Hole{t, collectors.Outcome{Result: collectors.Failed, Why: b.Why}})
			h.n++
			continue
		}
		h.newest[r.Source] = max(h.newest[r.Source], t)
	}
	if r.Schema == nil {
		return
	}
	for _, s := range h.choose(r.Schema) {
		l, kind := &r.Lines[s.i], r.Schema.Series[s.i].Kind
		point := func(at collectors.Stamp, v collectors.Value, x *Rolled) {
			if t := hd.Wall(at); within(t) {
				s.p.Points = append(s.p.Points, Point{T: t, V: v, Unsure: !hd.Sure, Rolled: x})
				s.p.Tier = max(s.p.Tier, hd.Tier)
				h.n++
			}
		}
		for i := range l.Cells {
			c := &l.Cells[i]
			if c.Count == 0 {
				continue
			}
			v := c.Last
			if kind == collectors.Gauge {
				v = collectors.GaugeValue(c.Sum / float64(c.Count))
			}
			point(c.LastAt, v, &Rolled{Cell: *c, Tier: hd.Tier, Start: r.Buckets[i].Start - kept + hd.Offset, epoch: hd.Epoch})
		}
		if kind == collectors.Counter { // where its rise is counted from, and where it fell
			point(l.FirstAt, l.First, nil)
			for _, x := range l.Fallen {
				point(x.At, x.V, nil)
			}
		}
	}
}

// finest drops rollups that another of the same bucket holds more of: of two
// entries of one epoch, tier and bucket, the one with the higher count counts.
// Entries of a time that a finer one has, too, go with the other doubles.
func (p *Points) finest() {
	type bucket struct {
		tier  block.Tier
		start int64
		epoch uint64
	}
	most := map[bucket]uint32{}
	of := func(r *Rolled) bucket { return bucket{r.Tier, r.Start, r.epoch} }
	for i := range p.Points {
		if r := p.Points[i].Rolled; r != nil {
			most[of(r)] = max(most[of(r)], r.Count)
		}
	}
	if len(most) == 0 {
		return
	}
	p.Points = slices.DeleteFunc(p.Points, func(x Point) bool {
		return x.Rolled != nil && x.Rolled.Count < most[of(x.Rolled)]
	})
}
