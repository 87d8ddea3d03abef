package store

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/siteprobe/siteprobe/buffer/block"
)

// maxRecorded bounds what EventsRecorded returns; the oldest events go first.
const maxRecorded = 200_000

// EventsRecorded returns the events that a probe's source recorded between two wall times
// (Unix ms; 0: no bound), in the order in which it recorded them. That is the order of
// their times but where a clock was set back, and then it is this order that is right.
func (s *Store) EventsRecorded(ctx context.Context, probe, source string, from, to int64) (out []EventRecord, err error) {
	if to == 0 {
		to = 1 << 60
	}
	type numbered struct {
		epoch int
		n     uint64
		EventRecord
	}
	var all []numbered
	err = s.View(func(tx *Tx) error {
		id, err := tx.FindProbe(probe)
		if err != nil || id == 0 {
			return err
		}
		epochs, err := tx.Epochs(id)
		if err != nil {
			return err
		}
		order := make(map[uint64]int, len(epochs))
		for i := range epochs {
			order[epochs[i].ID] = i
		}
		wants := func(c *block.Cover) bool { return c.Source == source }
		return tx.eventSections(ctx, id, from, wants, func(hd *block.Head, s *block.Section) error {
			if len(all) >= maxRecorded {
				return errEnough
			}
			for j := range s.Batches {
				x := &s.Batches[j]
				t := hd.Wall(x.At)
				if x.Source != source || t < from || t >= to {
					continue
				}
				for _, e := range x.Events {
					all = append(all, numbered{order[hd.Epoch], s.First + uint64(j), EventRecord{source, t, !hd.Sure, e}})
				}
			}
			return nil
		})
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	slices.SortStableFunc(all, func(a, b numbered) int { return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.n, b.n)) })
	for i := range all {
		out = append(out, all[i].EventRecord)
	}
	return out, err
}

// Newest returns the wall time (Unix ms) of the newest batch of a probe, 0 for none.
func (s *Store) Newest(probe string) (t int64, err error) {
	err = s.View(func(tx *Tx) error {
		id, err := tx.FindProbe(probe)
		if err != nil || id == 0 {
			return err
		}
		t, err = tx.NewestBlock(id)
		return err
	})
	return t, err
}
