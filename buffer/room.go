package buffer

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
)

// Reasons of gaps that the box itself makes.
const (
	ReasonBudget  = "budget"  // the budget forced it
	ReasonDamaged = "damaged" // the block was not any more what had been written
)

// incoming is about what the blocks take in the database.
func incoming(blocks []*block.Block) (n int64) {
	for _, x := range blocks {
		n += int64(len(x.Bytes)) + 8192
	}
	return n
}

// capacity is how much of the budget blocks may fill: deleting them and the gaps it
// leaves need pages too.
func (b *Buffer) capacity() int64 { return int64(b.cfg.Budget) - max(384<<10, int64(b.cfg.Budget)/16) }

// makeRoom brings the database to where more octets fit the budget: schemas that
// no block names any more go first, then delivered blocks, then the oldest pending
// ones, each with its gap.
func (b *Buffer) makeRoom(tx *store.Tx, more int64) error {
	if err := b.keepSize(tx, more); err != nil {
		return err
	}
	for range 8 { // what blocks leave behind, their schemas, is found by the next round
		used, _, err := tx.Usage()
		if err != nil {
			return err
		}
		if used+more <= b.capacity() {
			return nil
		}
		// A little more than is needed, so that not every commit has to evict.
		need := used + more - b.capacity() + 64<<10
		swept, err := b.sweepIfHeavy(tx)
		if err != nil {
			return err
		}
		freed := int64(0)
		if need -= swept; need > 0 {
			if freed, err = b.makeSome(tx, need); err != nil {
				return err
			}
		}
		if swept+freed == 0 {
			return nil // nothing is left that may go
		}
	}
	return nil
}

// keepSize evicts delivered blocks instead of having the file grow while the disk is
// nearly full: on a disk that others have filled a database that cannot grow goes on
// in the room that it has, and one that waited until it was refused could not even
// delete. Pending blocks stay: the disk may be free again before memory is used up.
func (b *Buffer) keepSize(tx *store.Tx, more int64) error {
	if b.noVictim || !tight(filepath.Dir(b.cfg.Path)) {
		return nil
	}
	used, file, err := tx.Usage()
	if err != nil || used+more <= file {
		return err
	}
	freed, err := tx.EvictDelivered(b.probe, used+more-file)
	b.noVictim = err == nil && freed == 0
	return err
}

// makeSome frees about need octets of blocks, if there are so many.
func (b *Buffer) makeSome(tx *store.Tx, need int64) (all int64, err error) {
	if !b.noVictim {
		if all, err = tx.EvictDelivered(b.probe, need); err != nil {
			return 0, err
		}
		b.noVictim = all == 0
	}
	// Events go before readings only where they take more than their tenth.
	events, err := tx.PendingBytes(block.Events)
	if err != nil {
		return 0, err
	}
	for _, turn := range []struct {
		class block.Class
		most  int64
	}{{block.Events, events - int64(b.cfg.Budget)/10}, {block.Readings, need}, {block.Events, need}} {
		if n := min(need-all, turn.most); n > 0 {
			freed, err := b.drop(tx, n, turn.class)
			if err != nil {
				return 0, err
			}
			all += freed
		}
	}
	return all, nil
}

// trim lets go of delivered blocks that are older than even rollups are kept, a few
// at a time.
func (b *Buffer) trim() error {
	if err := b.dropBad(); err != nil {
		return b.failed(err)
	}
	if now := time.Now(); now.Sub(b.lastTrim) < time.Minute {
		return nil
	} else {
		b.lastTrim = now
	}
	// What is old, only a clock can tell that is right.
	now, sure := b.wallNow()
	before := now - b.cfg.Rollups.Milliseconds()
	daily := b.sweepDue() && b.head.Load() < fewBlocks
	var gone []uint64
	err := b.st.Load().Update(func(tx *store.Tx) (err error) {
		if sure {
			if err := tx.DropDelivered(b.probe, before, 512); err != nil {
				return err
			}
		}
		if !daily {
			return nil
		}
		schemas, epochs := map[block.ID]bool{}, map[uint64]bool{}
		if err := tx.Named(0, schemas, epochs); err != nil {
			return err
		}
		gone, err = b.sweep(tx, schemas, epochs)
		return err
	})
	if err != nil {
		return b.failed(fmt.Errorf("trimming the buffer: %w", err))
	}
	if daily {
		b.lastSweep = b.lastTrim
		b.forget(gone)
	}
	return nil
}

// drop deletes pending blocks of a class, oldest first, until need octets are
// free, and keeps a gap for each batch that was in them.
func (b *Buffer) drop(tx *store.Tx, need int64, class block.Class) (freed int64, err error) {
	for freed < need {
		rows, err := tx.OldestPending(class, 16)
		if err != nil || len(rows) == 0 {
			return freed, err
		}
		for _, r := range rows {
			if freed >= need {
				break
			}
			gaps, err := b.gapsOf(tx, &r, ReasonBudget)
			if err != nil {
				return freed, err
			}
			for _, g := range gaps {
				if err := tx.PutGap(b.probe, g); err != nil {
					return freed, err
				}
			}
			if err := tx.Drop(r.Seq); err != nil {
				return freed, err
			}
			freed += int64(r.Size) + 512
			b.dropping += int64(r.Readings)
		}
	}
	return freed, nil
}

// gapsOf says what is missing without a block, and when that was: not where its clock
// never was sure.
func (b *Buffer) gapsOf(tx *store.Tx, r *store.Row, reason string) (out []store.Gap, err error) {
	h := r.Head
	if err := tx.Clocks(b.probe).Correct(&h); err != nil {
		return nil, err
	}
	others, err := b.elsewhere(tx, r.Seq, &r.Head, r.T0, r.T1)
	if err != nil {
		return nil, err
	}
	for i := range r.Cover {
		c := &r.Cover[i]
		for _, x := range (block.Ranges{c.Range()}).Subtract(others[c.Source]) {
			g := store.Gap{Epoch: r.Epoch, Source: c.Source, Range: x, T0: r.T0, T1: r.T1, Reason: reason}
			if !h.Sure {
				g.T0, g.T1 = 0, 0
			}
			out = append(out, g)
		}
	}
	return out, nil
}

// metaSalvaged is set once salvage has taken a block in: only then a batch may be in
// two blocks.
const metaSalvaged = "salvaged"

// elsewhere returns what other blocks hold of a block's epoch in its time (Unix ms).
func (b *Buffer) elsewhere(tx *store.Tx, seq int64, h *block.Head, t0, t1 int64) (map[string]block.Ranges, error) {
	if v, err := tx.Meta(metaSalvaged); err != nil || v == "" {
		return nil, err
	}
	out := map[string]block.Ranges{}
	err := tx.Rows(func(r *store.Row) error {
		for i := range r.Cover {
			c := &r.Cover[i]
			out[c.Source] = out[c.Source].Union(block.Ranges{c.Range()})
		}
		return nil
	}, "WHERE b.probe=? AND b.t1>=? AND b.t0<=? AND b.epoch=? AND b.seq<>?", b.probe, t0, t1, int64(h.Epoch), seq)
	return out, err
}
