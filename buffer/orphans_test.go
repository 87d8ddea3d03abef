package buffer_test

import (
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
)

// A block whose schema was lost waits for it to come back. Where it does not, though
// the hub has asked for it, the block is not pending for ever.
func TestBlocksWithoutSchema(t *testing.T) {
	for _, back := range []bool{true, false} {
		cfg, ck := config(t.TempDir()), newClock()
		opt := buffer.Options{NoSync: true, Manual: true, Clock: ck}
		b := open(t, cfg, opt)
		s := counters("device/sw", 10)
		for range 3 {
			ck.step(time.Minute)
			b.Add(batch(s, ck.Now(), 1))
		}
		flush(t, b)
		b.Close()

		codec, err := block.NewCodec()
		if err != nil {
			t.Fatal(err)
		}
		id, _, err := codec.EncodeSchema(s)
		if err != nil {
			t.Fatal(err)
		}
		st, err := store.Open(cfg.Path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Update(func(tx *store.Tx) error { return tx.DropSchema(id) }); err != nil {
			t.Fatal(err)
		}
		st.Close()

		b = open(t, cfg, opt)
		if bytes, err := b.SchemaBytes(id); bytes != nil || err != nil {
			t.Fatal(bytes, err)
		}
		if back {
			b.Add(batch(s, ck.Now(), 2))
			flush(t, b)
		}
		pending := func() (n int) {
			t.Helper()
			if err := b.Maintain(); err != nil {
				t.Fatal(err)
			}
			ps, err := b.PendingAfter(0, b.Head(), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range ps {
				if x, err := block.Parse(p.Bytes); err == nil && x.Cover[0].Source == s.Source && x.Cover[0].Count == 3 {
					n++
				}
			}
			return n
		}
		ck.step(6 * 24 * time.Hour)
		if n := pending(); n != 1 {
			t.Errorf("after six days %d blocks are left", n)
		}
		ck.step(2 * 24 * time.Hour)
		want := 0
		if back {
			want = 1
		}
		if n := pending(); n != want {
			t.Errorf("after eight days %d blocks are left, back: %t", n, back)
		}
		a, err := b.Account(buffer.Everything)
		if err != nil {
			t.Fatal(err)
		}
		gaps := gapsOf(a)
		if len(gaps) != 3*(1-want) {
			t.Errorf("gaps %v, back: %t", gaps, back)
		}
		for k, why := range gaps {
			if why != buffer.ReasonDamaged {
				t.Errorf("%v: %s", k, why)
			}
		}
		b.Close()
	}
}
