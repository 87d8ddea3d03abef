package buffer

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// settledFor is how long an epoch without any block is remembered: longer than the
// oldest hub backup that one would restore. Until then the account lets such a hub
// find out what it lacks.
const settledFor = 90 * 24 * time.Hour

// sweepIfHeavy deletes schemas that no block names once schemas take a good share
// of the budget: a device whose series change with every poll leaves one each time.
// It returns how many octets that were.
func (b *Buffer) sweepIfHeavy(tx *store.Tx) (freed int64, err error) {
	size, err := tx.SchemaSize()
	if err != nil || size < int64(b.cfg.Budget)/10 {
		return 0, err
	}
	schemas := map[block.ID]bool{}
	if err := tx.Named(0, schemas, map[uint64]bool{}); err != nil {
		return 0, err
	}
	return tx.KeepSchemas(b.inUse(schemas))
}

// inUse adds what blocks in memory, and those to come, will name.
func (b *Buffer) inUse(schemas map[block.ID]bool) map[block.ID]bool {
	for id := range b.schemas {
		schemas[id] = true
	}
	for id := range b.uses {
		schemas[id] = true
	}
	return b.toCome(schemas)
}

// toCome adds what blocks that are not packed yet, and batches to come, will name.
func (b *Buffer) toCome(schemas map[block.ID]bool) map[block.ID]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.fresh {
		schemas[id] = true
	}
	for _, x := range b.named {
		schemas[x.id] = true
	}
	for _, w := range slices.Concat(b.filled, b.open[:]) {
		if w != nil {
			w.schemas(func(id block.ID, _ *collectors.Schema) { schemas[id] = true })
		}
	}
	return schemas
}

// fewBlocks is up to how many blocks a sweep reads all heads in the transaction of a
// commit; with more it is a part of maintenance, and reads most of them beside.
const fewBlocks = 2000

// sweepDue tells whether it is time for the daily sweep. The caller holds io.
func (b *Buffer) sweepDue() bool { return time.Since(b.lastSweep) > 24*time.Hour }

// sweepLarge sweeps a buffer of many blocks, once a day, and not right after the
// start, when it has other things to do.
func (b *Buffer) sweepLarge() error {
	b.io.Lock()
	due := b.sweepDue() && b.head.Load() >= fewBlocks && time.Since(b.opened) > time.Hour
	older := b.older
	b.io.Unlock()
	if !due {
		return nil
	}
	schemas, epochs, upTo := map[block.ID]bool{}, map[uint64]bool{}, int64(0)
	err := b.view(func(tx *store.Tx) (err error) {
		if upTo, err = tx.LastSeq(); err != nil {
			return err
		}
		return tx.Named(0, schemas, epochs)
	})
	if err != nil {
		return fmt.Errorf("sweeping the buffer: %w", err)
	}
	b.io.Lock()
	defer b.io.Unlock()
	if b.older != older {
		return nil // what salvage put in meanwhile was not seen: another time
	}
	var gone []uint64
	err = b.update(func(tx *store.Tx) (err error) {
		if err := tx.Named(upTo, schemas, epochs); err != nil {
			return err
		}
		gone, err = b.sweep(tx, schemas, epochs)
		return err
	})
	if err != nil {
		return fmt.Errorf("sweeping the buffer: %w", err)
	}
	b.lastSweep = time.Now()
	b.forget(gone)
	return nil
}

// sweep deletes what no block names: schemas, and epochs that are settled for
// long. It returns those, whose files are to go after the transaction.
func (b *Buffer) sweep(tx *store.Tx, schemas map[block.ID]bool, epochs map[uint64]bool) (gone []uint64, err error) {
	if _, err := tx.KeepSchemas(b.inUse(schemas)); err != nil {
		return nil, err
	}
	if err := tx.ForgetClocks(b.probe, b.opt.Clock.Boot()); err != nil {
		return nil, err
	}
	now, sure := b.wallNow()
	if !sure {
		return nil, nil // how long that is, only a clock can tell that is right
	}
	clocks := tx.Clocks(b.probe)
	for id, m := range b.marks {
		if id == b.epoch.ID || epochs[id] {
			continue
		}
		// What ended at an unknown time, or is yet to come, is as old as this sweep.
		if at, sure, err := m.corrected(clocks); err != nil {
			return nil, err
		} else if !sure && m.N > 0 || at > now {
			m.LastCommit, m.At, m.Sure = now, b.opt.Clock.Now(), true
			if err := b.writeMark(id, m); err != nil {
				return nil, err
			}
			b.marks[id] = m
			continue
		} else if at > now-settledFor.Milliseconds() {
			continue
		}
		if err := tx.ForgetEpoch(b.probe, id); err != nil {
			return nil, err
		}
		gone = append(gone, id)
	}
	return gone, nil
}

// forget deletes the files of epochs whose rows are gone.
func (b *Buffer) forget(epochs []uint64) {
	for _, id := range epochs {
		delete(b.marks, id)
		if err := os.Remove(epochPath(b.cfg.Path, id)); err != nil {
			b.log.Debug("deleting the file of an epoch that is settled", "error", err)
		}
	}
}
