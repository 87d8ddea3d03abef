// Package blocktest works rollups out a second time, from the readings themselves
// and by other code than package block has, for tests of whoever makes or keeps
// them.
package blocktest

import (
	"math"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// Same compares rollups with package cmp: all is exact but for sums, which are
// rounded as decimals when they are made, and not here.
func Same() cmp.Option {
	return cmp.Options{cmp.AllowUnexported(collectors.Value{}), cmpopts.EquateApprox(1e-9, 1e-9)}
}

// Recompute works a rollup out from its batches in the plainest way.
func Recompute(bs []collectors.Batch, s *collectors.Schema, tier block.Tier, offset int64) *block.Rollup {
	r := &block.Rollup{Source: bs[0].Source, Batches: uint32(len(bs)), T0: bs[0].At, T1: bs[len(bs)-1].At, Schema: s}
	width := tier.Width().Milliseconds()
	start := func(at collectors.Stamp) int64 {
		return int64(math.Floor(float64(int64(at)+offset)/float64(width))) * width
	}
	for i := range bs {
		x := &bs[i]
		if n := len(r.Buckets); n == 0 || r.Buckets[n-1].Start != start(x.At) {
			r.Buckets = append(r.Buckets, block.Bucket{Start: start(x.At)})
		}
		b := &r.Buckets[len(r.Buckets)-1]
		b.Last = x.At
		b.Polls[x.Outcome.Result]++
		if x.Outcome.Result != collectors.OK {
			b.Why = x.Outcome.Why
		}
		if len(x.Values) > 0 {
			b.Full++
		}
	}
	if s == nil {
		return r
	}
	for i, e := range s.Series {
		var l block.Line
		var all []block.Reading
		for j := range bs {
			if len(bs[j].Values) > 0 && !bs[j].Values[i].Missing() {
				all = append(all, block.Reading{At: bs[j].At, V: bs[j].Values[i]})
			}
		}
		if len(all) > 0 {
			l.First, l.FirstAt = all[0].V, all[0].At
		}
		fallen := map[int]bool{}
		for _, b := range r.Buckets {
			var c block.Cell
			var sums []float64
			for k, x := range all {
				if start(x.At) != b.Start {
					continue
				}
				c.Count++
				c.Last, c.LastAt = x.V, x.At
				if f, ok := x.V.Float(e.Kind); ok && e.Kind != collectors.Counter {
					if c.Count == 1 {
						c.Min, c.Max = f, f
					}
					c.Min, c.Max = min(c.Min, f), max(c.Max, f)
					sums = append(sums, f)
				}
				if e.Kind == collectors.Counter && k > 0 {
					if d := x.V.Counter() - all[k-1].V.Counter(); x.V.Counter() >= all[k-1].V.Counter() {
						c.Rise += d
					} else {
						fallen[k-1], fallen[k] = true, true
					}
				}
			}
			total := 0.0
			for _, f := range sums {
				total += f
			}
			c.Sum = total
			l.Cells = append(l.Cells, c)
		}
		for k, x := range all {
			if fallen[k] {
				l.Fallen = append(l.Fallen, x)
			}
		}
		r.Lines = append(r.Lines, l)
	}
	return r
}
