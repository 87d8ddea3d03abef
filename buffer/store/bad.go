package store

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/siteprobe/siteprobe/buffer/block"
)

// badRows are rows that were met and are damaged, though the tables are not: a bit
// flipped where SQLite keeps no checksum. Whoever meets one passes it over and
// notes it here; the database's owner deletes it with its next commit.
type badRows struct {
	mu      sync.Mutex
	blocks  map[int64]bool
	schemas map[block.ID]bool
}

const maxBad = 10_000 // the rest is met again

func (r *badRows) block(seq int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blocks == nil {
		r.blocks = map[int64]bool{}
	}
	if len(r.blocks) < maxBad {
		r.blocks[seq] = true
	}
}

func (r *badRows) schema(id block.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.schemas == nil {
		r.schemas = map[block.ID]bool{}
	}
	if len(r.schemas) < maxBad {
		r.schemas[id] = true
	}
}

// Bad hands over the damaged rows that were met since it was called last: blocks,
// which are for [Tx.Mend], and schemas, for [Tx.DropSchema].
func (s *Store) Bad() (blocks []int64, schemas []block.ID) {
	if s == nil {
		return nil, nil
	}
	s.bad.mu.Lock()
	defer s.bad.mu.Unlock()
	blocks = slices.Sorted(maps.Keys(s.bad.blocks))
	for id := range s.bad.schemas {
		schemas = append(schemas, id)
	}
	s.bad.blocks, s.bad.schemas = nil, nil
	return blocks, schemas
}

// Whole tells whether a block is what was written; if not, it is noted as damaged.
func (t *Tx) Whole(seq int64) (bool, error) {
	var id, head, body []byte
	err := t.queryRow("SELECT id, head, body FROM block WHERE seq=?", seq).Scan(&id, &head, &body)
	if err != nil {
		return false, err
	}
	_, ok := whole(id, append(head, body...))
	if !ok {
		t.s.bad.block(seq)
	}
	return ok, nil
}

// whole tells whether a block is what was written: by its checksum, or where a newer
// program wrote it, by its name. x is nil for the latter.
func whole(id, b []byte) (x *block.Block, ok bool) {
	x, err := block.Parse(b)
	if errors.Is(err, block.ErrVersion) {
		name := block.IDOf(b)
		return nil, bytes.Equal(id, name[:])
	}
	return x, err == nil
}

// ErrDiffers says that a block which another connection read as damaged is whole for
// this one: one of them goes by a page in its memory that the file has not.
var ErrDiffers = errors.New("two connections read different pages")

// Mend looks at a block that was noted as damaged. One that is whole gets back its
// name. Any other is deleted; lost is its row if it was pending and its head can be
// read, though that may not be what was written either.
func (t *Tx) Mend(seq int64) (lost *Row, err error) {
	var id, head, body []byte
	err = t.queryRow("SELECT id, head, body FROM block WHERE seq=?", seq).Scan(&id, &head, &body)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	if err != nil {
		var lies bool // where it is not looked for: then the table itself is damaged
		err = t.queryRow("SELECT EXISTS(SELECT 1 FROM block WHERE +seq=?)", seq).Scan(&lies)
		if err == nil && lies {
			err = fmt.Errorf("%w: block %d is not found by its number", ErrDamaged, seq)
		}
		if err != nil {
			return nil, err
		}
	}
	b := append(head, body...)
	x, ok := whole(id, b)
	if ok && x == nil {
		return nil, nil
	}
	var pending bool
	var sent []byte
	err = t.queryRow("SELECT id FROM pending WHERE seq=?", seq).Scan(&sent)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	pending = err == nil
	if x != nil && bytes.Equal(id, x.ID[:]) && (!pending || bytes.Equal(sent, x.ID[:])) {
		return nil, ErrDiffers
	}
	if x != nil {
		if _, err := t.exec("UPDATE block SET id=? WHERE seq=?", x.ID[:], seq); err != nil {
			return nil, fmt.Errorf("giving a block its name: %w", err)
		}
		if !pending {
			return nil, nil
		}
		if _, err := t.exec("DELETE FROM pending WHERE seq=?", seq); err != nil {
			return nil, fmt.Errorf("giving a block its name: %w", err)
		}
		return nil, t.addPending(seq, x.Class, x.ID, len(x.Bytes), x.Readings)
	}
	if h, _, err := block.ParseHead(b); err == nil && pending {
		lost = &Row{Seq: seq, Pending: true, Size: len(b), T0: h.Wall(h.T0), T1: h.Wall(h.T1), Head: *h}
	}
	return lost, t.Drop(seq)
}

// DropSchema deletes a schema that was noted as damaged.
func (t *Tx) DropSchema(id block.ID) error {
	if _, err := t.exec("DELETE FROM schema WHERE hash=?", id[:]); err != nil {
		return fmt.Errorf("deleting a damaged schema: %w", err)
	}
	t.s.schemas.drop(id)
	return nil
}
