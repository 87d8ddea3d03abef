package buffer_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/collectors"
)

// crashed copies the files of a buffer that is open and at rest: what a process
// that is killed just then leaves behind.
func crashed(t *testing.T, cfg buffer.Config) buffer.Config {
	t.Helper()
	to := cfg
	to.Path = filepath.Join(t.TempDir(), "buffer.db")
	// Another process, for closing a database file drops its owner's locks.
	out, err := exec.Command("cp", "-r", filepath.Dir(cfg.Path)+"/.", filepath.Dir(to.Path)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// After a crash a full buffer is of use at once: what is checked then does not grow
// with what is kept.
func TestReopensFast(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Budget = 8 << 20
	if os.Getenv("SITEPROBE_TORTURE") != "" {
		cfg.Budget = 512 << 20
	}
	ck := newClock()
	b := open(t, cfg, buffer.Options{Clock: ck, NoSync: true, Manual: true})
	s := &collectors.Schema{Source: "device/noise"}
	for range 600 {
		s.Series = append(s.Series, collectors.Series{Metric: "noise", Kind: collectors.Gauge})
	}
	r := rand.New(rand.NewPCG(1, 1))
	blocks := 0
	for dropped := int64(0); dropped == 0; blocks++ {
		ck.step(5 * time.Second)
		vs := make([]collectors.Value, len(s.Series))
		for i := range vs {
			vs[i] = collectors.GaugeValue(r.Float64())
		}
		b.Add(collectors.Batch{Source: s.Source, At: ck.Now(), Schema: s, Values: vs})
		flush(t, b)
		if blocks%100 == 0 {
			st, err := b.Stats()
			if err != nil {
				t.Fatal(err)
			}
			dropped = st.Dropped
		}
	}
	cfg = crashed(t, cfg)
	start := time.Now()
	b = open(t, cfg, buffer.Options{Clock: ck})
	opened := time.Since(start)
	b.Add(batch(counters("device/sw", 1), ck.Now(), 1))
	flush(t, b)
	ready := time.Since(start)
	t.Logf("%d blocks, %d MiB: open after %v, the first batch is durable after %v", blocks, cfg.Budget>>20, opened, ready)
	if ready > 2*time.Second {
		t.Errorf("of use after %v only", ready)
	}
}

// What is not read after a crash is counted all the same, when the epoch's file is
// there, when it is gone, and when it is an old one.
func TestCountsAfterACrash(t *testing.T) {
	cfg := config(t.TempDir())
	ck := newClock()
	b := open(t, cfg, buffer.Options{Clock: ck, NoSync: true, Manual: true})
	sources := []*collectors.Schema{counters("device/a", 3), counters("device/b", 3), counters("device/c", 3)}
	next := map[string]uint64{}
	var old string
	for i := range 1000 {
		ck.step(5 * time.Second)
		s := sources[i%3]
		if i > 700 {
			s = sources[0] // the others' last numbers are far back
		}
		b.Add(batch(s, ck.Now(), uint64(i)))
		next[s.Source]++
		flush(t, b)
		if i == 600 {
			old = crashed(t, cfg).Path + ".epochs"
		}
	}
	for what, spoil := range map[string]func(dir string) error{
		"the file is there": func(string) error { return nil },
		"the file is gone":  os.RemoveAll,
		"an old file": func(dir string) error {
			return exec.Command("cp", "-r", old+"/.", dir).Run()
		},
	} {
		t.Run(what, func(t *testing.T) {
			cfg := crashed(t, cfg)
			if err := spoil(cfg.Path + ".epochs"); err != nil {
				t.Fatal(err)
			}
			for range 2 { // what was found is kept
				b := open(t, cfg, buffer.Options{Clock: ck})
				a, err := b.Account(buffer.Everything)
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]uint64{}
				for _, l := range a.Lines {
					got[l.Source] = max(got[l.Source], l.Next)
				}
				for _, s := range sources {
					if got[s.Source] != next[s.Source] {
						t.Errorf("%s: %d batches are known of, %d were committed", s.Source, got[s.Source], next[s.Source])
					}
				}
				b.Close()
			}
		})
	}
}
