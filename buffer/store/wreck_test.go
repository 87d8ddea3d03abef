package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// FuzzSalvage: whatever was set aside, a survey ends, and what it hands out is whole.
func FuzzSalvage(f *testing.F) {
	path := filepath.Join(f.TempDir(), "x.db")
	s, err := store.Open(path, store.Options{NoSync: true})
	if err != nil {
		f.Fatal(err)
	}
	schema := &collectors.Schema{Source: "host", Series: []collectors.Series{{Metric: "m", Kind: collectors.Counter}}}
	id, bytes, err := s.Codec().EncodeSchema(schema)
	if err != nil {
		f.Fatal(err)
	}
	x, err := s.Codec().Encode(block.Head{Probe: "t/s"}, []block.Section{{Schema: id, Batches: []collectors.Batch{
		{Source: "host", At: 1, Schema: schema, Values: []collectors.Value{collectors.CounterValue(7)}}}}})
	if err != nil {
		f.Fatal(err)
	}
	err = s.Update(func(tx *store.Tx) error {
		if err := tx.PutSchema(id, bytes); err != nil {
			return err
		}
		if err := tx.PutGap(1, store.Gap{Epoch: 1, Source: "host", Range: block.Range{First: 3, End: 5}, Reason: "gone"}); err != nil {
			return err
		}
		return tx.PutBlock(1, x, true)
	})
	if err != nil {
		f.Fatal(err)
	}
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		f.Fatal(err)
	}
	s.Close()
	db, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(db, []byte{})
	f.Add([]byte{}, wal)
	f.Fuzz(func(t *testing.T, db, wal []byte) {
		path := filepath.Join(t.TempDir(), "x")
		if os.WriteFile(path, db, 0o600) != nil || os.WriteFile(path+"-wal", wal, 0o600) != nil {
			t.Fatal("writing the files")
		}
		w, err := store.OpenWreck(path)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if err := w.Survey(func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		for _, at := range w.Blocks() {
			w.Pending(at)
			if x, _, err := w.Block(at); err == nil {
				if _, err := block.Parse(x.Bytes); err != nil {
					t.Error(err)
				}
				for _, id := range x.Schemas() {
					w.Schema(id)
				}
			}
		}
		for _, g := range w.Gaps() {
			if g.First >= g.End || g.Source == "" {
				t.Errorf("%+v", g)
			}
		}
	})
}
