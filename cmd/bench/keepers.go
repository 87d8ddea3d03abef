package main

import (
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// newKeeper makes what an errand names.
func newKeeper(name, path string) (keeper, error) {
	switch name {
	case "siteprobe":
		return newBlocks(path)
	case "lean rows":
		return newRows(path, leanRows)
	case "proxy's rows":
		return newRows(path, proxyRows)
	}
	return nil, fmt.Errorf("no keeper %q", name)
}

// blocks is the buffer, with commits by hand because the site's time is not that
// of the wall.
type blocks struct {
	buf   *buffer.Buffer
	clock *siteClock
	after int64
}

// siteOffset is when the sites' boot clocks began, a full hour; Unix ms.
const siteOffset = 1_767_222_000_000

// siteClock is the clock of a site that runs in its own time.
type siteClock struct{ now collectors.Stamp }

func (c *siteClock) Now() collectors.Stamp { return c.now }
func (c *siteClock) Offset() (int64, bool) { return siteOffset, true }
func (c *siteClock) Boot() [16]byte        { return [16]byte{1} }

func newBlocks(path string) (*blocks, error) {
	b := &blocks{clock: &siteClock{now: 1}}
	cfg := buffer.DefaultConfig()
	cfg.Path, cfg.Commit = path, 10*time.Minute
	var err error
	b.buf, err = buffer.Open(cfg, buffer.Options{Probe: "bench/site", Clock: b.clock, Manual: true})
	return b, err
}

func (b *blocks) add(x collectors.Batch) {
	b.clock.now = max(b.clock.now, x.At)
	b.buf.Add(x)
}

func (b *blocks) full() bool    { return b.buf.Full() }
func (b *blocks) commit() error { return b.buf.Flush() }
func (b *blocks) close() error  { return b.buf.Close() }

func (b *blocks) drain() (readings int, err error) {
	ps, err := b.buf.PendingAfter(b.after, b.buf.Head(), 256<<10)
	if err != nil || len(ps) == 0 {
		return 0, err
	}
	ids := make([]block.ID, len(ps))
	for i, p := range ps {
		ids[i] = p.ID
		b.after = p.Seq
	}
	_, readings, err = b.buf.Delivered(ids)
	return readings, err
}

func (b *blocks) used() (int64, error) {
	s, err := b.buf.Stats()
	return s.Used, err
}

func (b *blocks) maintain(all bool) (bool, error) {
	if all { // the newest hours are left alone, so there is to be something newer
		b.add(collectors.Batch{Source: "later", At: b.clock.now.Add(3 * time.Hour), Outcome: collectors.Outcome{Result: collectors.Skipped, Why: "later"}})
		if err := b.commit(); err != nil {
			return true, err
		}
	}
	return true, b.buf.Maintain()
}

// rows is a table with a row for each reading, with the durability that the buffer
// has: WAL, and a flush for each commit.
type rows struct {
	db      *sql.DB
	shape   shape
	ids     map[*collectors.Schema]int64 // of the first series of each
	waiting []collectors.Batch
	next    int64
}

// shape is a way to lay out rows.
type shape struct {
	create, insert string
	values         func(series, at int64, v collectors.Value, k collectors.Kind) []any
}

// leanRows is as little as a queue of readings needs.
var leanRows = shape{
	create: "CREATE TABLE reading(id INTEGER PRIMARY KEY, series INTEGER, at INTEGER, value)",
	insert: "INSERT INTO reading(series, at, value) VALUES(?,?,?)",
	values: func(series, at int64, v collectors.Value, k collectors.Kind) []any {
		return []any{series, at, native(v, k)}
	},
}

// proxyRows is laid out as Zabbix's proxy does it in its table proxy_history.
var proxyRows = shape{
	create: `CREATE TABLE reading(id INTEGER PRIMARY KEY AUTOINCREMENT, itemid BIGINT NOT NULL, clock INTEGER DEFAULT 0 NOT NULL,
		timestamp INTEGER DEFAULT 0 NOT NULL, source VARCHAR(64) DEFAULT '' NOT NULL, severity INTEGER DEFAULT 0 NOT NULL,
		value TEXT DEFAULT '' NOT NULL, logeventid INTEGER DEFAULT 0 NOT NULL, ns INTEGER DEFAULT 0 NOT NULL,
		state INTEGER DEFAULT 0 NOT NULL, lastlogsize BIGINT DEFAULT 0 NOT NULL, mtime INTEGER DEFAULT 0 NOT NULL,
		flags INTEGER DEFAULT 0 NOT NULL, write_clock INTEGER DEFAULT 0 NOT NULL);
		CREATE INDEX reading_1 ON reading(clock)`,
	insert: "INSERT INTO reading(itemid, clock, ns, value, write_clock) VALUES(?,?,?,?,?)",
	values: func(series, at int64, v collectors.Value, k collectors.Kind) []any {
		return []any{20_000 + series, at / 1000, at % 1000 * 1_000_000, v.Format(k), at/1000 + 1}
	},
}

// native is a reading as SQLite keeps it in the fewest octets.
func native(v collectors.Value, k collectors.Kind) any {
	switch f := v.Gauge(); {
	case k == collectors.Text:
		return v.Text()
	case k != collectors.Gauge:
		return v.State()
	case f == float64(int64(f)):
		return int64(f)
	default:
		return f
	}
}

func newRows(path string, s shape) (*rows, error) {
	// The driver is the buffer's.
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL&_synchronous=FULL&_txlock=immediate&_cache_size=-2000")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec(s.create)
	return &rows{db: db, shape: s, ids: map[*collectors.Schema]int64{}}, err
}

func (r *rows) add(b collectors.Batch)      { r.waiting = append(r.waiting, b) }
func (r *rows) full() bool                  { return false }
func (r *rows) close() error                { return r.db.Close() }
func (r *rows) maintain(bool) (bool, error) { return false, nil }

func (r *rows) commit() error {
	tx, err := r.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	insert, err := tx.Prepare(r.shape.insert)
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, b := range r.waiting {
		if b.Schema == nil {
			continue
		}
		first, ok := r.ids[b.Schema]
		if !ok {
			first = r.next
			r.ids[b.Schema] = first
			r.next += int64(len(b.Schema.Series))
		}
		for i, v := range b.Values {
			if v.Missing() {
				continue
			}
			if _, err := insert.Exec(r.shape.values(first+int64(i), siteOffset+int64(b.At), v, b.Schema.Series[i].Kind)...); err != nil {
				return err
			}
		}
	}
	r.waiting = r.waiting[:0]
	return tx.Commit()
}

// drain reads 5,000 rows, to send them, and deletes them.
func (r *rows) drain() (n int, err error) {
	rs, err := r.db.Query("SELECT * FROM reading ORDER BY id LIMIT 5000")
	if err != nil {
		return 0, err
	}
	defer rs.Close()
	cols, err := rs.Columns()
	if err != nil {
		return 0, err
	}
	row := make([]sql.RawBytes, len(cols))
	to := make([]any, len(cols))
	for i := range row {
		to[i] = &row[i]
	}
	last := ""
	for ; rs.Next(); n++ {
		if err := rs.Scan(to...); err != nil {
			return 0, err
		}
		last = strings.Clone(string(row[0]))
	}
	if err := rs.Err(); err != nil || n == 0 {
		return 0, err
	}
	if err := rs.Close(); err != nil {
		return 0, err
	}
	_, err = r.db.Exec("DELETE FROM reading WHERE id<=?", last)
	return n, err
}

func (r *rows) used() (used int64, err error) {
	var pages, free, size int64
	for q, to := range map[string]*int64{"PRAGMA page_count": &pages, "PRAGMA freelist_count": &free, "PRAGMA page_size": &size} {
		if err := r.db.QueryRow(q).Scan(to); err != nil {
			return 0, err
		}
	}
	return (pages - free) * size, nil
}
