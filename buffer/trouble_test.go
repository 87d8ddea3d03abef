package buffer_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// noise makes values that do not pack.
type noise uint64

func (n *noise) batch(s *collectors.Schema) collectors.Batch {
	x := batch(s, 0, 0)
	for i := range x.Values {
		*n = *n*6364136223846793005 + 1442695040888963407
		x.Values[i] = collectors.CounterValue(uint64(*n))
	}
	return x
}

// visible is what the sender may see.
func visible(t *testing.T, b *buffer.Buffer) []store.Pending {
	t.Helper()
	ps, err := b.PendingAfter(0, b.Head(), 1<<30)
	if err != nil {
		return nil // the database is closed
	}
	return ps
}

// behind calls f with a connection of its own to the database of a running buffer,
// which reads all its pages anew afterwards.
func behind(t *testing.T, path string, f func(*sql.DB)) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("INSERT OR REPLACE INTO meta VALUES('test', 1)"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	f(db)
}

// spoil overwrites the first page of a table.
func spoil(t *testing.T, path, table string) {
	t.Helper()
	behind(t, path, func(db *sql.DB) {
		var page int64
		if err := db.QueryRow("SELECT rootpage FROM sqlite_master WHERE name=?", table).Scan(&page); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		junk := make([]byte, 4096)
		for i := range junk {
			junk[i] = 0xA5
		}
		if _, err := f.WriteAt(junk, (page-1)*4096); err != nil {
			t.Fatal(err)
		}
	})
}

// A burst that packs worse than what was learned makes many blocks at once; only
// a failing disk may cost any of them.
func TestBurstIsKeptWhole(t *testing.T) {
	b := open(t, config(t.TempDir()), buffer.Options{NoSync: true, Manual: true})
	s := counters("device/sw", 2000)
	for range 40 { // learn that values take next to nothing
		for range 30 {
			b.Add(batch(s, 0, 5))
		}
		flush(t, b)
	}
	before, want, got := b.Head(), 0, 0
	var n noise = 1
	for range 250 {
		b.Add(n.batch(s))
		want += 2000
	}
	flush(t, b)
	for _, p := range pending(t, b) {
		if p.Seq > before {
			got += p.Readings
		}
	}
	if got != want {
		t.Fatalf("%d of %d readings", got, want)
	}
}

func TestBurstLargerThanTheBudget(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Budget = buffer.MinBudget
	b := open(t, cfg, buffer.Options{NoSync: true, Manual: true})
	s := counters("device/sw", 2000)
	var n noise = 1
	for range 200 { // about 4 MB
		b.Add(n.batch(s))
	}
	flush(t, b)
	a, err := b.Account(buffer.Everything)
	if err != nil || len(a.Lines) != 1 || a.Lines[0].Next != 200 {
		t.Fatalf("%+v %v", a, err)
	}
	l := a.Lines[0]
	if len(l.Pending) != 1 || len(l.Gaps) != 1 || l.Gaps[0].First != 0 || l.Gaps[0].End != l.Pending[0].Ranges[0].First || l.Pending[0].End() != 200 {
		t.Fatalf("%+v", l)
	}
	if st, err := b.Stats(); err != nil || st.File > int64(cfg.Budget) || st.Trouble != "" {
		t.Fatalf("%+v %v", st, err)
	}
}

// The sender sees a block only when its epoch file counts it, whenever that fails.
func TestEpochFileThatCannotBeWritten(t *testing.T) {
	cfg := config(t.TempDir())
	epoch := uint64(0)
	b := open(t, cfg, buffer.Options{NoSync: true, Manual: true, NewEpoch: func() uint64 { epoch++; return epoch }})
	b.Add(batch(counters("device/sw", 1), 0, 1))
	flush(t, b)
	// The file outgrows its slots and is made anew, which a folder in its way prevents.
	inTheWay := filepath.Join(cfg.Path+".epochs", fmt.Sprintf("%016x.new", 1))
	if err := os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	const sources = 200
	for i := range sources {
		b.Add(batch(counters(fmt.Sprintf("device/%0100d", i), 1), 0, 1))
	}
	for range 3 {
		if err := b.Flush(); err == nil && len(visible(t, b)) > 1 {
			t.Fatal("shown before the epoch file was written")
		}
		b.Add(batch(counters("device/sw", 1), 0, 1))
	}
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first opens the database again
		_ = b.Flush()
		b.Add(batch(counters("device/sw", 1), 0, 1))
	}
	flush(t, b)
	a, err := b.Account(buffer.Everything)
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, l := range a.Lines {
		if l.EpochStart == 0 {
			t.Errorf("epoch %d has no row", l.Epoch)
		}
		if l.Epoch == 1 {
			known++
		}
	}
	if known != 1+sources {
		t.Fatalf("the epoch file knows %d sources of %d", known, 1+sources)
	}
}

// What is in memory when the database is set aside needs its schemas in the fresh
// one, also those that the one before had.
func TestSchemasOfMemoryOutliveTheDatabase(t *testing.T) {
	cfg := config(t.TempDir())
	b := open(t, cfg, buffer.Options{NoSync: true, Manual: true})
	s1, s2 := counters("device/sw", 1), counters("device/sw", 2)
	b.Add(batch(s1, 0, 1))
	flush(t, b)
	b.Add(batch(s1, 0, 2))
	b.Add(batch(s2, 0, 3))
	spoil(t, cfg.Path, "pending")
	if err := b.Flush(); !store.Damaged(err) {
		t.Fatal(err)
	}
	flush(t, b)
	found := 0
	for _, p := range pending(t, b) {
		x, err := block.Parse(p.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range x.Schemas() {
			if found++; b.Schema(id) == nil {
				t.Errorf("the schema of %+v is gone", x.Cover)
			}
		}
	}
	if found != 2 {
		t.Fatal(found)
	}
	a, err := b.Account(buffer.Everything)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range a.Lines {
		if l.EpochStart == 0 {
			t.Errorf("%s: its epoch has no row", l.Source)
		}
	}
}

// Damage that no commit touches must not stop the uplink for ever.
func TestDamageThatReadersMeet(t *testing.T) {
	cfg := config(t.TempDir())
	b := open(t, cfg, buffer.Options{NoSync: true, Manual: true})
	s := counters("device/sw", 1)
	b.Add(batch(s, 0, 1))
	flush(t, b)
	spoil(t, cfg.Path, "gap")
	if _, err := b.Account(buffer.Everything); !store.Damaged(err) {
		t.Fatal(err)
	}
	for range 2 { // the second is behind the repair, whichever came first
		b.Add(batch(s, 0, 2))
		flush(t, b)
	}
	if _, err := b.Account(buffer.Everything); err != nil {
		t.Fatal(err)
	}
	if kept, _ := filepath.Glob(cfg.Path + ".damaged-*"); len(kept) == 0 {
		t.Fatal("not set aside")
	}
}
