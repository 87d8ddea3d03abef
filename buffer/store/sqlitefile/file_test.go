package sqlitefile_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	_ "github.com/mattn/go-sqlite3"

	"github.com/siteprobe/siteprobe/buffer/store/sqlitefile"
)

const pageSize = 4096

// row is what a test keeps.
type row struct {
	n    int64
	text string
	blob []byte
}

// database makes one with n rows of up to 70,000 octets, half of them deleted or
// changed since, and returns its bytes and its log's as a crash would leave them.
func database(t testing.TB, n, pageSize int) (db, wal []byte, rows map[int64]row) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	c, err := sql.Open("sqlite3", "file:"+path+"?_synchronous=OFF")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetMaxOpenConns(1)
	exec := func(q string, args ...any) {
		t.Helper()
		if _, err := c.Exec(q, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(fmt.Sprintf("PRAGMA journal_mode=DELETE; PRAGMA page_size=%d; VACUUM; PRAGMA journal_mode=WAL", pageSize))
	exec("CREATE TABLE a(id INTEGER PRIMARY KEY, n INTEGER, text TEXT, blob BLOB)")
	exec("CREATE TABLE b(x TEXT, y INTEGER, z BLOB, PRIMARY KEY(x, y)) WITHOUT ROWID")
	r := rand.New(rand.NewPCG(1, 2))
	rows = map[int64]row{}
	for i := range n {
		x := row{int64(r.Uint64()) >> r.IntN(64), fmt.Sprint("row ", i), make([]byte, r.IntN(1<<(4+r.IntN(13))))}
		for j := range x.blob {
			x.blob[j] = byte(r.Uint32())
		}
		id := int64(r.Uint64()>>1) >> r.IntN(60)
		exec("INSERT OR REPLACE INTO a VALUES(?,?,?,?)", id, x.n, x.text, x.blob)
		exec("INSERT OR REPLACE INTO b VALUES(?,?,?)", x.text, id, x.blob)
		rows[id] = x
		if i == n/2 {
			exec("PRAGMA wal_checkpoint(TRUNCATE)")
		}
		if r.IntN(3) == 0 {
			id := slices.Min(slices.Collect(maps.Keys(rows)))
			exec("DELETE FROM a WHERE id=?", id)
			delete(rows, id)
		}
	}
	if db, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if wal, err = os.ReadFile(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	return db, wal, rows
}

func open(t testing.TB, db, wal []byte) *sqlitefile.File { return openAs(t, db, wal, pageSize) }

func openAs(t testing.TB, db, wal []byte, pageSize int) *sqlitefile.File {
	t.Helper()
	source := func(b []byte) sqlitefile.Source {
		return sqlitefile.Source{ReaderAt: bytes.NewReader(b), Size: int64(len(b))}
	}
	f, err := sqlitefile.Open(source(db), source(wal), pageSize)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// scan finds the rows of table a by its pages alone.
func scan(f *sqlitefile.File) map[int64]row {
	out := map[int64]row{}
	for n := range f.Pages() {
		p, err := f.Read(n)
		if err != nil || p.Kind != sqlitefile.TableLeaf {
			continue
		}
		for i := range p.Cells {
			if id, x, ok := read(f, &p.Cells[i]); ok {
				out[id] = x
			}
		}
	}
	return out
}

func read(f *sqlitefile.File, c *sqlitefile.Cell) (id int64, x row, ok bool) {
	t := c.Types()
	if len(t) != 4 || !t[0].Null() || !t[1].Int() || !t[2].Text() || !t[3].Blob() {
		return 0, x, false
	}
	b, err := f.Payload(c, 1<<17)
	if err != nil {
		return 0, x, false
	}
	v, err := sqlitefile.Record(b)
	if err != nil {
		return 0, x, false
	}
	return c.Rowid, row{v[1].Integer(), string(v[2].Bytes), v[3].Bytes}, true
}

func same(a, b row) bool { return a.n == b.n && a.text == b.text && bytes.Equal(a.blob, b.blob) }

func TestReadsWhatSQLiteWrote(t *testing.T) {
	db, wal, rows := database(t, 300, pageSize)
	f := open(t, db, wal)
	found := scan(f)
	for id, want := range rows {
		if got, ok := found[id]; !ok || !same(got, want) {
			t.Errorf("row %d of %d octets: %v", id, len(want.blob), ok)
		}
	}
	tables, err := f.Tables()
	if err != nil || tables["a"] == 0 || tables["b"] == 0 {
		t.Fatal(tables, err)
	}
	walked := 0
	err = f.Leaves(tables["a"], func(p sqlitefile.Page) error {
		for i := range p.Cells {
			id, got, ok := read(f, &p.Cells[i])
			if want, there := rows[id]; !ok || !there || !same(got, want) {
				t.Errorf("row %d", id)
			}
			walked++
		}
		return nil
	})
	if err != nil || walked != len(rows) {
		t.Fatalf("%d of %d rows: %v", walked, len(rows), err)
	}
	if err := f.Leaves(tables["b"], func(sqlitefile.Page) error { return nil }); !errors.Is(err, sqlitefile.ErrDamaged) {
		t.Error("a tree without rowids was walked as one with them")
	}
}

// Without its first page and all that stand above rows, the rows are there.
func TestNeedsNoTree(t *testing.T) {
	db, wal, rows := database(t, 300, pageSize)
	f := open(t, db, wal)
	full := bytes.Clone(db)
	for n := range f.Pages() { // the log's pages too, as a checkpoint would
		if p, err := f.Read(n); err == nil && (p.Kind == sqlitefile.TableInterior || n == 1) {
			if off := int(n-1) * pageSize; off < len(full) {
				clear(full[off:][:pageSize])
			}
		}
	}
	found := scan(open(t, full, wal))
	for id, want := range rows {
		if !same(found[id], want) {
			t.Errorf("row %d", id)
		}
	}
	if _, err := open(t, full, nil).Tables(); !errors.Is(err, sqlitefile.ErrDamaged) {
		t.Error(err)
	}
}

// What SQLite would not see behind damage in the log is found when it is asked for.
func TestTornLog(t *testing.T) {
	db, wal, rows := database(t, 300, pageSize)
	whole := len(scan(open(t, db, wal)))
	for _, at := range []int{8, 20, 32 + 5*(24+pageSize) + 100, len(wal) / 2} {
		w := bytes.Clone(wal)
		w[at] ^= 4
		f := open(t, db, w)
		strict := scan(f)
		f.UseTorn(true)
		found, n := scan(f), 0
		for id, want := range rows {
			if same(found[id], want) {
				n++
			}
		}
		if n < len(rows)*9/10 { // a page of a tree holds many
			t.Errorf("octet %d changed: %d of %d rows", at, n, len(rows))
		}
		if len(strict) > whole {
			t.Errorf("octet %d changed: %d rows that SQLite would see, there were %d", at, len(strict), whole)
		}
	}
}

// Whatever a file holds, reading it ends within its size and does not take much
// memory.
func FuzzFile(f *testing.F) {
	const pageSize = 512 // a fuzzer gets further with less
	db, wal, _ := database(f, 12, pageSize)
	f.Add(db[:min(len(db), 4*pageSize)], wal[:min(len(wal), 3*(24+pageSize)+32)])
	f.Add(db[:pageSize], []byte{})
	f.Add([]byte{}, wal[:min(len(wal), 2*(24+pageSize)+32)])
	f.Fuzz(func(t *testing.T, db, wal []byte) {
		x := openAs(t, db, wal, pageSize)
		for _, torn := range []bool{false, true} {
			x.UseTorn(torn)
			for n := range x.Pages() {
				p, err := x.Read(n)
				if err != nil {
					continue
				}
				for i := range p.Cells {
					c := &p.Cells[i]
					c.Types()
					if b, err := x.Payload(c, 70_000); err == nil {
						if v, err := sqlitefile.Record(b); err == nil {
							for i := range v {
								v[i].Integer()
							}
						}
					}
				}
			}
			if tables, err := x.Tables(); err == nil {
				for _, root := range tables {
					_ = x.Leaves(root, func(sqlitefile.Page) error { return nil })
				}
			}
		}
	})
}
