package hub_test

import (
	"fmt"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/block/blocktest"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/hub"
)

// check compares the hub's bytes and its proof with the ledger.
func (w *world) check() {
	got, rolled := map[name]bool{}, map[name]bool{}
	clocks := map[[16]byte]told{}
	err := w.hub.Store().View(func(tx *store.Tx) error {
		return tx.Blocks("t/s", func(b *block.Block) error {
			sections, want, err := w.codec.Decode(b, tx.Schema, nil)
			if err != nil || want > 0 {
				w.fail("I3 a stored block does not decode: %v, %d schemas missing", err, want)
				return nil
			}
			for _, s := range sections {
				if s.Rollup != nil {
					w.rollup(b, &s, rolled)
					continue
				}
				for i, x := range s.Batches {
					n := name{b.Epoch, x.Source, s.First + uint64(i)}
					have := truthOf(b, &x)
					w.toldBy(clocks, b, &x)
					switch was, ok := w.com[n]; {
					case !ok:
						w.fail("I3 the hub has a batch that was never committed: %v", n)
					case was != have:
						w.fail("I3 or I7 wrong content under %v: %+v, was %+v", n, have, was)
					case b.Tier != block.Raw: // kept whole among rollups
						rolled[n] = true
					default:
						got[n] = true
					}
				}
			}
			return nil
		})
	})
	w.must(err)
	w.times(got, clocks)
	type es struct {
		epoch, source string
	}
	type row struct{ expected, stored, downsampled, dropped, pending, lost uint64 }
	gaps := map[name]bool{}
	pending := map[name]bool{}
	for _, p := range w.ps {
		a, err := p.b.Account(buffer.Everything)
		w.must(err)
		for _, l := range a.Lines {
			cover := block.Ranges{}
			n := uint64(0)
			for _, x := range l.Pending {
				n += x.Count()
				cover = cover.Union(x.Ranges)
				for _, r := range x.Ranges {
					for i := r.First; i < r.End; i++ {
						pending[name{l.Epoch, l.Source, i}] = true
					}
				}
			}
			if n != cover.Count() {
				w.fail("I2 a batch is in two local blocks")
			}
			for _, g := range l.Gaps {
				for i := g.First; i < g.End; i++ {
					gaps[name{l.Epoch, l.Source, i}] = true
				}
			}
		}
	}
	ledger := map[es]*row{}
	at := func(m map[es]*row, k es) *row {
		if m[k] == nil {
			m[k] = &row{}
		}
		return m[k]
	}
	for n := range w.com {
		x := at(ledger, es{fmt.Sprintf("%016x", n.epoch), n.source})
		x.expected++
		switch {
		case got[n]:
			x.stored++
		case rolled[n]:
			x.downsampled++
		case gaps[n]:
			x.dropped++
		case pending[n]:
			x.pending++
			w.fail("I8 never drains: %v", n)
		default:
			x.lost++
			if !w.twice {
				w.fail("I8 lost in truth: %v", n)
			}
		}
	}
	proof, err := hub.Verify(w.hub.Store(), "t/s", 0, 0, true)
	if err != nil {
		if len(w.com) > 0 {
			w.fail("I8 verify: %v", err)
		}
		return
	}
	if proof.Cloned && !w.cloned && !w.twice {
		w.fail("a disk is said to be cloned")
	}
	seen := map[es]*row{}
	for _, s := range proof.Sources {
		*at(seen, es{s.Epoch, s.Source}) = row{s.Expected, s.Stored, s.Downsampled, s.Dropped, s.Pending, s.Lost}
	}
	for k := range seen {
		at(ledger, k)
	}
	for k, l := range ledger {
		if s := at(seen, k); *s != *l && !w.twice {
			w.fail("I8 verify says %+v of %v, the ledger %+v", *s, k, *l)
		}
	}
}

// rollup holds a stored rollup against what was committed.
func (w *world) rollup(b *block.Block, s *block.Section, rolled map[name]bool) {
	r := s.Rollup
	w.rollups++
	var bs []collectors.Batch
	for i := range uint64(r.Batches) {
		n := name{b.Epoch, r.Source, s.First + i}
		x, ok := w.whole[n]
		if !ok {
			w.fail("I3 the hub has a rollup of a batch that was never committed: %v", n)
			return
		}
		rolled[n] = true
		bs = append(bs, x)
	}
	if !cmp.Equal(blocktest.Recompute(bs, r.Schema, b.Tier, b.Offset), r, blocktest.Same(), cmpopts.IgnoreFields(block.Rollup{}, "Schema")) {
		w.fail("I3 a rollup of tier %d of %s from %d is not what the readings say", b.Tier, r.Source, s.First)
	}
}
