package store

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/siteprobe/siteprobe/buffer/block"
)

// Have returns what is stored of an epoch, by tier.
func (t *Tx) Have(probe int64, epoch uint64) (map[block.Tier]block.Holdings, error) {
	out := map[block.Tier]block.Holdings{}
	err := t.each("SELECT tier, ranges FROM have WHERE probe=? AND epoch=?", []any{probe, int64(epoch)}, func(scan func(...any) error) error {
		var tier block.Tier
		var b []byte
		if err := scan(&tier, &b); err != nil {
			return err
		}
		h, err := block.ParseHoldings(b)
		out[tier] = h
		return err
	})
	return out, err
}

// PutHave keeps what is stored of an epoch in a tier.
func (t *Tx) PutHave(probe int64, epoch uint64, tier block.Tier, h block.Holdings) error {
	_, err := t.exec("INSERT OR REPLACE INTO have(probe, epoch, tier, ranges) VALUES(?,?,?,?)", probe, int64(epoch), tier, h.Append(nil))
	if err != nil {
		return fmt.Errorf("keeping what is stored: %w", err)
	}
	return nil
}

// HaveEpochs returns the epochs of which anything is stored or was accounted for.
func (t *Tx) HaveEpochs(probe int64) (out []uint64, err error) {
	err = t.each("SELECT epoch FROM have WHERE probe=?1 UNION SELECT epoch FROM account WHERE probe=?1", []any{probe}, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		out = append(out, uint64(id))
		return err
	})
	return out, err
}

// Accounted is what a box's accounts said of one source in one epoch.
type Accounted struct {
	Source  string
	Next    uint64
	Pending block.Ranges
	At      int64 // when the last one came, Unix ms
}

// Accounted returns what was said of a source; the zero value where nothing was.
func (t *Tx) Accounted(probe int64, epoch uint64, source string) (a Accounted, err error) {
	a.Source = source
	var b []byte
	var next int64
	err = t.queryRow("SELECT next, pending, at FROM account WHERE probe=? AND epoch=? AND source=?", probe, int64(epoch), source).Scan(&next, &b, &a.At)
	if errors.Is(err, sql.ErrNoRows) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	h, err := block.ParseHoldings(b)
	a.Next, a.Pending = uint64(next), h[""]
	return a, err
}

// AccountedOf calls f for every source that was accounted for in an epoch.
func (t *Tx) AccountedOf(probe int64, epoch uint64, f func(Accounted) error) error {
	return t.each("SELECT source, next, pending, at FROM account WHERE probe=? AND epoch=? ORDER BY source", []any{probe, int64(epoch)}, func(scan func(...any) error) error {
		var a Accounted
		var b []byte
		var next int64
		if err := scan(&a.Source, &next, &b, &a.At); err != nil {
			return err
		}
		h, err := block.ParseHoldings(b)
		if err != nil {
			return err
		}
		a.Next, a.Pending = uint64(next), h[""]
		return f(a)
	})
}

// PutAccounted keeps what was said of a source.
func (t *Tx) PutAccounted(probe int64, epoch uint64, a Accounted) error {
	_, err := t.exec("INSERT OR REPLACE INTO account(probe, epoch, source, next, pending, at) VALUES(?,?,?,?,?,?)",
		probe, int64(epoch), a.Source, int64(a.Next), block.Holdings{"": a.Pending}.Append(nil), a.At)
	if err != nil {
		return fmt.Errorf("keeping an account: %w", err)
	}
	return nil
}

// CountBlocks counts a probe's blocks.
func (t *Tx) CountBlocks(probe int64) (n int64, err error) {
	err = t.queryRow("SELECT count(*) FROM block WHERE probe=?", probe).Scan(&n)
	return n, err
}

// Blocks calls f for every block of a probe, in the order in which they came.
func (t *Tx) Blocks(probe string, f func(*block.Block) error) error {
	id, err := t.FindProbe(probe)
	if err != nil {
		return err
	}
	return t.each("SELECT head, body FROM block WHERE probe=? ORDER BY seq", []any{id}, func(scan func(...any) error) error {
		var head, body []byte
		if err := scan(&head, &body); err != nil {
			return err
		}
		b, err := block.Parse(append(head, body...))
		if err != nil {
			return err
		}
		return f(b)
	})
}
