package buffer_test

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/siteprobe/siteprobe/buffer"
)

// With a page of one table gone nothing at all may be lost: neither blocks, nor
// which of them were delivered, nor why others are missing.
func TestSalvageIsComplete(t *testing.T) {
	s := wrecked(t, 1, 1)
	for _, table := range []string{"epoch", "gap", "probe", "pending", "block_time", "pending_id"} {
		t.Run(table, func(t *testing.T) {
			cfg, l := s.restore(t)
			b, _ := l.resume(cfg)
			hub := len(l.hub)
			spoil(t, cfg.Path, table)
			if err := b.Close(); err != nil {
				t.Log(err)
			}
			b, _ = l.resume(cfg)
			l.settle(b)
			if aside, _ := filepath.Glob(cfg.Path + ".damaged-*"); len(aside) == 0 {
				t.Fatal("not set aside")
			}
			if err := b.Salvage(); err != nil {
				t.Fatal(err)
			}
			before, err := b.Account(buffer.Everything)
			if err != nil {
				t.Fatal(err)
			}
			gaps := gapsOf(before)
			// The page may have held a gap itself; then the account found it anew.
			if !maps.Equal(gaps, l.dropped) && (table != "gap" || len(gaps) != len(l.dropped)) {
				t.Errorf("%d batches are in gaps, %d were before", len(gaps), len(l.dropped))
			}
			l.drain(b)
			if n := l.settle(b); n != 0 {
				t.Errorf("%d batches are gone", n)
			}
			if lost := l.lost(); len(lost) != len(gaps) {
				t.Errorf("%d batches are nowhere, %d are gaps", len(lost), len(gaps))
			}
			t.Logf("%d batches committed, %d delivered before, %d in all, %d gaps, %d points shown", len(l.batches), hub, len(l.hub), len(gaps), l.shown(b))
		})
	}
}
