package buffer

import (
	"fmt"
	"maps"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
)

// mark has the epoch's file count what a block holds.
func (s *salvage) mark(h *block.Head) error {
	m, ok := s.b.marks[h.Epoch]
	if ok && !beyond(h.Cover, m.Next) {
		return nil
	}
	if m.Next = maps.Clone(m.Next); m.Next == nil {
		m.Next = map[string]uint64{}
	}
	for i := range h.Cover {
		c := &h.Cover[i]
		m.Next[c.Source] = max(m.Next[c.Source], c.Range().End)
	}
	if h.T1 > m.At {
		m.LastCommit, m.At, m.Sure, m.Boot = h.Wall(h.T1), h.T1, h.Sure, h.Boot
	}
	write := func() error { return s.b.writeMark(h.Epoch, m) }
	if h.Epoch == s.b.epoch.ID { // another process began one with the same number
		write = func() error { return s.b.file.write(m) }
	}
	if err := write(); err != nil {
		return err
	}
	s.b.marks[h.Epoch] = m
	return nil
}

// put takes one block in, if there is room. One that was pending and has none is
// dropped as any other would be.
func (s *salvage) put(tx *store.Tx, q *salvaged, rows map[uint64]bool, done *salvage, more *int64) error {
	b := s.b
	if b.allInMemory(&q.Head) {
		done.known++
		return nil
	}
	size := int64(len(q.Bytes)) + 8192
	for _, bytes := range q.schemas {
		size += int64(len(bytes)) + 512
	}
	room, err := s.room(tx, size, q.pending, done)
	if err != nil {
		return err
	}
	if !room {
		if done.noSpace++; !q.pending {
			return nil
		}
	}
	if !b.rows[q.Epoch] && !rows[q.Epoch] {
		if err := tx.PutEpoch(s.probe, s.epoch(&q.Head)); err != nil {
			return err
		}
		rows[q.Epoch] = true
	}
	for i := range q.Cover {
		c := &q.Cover[i]
		if err := tx.FillGaps(s.probe, q.Epoch, c.Source, c.Range()); err != nil {
			return err
		}
	}
	if err := tx.SetMeta(metaSalvaged, "1"); err != nil {
		return err
	}
	if !room {
		return s.leaveOut(tx, q)
	}
	for id, bytes := range q.schemas {
		if ok, err := tx.HasSchema(id); err != nil {
			return err
		} else if !ok {
			done.schemas++
			if err := tx.PutSchema(id, bytes); err != nil {
				return fmt.Errorf("keeping a schema: %w", err)
			}
		}
	}
	if q.whole {
		if err := s.supersede(tx, q); err != nil {
			return err
		}
	}
	done.blocks++
	done.readings += q.Readings
	*more += size
	s.b.older++
	return tx.PutBelow(s.probe, q.Block, q.pending)
}

// leaveOut keeps gaps for what of a block that has no room is in no other block here.
func (s *salvage) leaveOut(tx *store.Tx, q *salvaged) error {
	h := q.Head
	if err := tx.Clocks(s.probe).Correct(&h); err != nil { // as the rows' times are
		return err
	}
	here, err := s.b.elsewhere(tx, 0, &h, h.Wall(h.T0), h.Wall(h.T1))
	if err != nil {
		return err
	}
	for i := range q.Cover {
		c := &q.Cover[i]
		left := block.Ranges{c.Range()}.Subtract(here[c.Source]).Subtract(s.b.inMemory(q.Epoch, c.Source))
		for _, r := range left {
			g := store.Gap{Epoch: q.Epoch, Source: c.Source, Range: r, T0: q.Wall(q.T0), T1: q.Wall(q.T1), Reason: ReasonBudget}
			if err := tx.PutGap(s.probe, g); err != nil {
				return err
			}
		}
	}
	return nil
}

// supersede drops the blocks here of which one that is to come in holds all, as fine:
// what became one block by compaction is found in pieces, too, in pages that nobody
// has used again since.
func (s *salvage) supersede(tx *store.Tx, q *salvaged) error {
	covers := map[string]*block.Ranges{}
	for i := range q.Cover {
		c := &q.Cover[i]
		if covers[c.Source] == nil {
			covers[c.Source] = &block.Ranges{}
		}
		covers[c.Source].Push(c.Range())
	}
	h := q.Head
	if err := tx.Clocks(s.probe).Correct(&h); err != nil { // as the rows' times are
		return err
	}
	var pieces []int64
	err := tx.Rows(func(r *store.Row) error {
		if r.Tier < q.Tier {
			return nil
		}
		for i := range r.Cover {
			if all := covers[r.Cover[i].Source]; all == nil || !all.Contains(r.Cover[i].Range()) {
				return nil
			}
		}
		pieces = append(pieces, r.Seq)
		return nil
	}, "WHERE b.probe=? AND b.t1>=? AND b.t1<=? AND b.epoch=?", s.probe, h.Wall(h.T0), h.Wall(h.T1), int64(q.Epoch))
	if err != nil {
		return err
	}
	for _, seq := range pieces {
		if err := tx.Drop(seq); err != nil {
			return err
		}
	}
	return nil
}

// room tells whether size octets more fit the budget. For what is pending delivered
// blocks go; nothing that is pending does.
func (s *salvage) room(tx *store.Tx, size int64, pending bool, done *salvage) (bool, error) {
	if done.full {
		return false, nil
	}
	used, _, err := tx.Usage()
	if err != nil {
		return false, err
	}
	need := used + size - s.b.capacity()
	if need > 0 && pending {
		freed, err := tx.EvictDelivered(s.probe, need)
		if err != nil {
			return false, err
		}
		need -= freed
	}
	done.full = need > 0
	return !done.full, nil
}

// allInMemory tells whether a block covers only what is still to be committed.
func (b *Buffer) allInMemory(h *block.Head) bool {
	for i := range h.Cover {
		if c := &h.Cover[i]; !b.inMemory(h.Epoch, c.Source).Contains(c.Range()) {
			return false
		}
	}
	return true
}

// epoch returns the row of a block's epoch: as it was, or what the block says.
func (s *salvage) epoch(h *block.Head) store.Epoch {
	for _, e := range s.w.Epochs() {
		if e.ID == h.Epoch && s.probes[e.Probe] {
			if e.End != store.Clean {
				e.End = store.Unclean // its file is right: mark saw to that
			}
			return e.Epoch
		}
	}
	return store.Epoch{ID: h.Epoch, Boot: h.Boot, Start: h.Wall(h.T0), At: h.T0, Sure: h.Sure, End: store.Unclean}
}
