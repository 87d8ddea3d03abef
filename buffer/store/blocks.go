package store

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// Probe returns the number of a probe's name, which it is given at its first use.
func (t *Tx) Probe(name string) (id int64, err error) {
	if id, err = t.FindProbe(name); err != nil || id != 0 {
		return id, err
	}
	res, err := t.exec("INSERT INTO probe(name) VALUES(?)", name)
	if err != nil {
		return 0, fmt.Errorf("adding probe %s: %w", name, err)
	}
	// Were it there twice, the index would have lost it, and what is kept under the
	// old number would never be looked at again.
	var n int
	if err := t.queryRow("SELECT count(*) FROM probe NOT INDEXED WHERE name=?", name).Scan(&n); err != nil {
		return 0, err
	}
	if n > 1 {
		return 0, fmt.Errorf("%w: the index of probes lacks %s", ErrDamaged, name)
	}
	return res.LastInsertId()
}

// FindProbe returns the number of a probe's name, 0 where it has none.
func (t *Tx) FindProbe(name string) (id int64, err error) {
	err = t.queryRow("SELECT id FROM probe WHERE name=?", name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

// Probes returns every probe's name by number.
func (t *Tx) Probes() (map[int64]string, error) {
	out := map[int64]string{}
	return out, t.each("SELECT id, name FROM probe", nil, func(scan func(...any) error) error {
		var id int64
		var name string
		err := scan(&id, &name)
		out[id] = name
		return err
	})
}

// each runs a query and calls f for each of its rows.
func (t *Tx) each(q string, args []any, f func(scan func(...any) error) error) error {
	rows, err := t.query(q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(func(to ...any) error { return scanned(rows.Scan(to...)) }); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Meta returns a setting of the database, empty where there is none.
func (t *Tx) Meta(key string) (v string, err error) {
	err = t.queryRow("SELECT value FROM meta WHERE key=?", key).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, err
}

// SetMeta keeps a setting of the database.
func (t *Tx) SetMeta(key, value string) error {
	_, err := t.exec("INSERT INTO meta(key, value) VALUES(?, ?) ON CONFLICT DO UPDATE SET value=excluded.value", key, value)
	return err
}

// PutSchema keeps a schema's bytes under their name.
func (t *Tx) PutSchema(id block.ID, bytes []byte) error {
	_, err := t.exec("INSERT INTO schema(hash, bytes) VALUES(?, ?) ON CONFLICT DO NOTHING", id[:], bytes)
	return err
}

// SchemaBytes returns a schema's bytes, nil where it is not here or damaged.
func (t *Tx) SchemaBytes(id block.ID) (b []byte, err error) {
	b, _, err = t.schema(id)
	return b, err
}

func (t *Tx) schema(id block.ID) (b []byte, s *collectors.Schema, err error) {
	err = t.queryRow("SELECT bytes FROM schema WHERE hash=?", id[:]).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	got, s, err := t.s.codec.DecodeSchema(b)
	if err != nil || got != id {
		t.s.bad.schema(id)
		return nil, nil, nil
	}
	return b, s, nil
}

// HasSchema tells whether a schema is here.
func (t *Tx) HasSchema(id block.ID) (ok bool, err error) {
	if t.s.schemas.get(id) != nil {
		return true, nil
	}
	err = t.queryRow("SELECT EXISTS(SELECT 1 FROM schema WHERE hash=?)", id[:]).Scan(&ok)
	return ok, err
}

// Schema returns a decoded schema, nil where it is not here or cannot be read.
func (t *Tx) Schema(id block.ID) *collectors.Schema {
	if s := t.s.schemas.get(id); s != nil {
		return s
	}
	_, s, err := t.schema(id)
	if err != nil || s == nil {
		return nil
	}
	t.s.schemas.put(id, s)
	return s
}

// schemaCache keeps the schemas that were decoded last: all blocks of an hour
// share a few.
type schemaCache struct {
	mu sync.Mutex
	m  map[block.ID]*collectors.Schema
	n  int // series in it
}

const maxCachedSeries = 50_000

func (c *schemaCache) get(id block.ID) *collectors.Schema {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m[id]
}

func (c *schemaCache) drop(id block.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.m[id]; s != nil {
		c.n -= len(s.Series)
		delete(c.m, id)
	}
}

func (c *schemaCache) put(id block.ID, s *collectors.Schema) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || c.n > maxCachedSeries {
		c.m, c.n = map[block.ID]*collectors.Schema{}, 0
	}
	c.m[id] = s
	c.n += len(s.Series)
}

// PutBlock keeps a block, and what it tells of the clock; pending says that it
// waits for an acknowledgement.
func (t *Tx) PutBlock(probe int64, b *block.Block, pending bool) error {
	return t.putBlock(nil, probe, b, pending)
}

// PutBelow keeps a block that is older than all others: its number is below theirs
// while there are such (see Options.Below), so that it is sent after them and
// dropped before them.
func (t *Tx) PutBelow(probe int64, b *block.Block, pending bool) error {
	var seq sql.NullInt64
	err := t.queryRow("SELECT coalesce((SELECT min(seq)-1 FROM block), (SELECT seq FROM sqlite_sequence WHERE name='block'))").Scan(&seq)
	if err != nil {
		return fmt.Errorf("keeping a block: %w", err)
	}
	if seq.Int64 < 1 {
		return t.putBlock(nil, probe, b, pending)
	}
	return t.putBlock(&seq.Int64, probe, b, pending)
}

// PutBlockAt is PutBlock under a number that is free.
func (t *Tx) PutBlockAt(seq, probe int64, b *block.Block, pending bool) error {
	return t.putBlock(&seq, probe, b, pending)
}

func (t *Tx) putBlock(at *int64, probe int64, b *block.Block, pending bool) error {
	offset, err := t.learnClock(probe, b)
	if err != nil {
		return err
	}
	var boot, shift any
	if !b.Sure && b.Boot != ([16]byte{}) {
		boot, shift = b.Boot[:], offset
	}
	res, err := t.exec("INSERT INTO block(seq, probe, id, class, epoch, tier, t0, t1, readings, boot, shift, head, body) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
		at, probe, b.ID[:], b.Class, int64(b.Epoch), b.Tier, int64(b.T0)+offset, int64(b.T1)+offset, b.Readings, boot, shift, b.Bytes[:b.HeadSize], b.Bytes[b.HeadSize:])
	if err != nil {
		return fmt.Errorf("keeping a block: %w", err)
	}
	if !pending {
		return nil
	}
	n, err := res.LastInsertId()
	if err != nil {
		return err
	}
	return t.addPending(n, b.Class, b.ID, len(b.Bytes), b.Readings)
}

func (t *Tx) addPending(seq int64, class block.Class, id block.ID, size, readings int) error {
	_, err := t.exec("INSERT INTO pending(seq, class, id, size, readings) VALUES(?,?,?,?,?) ON CONFLICT DO NOTHING", seq, class, id[:], size, readings)
	if err != nil {
		return fmt.Errorf("marking a block pending: %w", err)
	}
	return nil
}

// Deliver marks the block of that name as delivered, if it is pending under this
// number; it returns how many readings that were, and whether it was.
func (t *Tx) Deliver(seq int64, id block.ID) (readings int, ok bool, err error) {
	err = t.queryRow("DELETE FROM pending WHERE seq=? AND id=? RETURNING readings", seq, id[:]).Scan(&readings)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return readings, err == nil, err
}

// DeliverRow marks a block as delivered, whatever name the table has for it.
func (t *Tx) DeliverRow(r *Row) error {
	_, err := t.exec("DELETE FROM pending WHERE seq=?", r.Seq)
	return err
}

// Row is a block in the table, without its body.
type Row struct {
	Seq     int64
	ID      block.ID
	Pending bool
	Size    int
	T0, T1  int64 // wall time, Unix ms
	block.Head
}

// Rows calls f for the head of every block that the condition chooses: SQL over
// the columns of block b and pending p. A head that cannot be read is passed over
// and noted as damaged.
func (t *Tx) Rows(f func(*Row) error, cond string, args ...any) error {
	q := "SELECT b.seq, b.id, p.seq IS NOT NULL, length(b.head)+length(b.body), b.t0, b.t1, b.head FROM block b LEFT JOIN pending p ON p.seq=b.seq " + cond
	return t.each(q, args, func(scan func(...any) error) error {
		var r Row
		var id, head []byte
		if err := scan(&r.Seq, &id, &r.Pending, &r.Size, &r.T0, &r.T1, &head); err != nil {
			return err
		}
		h, _, err := block.ParseHead(head)
		if err != nil {
			t.s.bad.block(r.Seq)
			return nil
		}
		r.ID, _ = block.IDFrom(id)
		r.Head = *h
		return f(&r)
	})
}

// SetPending makes a delivered block pending again.
func (t *Tx) SetPending(r *Row) error {
	// A row that is found by looking at all, but not by its number, would be pending
	// for ever.
	var seq int64
	if err := t.queryRow("SELECT seq FROM block WHERE seq=?", r.Seq).Scan(&seq); err != nil {
		return err
	}
	return t.addPending(r.Seq, r.Class, r.ID, r.Size, r.Readings)
}

// Drop deletes a block.
func (t *Tx) Drop(seq int64) error {
	if _, err := t.exec("DELETE FROM pending WHERE seq=?", seq); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM block WHERE seq=?", seq)
	return err
}

// Present tells which of the blocks are here. It looks where their times would put
// them and, for those that nobody has heard of yet, through all that is pending.
func (t *Tx) Present(probe int64, blocks []*block.Block) (map[block.ID]bool, error) {
	here, rest := map[block.ID]bool{}, map[block.ID]bool{}
	for _, b := range blocks {
		var ok bool
		err := t.queryRow("SELECT EXISTS(SELECT 1 FROM block WHERE probe=? AND t1=? AND id=?)", probe, b.Wall(b.T1), b.ID[:]).Scan(&ok)
		if err != nil {
			return nil, err
		}
		if ok {
			here[b.ID] = true
		} else {
			rest[b.ID] = true
		}
	}
	if len(rest) == 0 {
		return here, nil
	}
	err := t.each("SELECT id FROM pending", nil, func(scan func(...any) error) error {
		var name []byte
		if err := scan(&name); err != nil {
			return err
		}
		if id, ok := block.IDFrom(name); ok && rest[id] {
			here[id] = true
		}
		return nil
	})
	return here, err
}

// Pending is a block that waits to be sent.
type Pending struct {
	Seq      int64
	Class    block.Class
	ID       block.ID
	T0       int64 // wall time, Unix ms
	Readings int
	Bytes    []byte
}

// PendingAfter returns pending blocks with after < seq <= until in rising order,
// at least one if there is any, up to about maxBytes together. What is damaged is
// passed over and noted.
func (t *Tx) PendingAfter(after, until int64, maxBytes int) ([]Pending, error) {
	var out []Pending
	size := 0
	for rows := maxPendingRows; rows == maxPendingRows && len(out) == 0; {
		rows = 0
		// The join is an outer one: a number without a block would be pending for ever.
		err := t.each("SELECT p.seq, p.class, p.id, coalesce(b.t0, 0), p.readings, b.head, b.body FROM pending p LEFT JOIN block b ON b.seq=p.seq WHERE p.seq>? AND p.seq<=? ORDER BY p.seq LIMIT ?",
			[]any{after, until, maxPendingRows}, func(scan func(...any) error) error {
				var p Pending
				var id, head, body []byte
				rows++
				if err := scan(&p.Seq, &p.Class, &id, &p.T0, &p.Readings, &head, &body); err != nil {
					return err
				}
				after, p.Bytes = p.Seq, append(head, body...)
				b, ok := whole(id, p.Bytes)
				if !ok || b != nil && !bytes.Equal(id, b.ID[:]) {
					t.s.bad.block(p.Seq) // under another name an acknowledgement would not find it
				}
				if !ok {
					return nil
				}
				if p.ID, _ = block.IDFrom(id); b != nil {
					p.ID, p.Class, p.T0, p.Readings = b.ID, b.Class, b.Wall(b.T0), b.Readings
				}
				if size += len(p.Bytes); size > maxBytes && len(out) > 0 {
					return errEnough
				}
				out = append(out, p)
				return nil
			})
		if err != nil && !errors.Is(err, errEnough) {
			return out, err
		}
	}
	return out, nil
}

const maxPendingRows = 512

var errEnough = errors.New("enough")

// Totals of what is pending.
type Totals struct {
	Blocks, Readings, Bytes int64
	Oldest                  int64 // wall time of the oldest, Unix ms; 0: none
}

// PendingTotals counts what is pending.
func (t *Tx) PendingTotals() (x Totals, err error) {
	var oldest sql.NullInt64
	err = t.queryRow("SELECT count(*), coalesce(sum(readings),0), coalesce(sum(size),0), (SELECT b.t0 FROM pending p JOIN block b ON b.seq=p.seq ORDER BY p.seq LIMIT 1) FROM pending").
		Scan(&x.Blocks, &x.Readings, &x.Bytes, &oldest)
	x.Oldest = oldest.Int64
	return x, err
}

// LastSeq returns the highest block number, 0 for none.
func (t *Tx) LastSeq() (n int64, err error) {
	err = t.queryRow("SELECT coalesce(max(seq),0) FROM block").Scan(&n)
	return n, err
}

// PendingBytes counts the octets of a class's pending blocks.
func (t *Tx) PendingBytes(class block.Class) (n int64, err error) {
	err = t.queryRow("SELECT coalesce(sum(size),0) FROM pending WHERE class=?", class).Scan(&n)
	return n, err
}

// OldestPending returns the heads of the oldest pending blocks of a class.
func (t *Tx) OldestPending(class block.Class, limit int) (out []Row, err error) {
	err = t.Rows(func(r *Row) error { out = append(out, *r); return nil },
		"WHERE b.seq IN (SELECT seq FROM pending WHERE class=? ORDER BY seq LIMIT ?) ORDER BY b.seq", class, limit)
	return out, err
}

// EvictDelivered deletes delivered blocks, oldest first, until about need octets
// are free; it returns how many that were. Where nearly all is pending it has to
// look far: it does so in the index, which is a hundredth of the table.
func (t *Tx) EvictDelivered(probe, need int64) (freed int64, err error) {
	var seqs []int64
	err = t.each("SELECT b.seq FROM block b INDEXED BY block_time WHERE b.probe=? AND NOT EXISTS(SELECT 1 FROM pending p WHERE p.seq=b.seq) ORDER BY b.t1", []any{probe},
		func(scan func(...any) error) error {
			var seq, size int64
			if err := scan(&seq); err != nil {
				return err
			}
			if err := t.queryRow("SELECT length(head)+length(body) FROM block WHERE seq=?", seq).Scan(&size); err != nil {
				return err
			}
			seqs = append(seqs, seq)
			if freed += size + 512; freed >= need {
				return errEnough
			}
			return nil
		})
	if err != nil && !errors.Is(err, errEnough) {
		return 0, err
	}
	for _, seq := range seqs {
		if err := t.Drop(seq); err != nil {
			return 0, err
		}
	}
	return freed, nil
}

// DropDelivered deletes up to limit delivered blocks that ended before a time, as
// far as it is known when they did.
func (t *Tx) DropDelivered(probe, before int64, limit int) error {
	_, err := t.exec("DELETE FROM block WHERE seq IN (SELECT b.seq FROM block b WHERE b.probe=?1 AND b.t1>=?4 AND b.t1<?2 AND NOT EXISTS(SELECT 1 FROM pending p WHERE p.seq=b.seq) "+
		"AND NOT EXISTS(SELECT 1 FROM clock c WHERE c.probe=?1 AND c.boot=b.boot AND c.sure=0) ORDER BY b.t1 LIMIT ?3)", probe, before, limit, int64(earliest))
	if err != nil {
		return fmt.Errorf("trimming the history: %w", err)
	}
	return nil
}

// SchemaSize counts the octets of all schemas.
func (t *Tx) SchemaSize() (n int64, err error) {
	err = t.queryRow("SELECT coalesce(sum(length(bytes)),0) FROM schema").Scan(&n)
	return n, err
}

// Named adds the schemas and the epochs that blocks with higher numbers than after
// name. It reads the head of each.
func (t *Tx) Named(after int64, schemas map[block.ID]bool, epochs map[uint64]bool) error {
	return t.each("SELECT seq, head FROM block WHERE seq>?", []any{after}, func(scan func(...any) error) error {
		var seq int64
		var head []byte
		if err := scan(&seq, &head); err != nil {
			return err
		}
		h, _, err := block.ParseHead(head)
		if err != nil {
			t.s.bad.block(seq)
			return nil
		}
		epochs[h.Epoch] = true
		for _, id := range h.Schemas() {
			schemas[id] = true
		}
		return nil
	})
}

// KeepSchemas deletes all other schemas; it returns how many octets those had.
func (t *Tx) KeepSchemas(keep map[block.ID]bool) (freed int64, err error) {
	var drop []block.ID
	err = t.each("SELECT hash, length(bytes) FROM schema", nil, func(scan func(...any) error) error {
		var hash []byte
		var size int64
		if err := scan(&hash, &size); err != nil {
			return err
		}
		if id, ok := block.IDFrom(hash); ok && !keep[id] {
			drop = append(drop, id)
			freed += size
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, id := range drop {
		if _, err := t.exec("DELETE FROM schema WHERE hash=?", id[:]); err != nil {
			return 0, fmt.Errorf("deleting a schema: %w", err)
		}
		t.s.schemas.drop(id)
	}
	return freed, nil
}

// ForgetEpoch deletes an epoch's row, gaps and note.
func (t *Tx) ForgetEpoch(probe int64, epoch uint64) error {
	if _, err := t.exec("DELETE FROM meta WHERE key=?", countedKey(epoch)); err != nil {
		return fmt.Errorf("forgetting an epoch: %w", err)
	}
	for _, q := range []string{"DELETE FROM gap WHERE probe=? AND epoch=?", "DELETE FROM epoch WHERE probe=? AND id=?"} {
		if _, err := t.exec(q, probe, int64(epoch)); err != nil {
			return fmt.Errorf("forgetting an epoch: %w", err)
		}
	}
	return nil
}
