package buffer

import (
	"maps"
	"slices"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
)

// gaps takes in the gaps that are still ones. Their rows have no checksum: they say
// no more than why something is not here.
func (s *salvage) gaps() error {
	found := s.w.Gaps()
	for len(found) > 0 {
		if err := s.pace(); err != nil {
			return err
		}
		n := min(len(found), 256)
		if err := s.takeGaps(found[:n]); err != nil {
			return err
		}
		found = found[n:]
	}
	return nil
}

func (s *salvage) takeGaps(found []store.FoundGap) error {
	b := s.b
	b.io.Lock()
	defer b.io.Unlock()
	if b.st.Load() != s.st {
		return errReplaced
	}
	return b.update(func(tx *store.Tx) error {
		for _, g := range found {
			next := b.marks[g.Epoch].Next[g.Source]
			if !s.probes[g.Probe] || g.First >= next {
				continue
			}
			left := block.Ranges{{First: g.First, End: min(g.End, next)}}.Subtract(s.all(g.Epoch, g.Source))
			left = left.Subtract(b.inMemory(g.Epoch, g.Source))
			for _, r := range left {
				if err := tx.FillGaps(s.probe, g.Epoch, g.Source, r); err != nil { // that one says less
					return err
				}
				x := g.Gap
				x.Range = r
				if err := tx.PutGap(s.probe, x); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// all is what of a source is here in any tier.
func (s *salvage) all(epoch uint64, source string) (out block.Ranges) {
	for tier := range block.Tier(10) {
		out = out.Union(s.here[batches{epoch, source, tier}])
	}
	return out
}

// missing counts the batches of the wreck's epochs that were committed once and are
// neither here nor a gap.
func (s *salvage) missing() (n uint64, err error) {
	b := s.b
	gaps := map[batches]block.Ranges{}
	err = b.view(func(tx *store.Tx) error {
		return tx.Gaps(s.probe, func(g store.Gap) error {
			k := batches{epoch: g.Epoch, source: g.Source}
			gaps[k] = gaps[k].Union(block.Ranges{g.Range})
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	for _, e := range s.w.Epochs() {
		s.old[e.ID] = s.old[e.ID] || s.probes[e.Probe]
	}
	b.io.Lock()
	defer b.io.Unlock()
	for _, epoch := range slices.Sorted(maps.Keys(s.old)) {
		for source, next := range b.marks[epoch].Next {
			left := block.Ranges{{First: 0, End: next}}.Subtract(s.all(epoch, source))
			n += left.Subtract(gaps[batches{epoch: epoch, source: source}]).Count()
		}
	}
	return n, nil
}
