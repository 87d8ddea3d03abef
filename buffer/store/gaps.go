package store

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/siteprobe/siteprobe/buffer/block"
)

// Gap is batches that were dropped or are known to be gone, and why.
type Gap struct {
	Epoch  uint64
	Source string
	block.Range
	T0, T1 int64 // wall time of the batches, Unix ms; 0: not known
	Reason string
}

// PutGap keeps a gap; one that touches a kept gap of the same reason merges with
// it.
func (t *Tx) PutGap(probe int64, g Gap) error {
	var first, count, t0, t1 int64
	err := t.queryRow("SELECT first, count, t0, t1 FROM gap WHERE probe=? AND epoch=? AND source=? AND first<=? AND reason=? ORDER BY first DESC LIMIT 1",
		probe, int64(g.Epoch), g.Source, int64(g.First), g.Reason).Scan(&first, &count, &t0, &t1)
	if err == nil && uint64(first+count) >= g.First {
		g.Range = block.Range{First: uint64(first), End: max(uint64(first+count), g.End)}
		if t0 != 0 {
			g.T0 = min(t0, g.T0)
		}
		g.T1 = max(t1, g.T1)
	} else if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("looking for a gap to extend: %w", err)
	}
	_, err = t.exec("INSERT OR REPLACE INTO gap(probe, epoch, source, first, count, t0, t1, reason) VALUES(?,?,?,?,?,?,?,?)",
		probe, int64(g.Epoch), g.Source, int64(g.First), int64(g.End-g.First), g.T0, g.T1, g.Reason)
	if err != nil {
		return fmt.Errorf("keeping a gap: %w", err)
	}
	return nil
}

// Gaps calls f for each gap of a probe, by epoch, source and number.
func (t *Tx) Gaps(probe int64, f func(Gap) error) error {
	return t.gaps(f, "SELECT epoch, source, first, count, t0, t1, reason FROM gap WHERE probe=? ORDER BY epoch, source, first", probe)
}

// GapsOf calls f for each gap of an epoch.
func (t *Tx) GapsOf(probe int64, epoch uint64, f func(Gap) error) error {
	return t.gaps(f, "SELECT epoch, source, first, count, t0, t1, reason FROM gap WHERE probe=? AND epoch=? ORDER BY source, first", probe, int64(epoch))
}

func (t *Tx) gaps(f func(Gap) error, q string, args ...any) error {
	return t.each(q, args, func(scan func(...any) error) error {
		var g Gap
		var epoch, first, count int64
		if err := scan(&epoch, &g.Source, &first, &count, &g.T0, &g.T1, &g.Reason); err != nil {
			return err
		}
		g.Epoch, g.Range = uint64(epoch), block.Range{First: uint64(first), End: uint64(first + count)}
		return f(g)
	})
}

// Epoch is one opening of the box's database.
type Epoch struct {
	ID, Prev uint64
	Boot     [16]byte
	Start    int64 // wall time, Unix ms
	Clean    bool  // it was closed in good order
}

// PutEpoch keeps an epoch's row, which comes with its first batch.
func (t *Tx) PutEpoch(probe int64, e Epoch) error {
	_, err := t.exec("INSERT INTO epoch(probe, id, prev, boot, start, clean) VALUES(?,?,?,?,?,?) ON CONFLICT DO UPDATE SET clean=excluded.clean",
		probe, int64(e.ID), int64(e.Prev), e.Boot[:], e.Start, e.Clean)
	if err != nil {
		return fmt.Errorf("keeping an epoch: %w", err)
	}
	return nil
}

// Epochs returns a probe's epochs in the order of their start.
func (t *Tx) Epochs(probe int64) (out []Epoch, err error) {
	err = t.each("SELECT id, prev, boot, start, clean FROM epoch WHERE probe=? ORDER BY start", []any{probe}, func(scan func(...any) error) error {
		var e Epoch
		var id, prev int64
		var boot []byte
		if err := scan(&id, &prev, &boot, &e.Start, &e.Clean); err != nil {
			return err
		}
		e.ID, e.Prev = uint64(id), uint64(prev)
		copy(e.Boot[:], boot)
		out = append(out, e)
		return nil
	})
	return out, err
}
