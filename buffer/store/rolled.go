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
	cover block.Range // of the batches that its rollup is of
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

// rollup takes in what a section's rollup has of the series that are chosen; kept is
// the offset that it was made with, which may have been corrected since.
func (h *history) rollup(sec *block.Section, hd *block.Head, kept int64) {
	r := sec.Rollup
	cover := block.Range{First: sec.First, End: sec.First + uint64(r.Batches)}
	within := func(t int64) bool { return t >= h.q.From && t <= h.q.To }
	for i := len(r.Buckets) - 1; i >= 0; i-- {
		b := &r.Buckets[i]
		t := hd.Wall(b.Last)
		if !within(t) {
			continue
		}
		if b.Full == 0 {
			h.hole(r.Source, t, b)
			continue
		}
		h.newest[r.Source] = max(h.newest[r.Source], t)
	}
	if r.Schema == nil {
		return
	}
	for _, s := range h.choose(r.Schema) {
		l, kind := &r.Lines[s.i], r.Schema.Series[s.i].Kind
		last := map[collectors.Stamp]bool{}
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
				if r.Buckets[i].Full > 0 {
					point(r.Buckets[i].Last, collectors.Value{}, nil)
				}
				continue
			}
			last[c.LastAt] = true
			v := c.Last
			if kind == collectors.Gauge {
				v = collectors.GaugeValue(c.Sum / float64(c.Count))
			}
			point(c.LastAt, v, &Rolled{Cell: *c, Tier: hd.Tier, Start: r.Buckets[i].Start - kept + hd.Offset, epoch: hd.Epoch, cover: cover})
		}
		if kind == collectors.Counter && len(last) > 0 { // where its rise is counted from, and where it fell
			for _, x := range append([]block.Reading{{At: l.FirstAt, V: l.First}}, l.Fallen...) {
				if !last[x.At] {
					point(x.At, x.V, nil)
				}
			}
		}
	}
}

// hole takes in a bucket of polls that gave nothing.
func (h *history) hole(source string, t int64, b *block.Bucket) {
	o := collectors.Outcome{Result: collectors.Failed, Why: b.Why}
	if b.Polls[collectors.Failed] == 0 {
		o.Result = collectors.Skipped
	}
	n := b.Polls[collectors.Partial] + b.Polls[collectors.Failed] + b.Polls[collectors.Skipped]
	if n == 0 {
		return // they had events only
	}
	h.holes[source] = append(h.holes[source], Hole{t, o, int(n)})
	h.n++
}

// maxShares bounds how many entries of one bucket are compared with each other. An
// honest box makes a few.
const maxShares = 64

// finest drops rollups that another of the same bucket and of some of the same
// batches holds more of. Entries of a time that a finer one has, too, go with the
// other doubles.
func (p *Points) finest() {
	type bucket struct {
		tier  block.Tier
		start int64
		epoch uint64
	}
	all := map[bucket][]*Rolled{}
	of := func(r *Rolled) bucket { return bucket{r.Tier, r.Start, r.epoch} }
	for i := range p.Points {
		if r := p.Points[i].Rolled; r != nil {
			all[of(r)] = append(all[of(r)], r)
		}
	}
	if len(all) == 0 {
		return
	}
	p.Points = slices.DeleteFunc(p.Points, func(x Point) bool {
		return x.Rolled != nil && len(all[of(x.Rolled)]) <= maxShares && slices.ContainsFunc(all[of(x.Rolled)], func(o *Rolled) bool {
			return o.Count > x.Rolled.Count && o.cover.First < x.Rolled.cover.End && x.Rolled.cover.First < o.cover.End
		})
	})
}
