package buffer_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
)

// FuzzOpen: whatever lies where the database and its log should be, the buffer opens
// and commits in bounded time and memory, and salvaging what was there ends too.
func FuzzOpen(f *testing.F) {
	cfg := config(f.TempDir())
	b, err := buffer.Open(cfg, buffer.Options{Probe: "t/s", Clock: newClock(), NoSync: true, Manual: true})
	if err != nil {
		f.Fatal(err)
	}
	b.Add(batch(counters("device/sw", 3), 0, 1))
	if err := b.Flush(); err != nil {
		f.Fatal(err)
	}
	wal, err := os.ReadFile(cfg.Path + "-wal")
	if err != nil {
		f.Fatal(err)
	}
	b.Close()
	db, err := os.ReadFile(cfg.Path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(db, []byte{})
	f.Add(db[:len(db)/2], wal)
	f.Add([]byte{}, wal)
	f.Add([]byte("SQLite format 3\x00"), []byte("x"))
	f.Fuzz(func(t *testing.T, db, wal []byte) {
		began := time.Now()
		cfg := config(t.TempDir())
		for name, x := range map[string][]byte{cfg.Path: db, cfg.Path + "-wal": wal} {
			if len(x) > 0 {
				if err := os.WriteFile(name, x, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		b, err := buffer.Open(cfg, buffer.Options{Probe: "t/s", Clock: newClock(), NoSync: true, Manual: true})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for tries := 0; ; tries++ {
			b.Add(batch(counters("device/new", 1), 0, 1))
			if err = b.Flush(); err == nil {
				break
			}
			if tries == 4 {
				t.Fatalf("it does not commit: %v", err)
			}
		}
		if err := b.Salvage(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Account(buffer.Everything); err != nil {
			t.Log(err) // noticed now, and set aside
		}
		if took := time.Since(began); took > serveWithin {
			t.Errorf("it took %v", took)
		}
		var m runtime.MemStats
		if runtime.ReadMemStats(&m); m.HeapSys > 1<<30 {
			t.Errorf("%d MB of memory", m.HeapSys>>20)
		}
	})
}
