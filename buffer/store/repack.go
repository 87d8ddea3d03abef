package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
)

// Block returns a block; one that is damaged is noted.
func (t *Tx) Block(seq int64) (*block.Block, error) {
	var head, body []byte
	if err := t.queryRow("SELECT head, body FROM block WHERE seq=?", seq).Scan(&head, &body); err != nil {
		return nil, err
	}
	b, err := block.Parse(append(head, body...))
	if errors.Is(err, block.ErrDamaged) {
		t.s.bad.block(seq)
	}
	return b, err
}

// Same tells whether a row is still there and in the same state.
func (t *Tx) Same(r *Row) (bool, error) {
	var id []byte
	var pending bool
	err := t.queryRow("SELECT b.id, p.seq IS NOT NULL FROM block b LEFT JOIN pending p ON p.seq=b.seq WHERE b.seq=?", r.Seq).Scan(&id, &pending)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil && string(id) == string(r.ID[:]) && pending == r.Pending, err
}

// OldestBlock returns the wall time (Unix ms) at which the first block ends that ends
// at from or later; 0 for none.
func (t *Tx) OldestBlock(probe, from int64) (int64, error) {
	var t1 sql.NullInt64
	err := t.queryRow("SELECT min(t1) FROM block WHERE probe=? AND t1>=?", probe, from).Scan(&t1)
	return t1.Int64, err
}

// ReadingsBetween counts the readings of blocks that end between two times.
func (t *Tx) ReadingsBetween(probe, from, to int64) (n int, err error) {
	err = t.queryRow("SELECT coalesce(sum(readings),0) FROM block WHERE probe=? AND t1>=? AND t1<?", probe, from, to).Scan(&n)
	return n, err
}

// OldestOf returns the oldest blocks of a class, tier and state that end at after or
// later and before a time, in order: those that end within span of the whole hour in
// which the first one does, as long as they have no more than so many readings
// together, or all of that hour.
func (t *Tx) OldestOf(probe int64, class block.Class, tier block.Tier, pending bool, after, before int64, span time.Duration, most int) (out []Row, err error) {
	const hour = int64(time.Hour / time.Millisecond)
	end, readings := int64(0), 0
	cond := "WHERE b.probe=? AND b.t1>=? AND b.t1<? AND b.class=? AND b.tier=? AND p.seq IS NULL ORDER BY b.t1, b.seq"
	if pending {
		cond = "WHERE b.probe=? AND b.t1>=? AND b.t1<? AND b.class=? AND b.tier=? AND p.seq IS NOT NULL ORDER BY b.t1, b.seq"
	}
	err = t.Rows(func(r *Row) error {
		start := r.T1 - ((r.T1%hour)+hour)%hour
		if end == 0 {
			end = start + span.Milliseconds()
		}
		if r.T1 >= end {
			return errEnough
		}
		if readings += r.Readings; readings > most {
			// Whole hours only: buckets are not to be cut.
			for len(out) > 0 && out[len(out)-1].T1 >= start && out[0].T1 < start {
				out = out[:len(out)-1]
			}
			if len(out) > 0 && out[0].T1 < start {
				return errEnough
			}
		}
		out = append(out, *r)
		return nil
	}, cond, probe, after, before, class, tier)
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the oldest blocks: %w", err)
	}
	return out, nil
}

// OldestEvents returns the oldest pending blocks of events of a tier, with about so
// many octets together.
func (t *Tx) OldestEvents(tier block.Tier, most int) (out []Row, err error) {
	size := 0
	err = t.Rows(func(r *Row) error {
		if size += r.Size; size > most && len(out) > 1 {
			return errEnough
		}
		out = append(out, *r)
		return nil
	}, "WHERE p.class=? AND b.tier=? ORDER BY b.seq", block.Events, tier)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return out, err
}
