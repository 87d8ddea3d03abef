package store

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
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
// it, unless the time of only one is known.
func (t *Tx) PutGap(probe int64, g Gap) error {
	var first, count, t0, t1 int64
	err := t.queryRow("SELECT first, count, t0, t1 FROM gap WHERE probe=? AND epoch=? AND source=? AND first<=? AND reason=? AND (t0=0)=(?=0) ORDER BY first DESC LIMIT 1",
		probe, int64(g.Epoch), g.Source, int64(g.First), g.Reason, g.T0).Scan(&first, &count, &t0, &t1)
	if err == nil && uint64(first+count) >= g.First {
		g.Range = block.Range{First: uint64(first), End: max(uint64(first+count), g.End)}
		if t0 != 0 {
			g.T0 = min(t0, g.T0)
		}
		g.T1 = max(t1, g.T1)
	} else if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("looking for a gap to extend: %w", err)
	}
	return t.putGap(probe, g)
}

func (t *Tx) putGap(probe int64, g Gap) error {
	_, err := t.exec("INSERT OR REPLACE INTO gap(probe, epoch, source, first, count, t0, t1, reason) VALUES(?,?,?,?,?,?,?,?)",
		probe, int64(g.Epoch), g.Source, int64(g.First), int64(g.End-g.First), g.T0, g.T1, g.Reason)
	if err != nil {
		return fmt.Errorf("keeping a gap: %w", err)
	}
	return nil
}

// FillGaps takes numbers out of the gaps: they are here after all.
func (t *Tx) FillGaps(probe int64, epoch uint64, source string, r block.Range) error {
	var hit []Gap
	err := t.gaps(func(g Gap) error { hit = append(hit, g); return nil },
		"SELECT epoch, source, first, count, t0, t1, reason FROM gap WHERE probe=? AND epoch=? AND source=? AND first<? AND first+count>?",
		probe, int64(epoch), source, int64(r.End), int64(r.First))
	if err != nil {
		return err
	}
	for _, g := range hit {
		if _, err := t.exec("DELETE FROM gap WHERE probe=? AND epoch=? AND source=? AND first=?", probe, int64(epoch), source, int64(g.First)); err != nil {
			return fmt.Errorf("filling a gap: %w", err)
		}
		for _, left := range (block.Ranges{g.Range}).Subtract(block.Ranges{r}) {
			g.Range = left
			if err := t.putGap(probe, g); err != nil {
				return err
			}
		}
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
		if !g.plausible() {
			return nil // a row has no checksum; the next account finds the numbers missing
		}
		return f(g)
	})
}

// Epoch is one opening of the box's database.
type Epoch struct {
	ID, Prev uint64
	N        uint64 // rises from one opening of a box to the next; 0: written before there was one
	Boot     [16]byte
	Start    int64            // wall time, Unix ms; 0: not known
	At       collectors.Stamp // of the start
	Sure     bool             // Start is for certain
	End      End
}

// End is how an epoch ended.
type End uint8

// The ends. Which numbers an epoch has is settled with its files after each.
const (
	Unsettled End = 0 // it goes on, or it ended uncleanly and its file may be behind
	Clean     End = 1 // it was closed in good order
	Unclean   End = 2 // it was not; its file was put right since
)

// PutCounted keeps a note of the box about an epoch, see package buffer.
func (t *Tx) PutCounted(epoch uint64, note []byte) error {
	_, err := t.exec("INSERT INTO meta(key, value) VALUES(?, ?) ON CONFLICT DO UPDATE SET value=excluded.value", countedKey(epoch), note)
	if err != nil {
		return fmt.Errorf("keeping the note of an epoch: %w", err)
	}
	return nil
}

// Counted returns the note about an epoch, nil where there is none.
func (t *Tx) Counted(epoch uint64) (note []byte, err error) {
	err = t.queryRow("SELECT value FROM meta WHERE key=?", countedKey(epoch)).Scan(&note)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return note, err
}

func countedKey(epoch uint64) string { return fmt.Sprintf("counted:%016x", epoch) }

// PutEpoch keeps an epoch's row, which comes with its first batch. Of a row that is
// there already its start, where that is known, and its end change.
func (t *Tx) PutEpoch(probe int64, e Epoch) error {
	_, err := t.exec("INSERT INTO epoch(probe, id, prev, boot, start, clean, n, at, sure) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9) "+
		"ON CONFLICT DO UPDATE SET clean=?6, start=CASE WHEN ?5<>0 THEN ?5 ELSE start END, prev=CASE WHEN ?3<>0 THEN ?3 ELSE prev END, n=max(coalesce(n,0), ?7)",
		probe, int64(e.ID), int64(e.Prev), e.Boot[:], e.Start, e.End, int64(e.N), e.At, e.Sure)
	if err != nil {
		return fmt.Errorf("keeping an epoch: %w", err)
	}
	return nil
}

// Epochs returns a probe's epochs in the order in which they began. A start that
// was noted while the clock was unsure is corrected where that can be done.
func (t *Tx) Epochs(probe int64) (out []Epoch, err error) {
	q := "SELECT id, prev, boot, start, clean, coalesce(n,0), coalesce(at,0), coalesce(sure,1) FROM epoch WHERE probe=? ORDER BY coalesce(n,0), start"
	if t.s.version < 2 {
		q = "SELECT id, prev, boot, start, clean, 0, 0, 1 FROM epoch WHERE probe=? ORDER BY start"
	}
	err = t.each(q, []any{probe}, func(scan func(...any) error) error {
		var e Epoch
		var id, prev, n int64
		var boot []byte
		if err := scan(&id, &prev, &boot, &e.Start, &e.End, &n, &e.At, &e.Sure); err != nil {
			return err
		}
		e.ID, e.Prev, e.N = uint64(id), uint64(prev), uint64(n)
		copy(e.Boot[:], boot)
		out = append(out, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	clocks := t.Clocks(probe)
	for i := range out {
		h := block.Head{Boot: out[i].Boot, Offset: out[i].Start - int64(out[i].At), Sure: out[i].Sure}
		if err := clocks.Correct(&h); err != nil {
			return nil, err
		}
		out[i].Start, out[i].Sure = h.Wall(out[i].At), h.Sure
	}
	return out, nil
}

// Cloned tells whether two epochs of a probe have the same predecessor, which a
// disk that was cloned, or put back from a copy, leaves behind.
func (t *Tx) Cloned(probe int64) (cloned bool, err error) {
	err = t.queryRow("SELECT EXISTS(SELECT 1 FROM epoch WHERE probe=? AND prev<>0 GROUP BY prev HAVING count(*)>1)", probe).Scan(&cloned)
	return cloned, err
}
