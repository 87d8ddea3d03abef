package store

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// version1 is the tables as they were first shipped.
const version1 = `PRAGMA journal_mode=WAL; PRAGMA application_id=1397772866; PRAGMA user_version=1;
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE probe(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE epoch(probe INTEGER, id INTEGER, prev INTEGER, boot BLOB, start INTEGER, last_commit INTEGER, clean INTEGER,
	PRIMARY KEY(probe, id)) WITHOUT ROWID;
CREATE TABLE schema(hash BLOB PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE block(seq INTEGER PRIMARY KEY AUTOINCREMENT, probe INTEGER, id BLOB, class INTEGER, epoch INTEGER, tier INTEGER,
	t0 INTEGER, t1 INTEGER, readings INTEGER, head BLOB NOT NULL, body BLOB NOT NULL);
CREATE INDEX block_time ON block(probe, t1, t0);
CREATE TABLE pending(seq INTEGER PRIMARY KEY, class INTEGER, id BLOB, size INTEGER, readings INTEGER);
CREATE INDEX pending_id ON pending(id);
CREATE TABLE gap(probe INTEGER, epoch INTEGER, source TEXT, first INTEGER, count INTEGER, t0 INTEGER, t1 INTEGER, reason TEXT,
	PRIMARY KEY(probe, epoch, source, first)) WITHOUT ROWID;
CREATE TABLE have(probe INTEGER, epoch INTEGER, tier INTEGER, ranges BLOB, PRIMARY KEY(probe, epoch, tier)) WITHOUT ROWID;
CREATE TABLE account(probe INTEGER, epoch INTEGER, source TEXT, next INTEGER, pending BLOB, at INTEGER,
	PRIMARY KEY(probe, epoch, source)) WITHOUT ROWID;
INSERT INTO probe(id, name) VALUES(1, 't/s');
INSERT INTO epoch(probe, id, prev, boot, start, clean) VALUES(1, 7, 0, x'01000000000000000000000000000000', 500, 1);
`

func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "buffer.db")
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(version1); err != nil {
		t.Fatal(err)
	}
	codec, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	s := &collectors.Schema{Source: "device/sw", Series: []collectors.Series{{Metric: "m", Kind: collectors.Counter}}}
	id, bytes, err := codec.EncodeSchema(s)
	if err != nil {
		t.Fatal(err)
	}
	at := func(stamp collectors.Stamp, sure bool) *block.Block {
		b, err := codec.Encode(block.Head{Probe: "t/s", Epoch: 7, Boot: [16]byte{1}, Offset: 1000, Sure: sure},
			[]block.Section{{First: uint64(stamp), Schema: id, Batches: []collectors.Batch{{Source: s.Source, At: stamp, Schema: s, Values: []collectors.Value{collectors.CounterValue(uint64(stamp))}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := at(1, true)
	_, err = db.Exec("INSERT INTO schema(hash, bytes) VALUES(?, ?); INSERT INTO block(probe, id, class, epoch, tier, t0, t1, readings, head, body) VALUES(1,?,0,7,0,1001,1001,1,?,?)",
		id[:], bytes, b.ID[:], b.Bytes[:b.HeadSize], b.Bytes[b.HeadSize:])
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	look := func(st *Store, want int) {
		t.Helper()
		got, err := st.History(Query{Probe: "t/s"})
		if err != nil || len(got) != 1 || len(got[0].Points) != want || got[0].Points[0].T != 1001 {
			t.Fatal(got, err)
		}
		err = st.View(func(tx *Tx) error {
			es, err := tx.Epochs(1)
			if err != nil || len(es) != 1 || es[0].Start != 500 || es[0].End != Clean || !es[0].Sure {
				t.Fatal(es, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// A command may look at what a daemon of the version before still writes.
	ro, err := Open(path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	look(ro, 1)
	for want := 2; want < 4; want++ { // the second time there is nothing to upgrade
		st, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		look(st, want-1)
		if err := st.Update(func(tx *Tx) error { return tx.PutBlock(1, at(collectors.Stamp(want), want > 2), true) }); err != nil {
			t.Fatal(err)
		}
		look(st, want)
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
	look(ro, 3)
	if err := ro.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestManyCorrections: what is too much for one transaction is done in several,
// and none is left.
func TestManyCorrections(t *testing.T) {
	st, err := Open(filepath.Join(t.TempDir(), "buffer.db"), Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	boot := [16]byte{9}
	const offset = earliest + 1_000_000
	put := func(h block.Head, x collectors.Batch) error {
		h.Probe, h.Epoch, h.Boot = "t/s", 1, boot
		b, err := st.Codec().Encode(h, []block.Section{{First: uint64(x.At), Batches: []collectors.Batch{x}}})
		if err != nil {
			return err
		}
		return st.Update(func(tx *Tx) error {
			if _, err := tx.Probe("t/s"); err != nil {
				return err
			}
			return tx.PutBlock(1, b, false)
		})
	}
	const n = 2*maxCorrected + 10
	for i := range n {
		failed := collectors.Outcome{Result: collectors.Failed, Why: "no answer"}
		if err := put(block.Head{Offset: int64(i % 3)}, collectors.Batch{Source: "device/sw", At: collectors.Stamp(i + 1), Outcome: failed}); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(block.Head{Class: block.Events, Sure: true, Offset: offset}, collectors.Batch{Source: EventSource, At: n + 1, Events: []collectors.Event{NewClockEvent(boot, offset)}}); err != nil {
		t.Fatal(err)
	}
	wrong := func() (wrong, todo int) {
		t.Helper()
		err := st.View(func(tx *Tx) error {
			if err := tx.queryRow("SELECT count(*) FROM block WHERE boot IS NOT NULL AND t0<?", int64(offset)).Scan(&wrong); err != nil {
				return err
			}
			return tx.queryRow("SELECT count(*) FROM clock WHERE todo=1").Scan(&todo)
		})
		if err != nil {
			t.Fatal(err)
		}
		return wrong, todo
	}
	if n, _ := wrong(); n == 0 {
		t.Fatal("nothing to correct")
	}
	rounds := 0
	for ; rounds < 10; rounds++ {
		if _, todo := wrong(); todo == 0 {
			break
		}
		if err := st.Update(func(tx *Tx) error { return tx.CorrectTimes(1) }); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := wrong(); left != 0 || rounds < 3 {
		t.Fatalf("%d are left after %d rounds", left, rounds)
	}
}
