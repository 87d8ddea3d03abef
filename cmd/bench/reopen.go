package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/collectors"
)

// reopening is what the children of the section reopen are told.
type reopening struct {
	Path   string
	Budget buffer.Bytes
}

// reopened is what they answer.
type reopened struct {
	Blocks, Bytes   int64
	Open, Committed time.Duration // since the start: Open has returned, a first batch is durable
	Peak            float64       // resident octets
}

// reopen fills a buffer to its budget in one epoch, ends the process without a
// word, and measures how long the next one takes until it is of use again.
func reopen(ctx context.Context, o options, dir string) error {
	d, err := newDisk(ctx, dir)
	if err != nil {
		return err
	}
	defer d.close()
	what := reopening{Path: filepath.Join(d.mount, "buffer.db"), Budget: buffer.Bytes(o.full)}
	fmt.Printf("Opening a full buffer after a crash: %s MiB, filled in one epoch by commits of 5 s of the reference mix\n\n", thousands(int(o.full>>20)))
	var filled reopened
	if err := child(ctx, "fill", what, &filled); err != nil {
		return err
	}
	cold := "nothing of it in memory"
	if err := dropCaches(); err != nil {
		cold = "in the page cache: " + err.Error()
	}
	var r reopened
	if err := child(ctx, "open", what, &r); err != nil {
		return err
	}
	fmt.Printf("  %s blocks, %.0f MB, %s: open after %.2f s, the first batch is durable after %.2f s, %.0f MB resident\n\n",
		thousands(int(filled.Blocks)), float64(filled.Bytes)/1e6, cold, r.Open.Seconds(), r.Committed.Seconds(), r.Peak/1e6)
	return nil
}

// dropCaches has the kernel forget what it has read of files.
func dropCaches() error {
	unix.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		return fmt.Errorf("the kernel cannot be made to forget it (%w)", err)
	}
	return nil
}

// fill fills the buffer with blocks of the size and the cover that five seconds of
// the reference mix have. The values are noise, so that fewer of them do.
func (w reopening) fill() (r reopened, err error) {
	clock := &siteClock{now: 1_000_000}
	cfg := buffer.DefaultConfig()
	cfg.Path, cfg.Budget, cfg.Commit = w.Path, w.Budget, 10*time.Minute
	buf, err := buffer.Open(cfg, buffer.Options{Probe: "bench/site", Clock: clock, Manual: true, NoSync: true})
	if err != nil {
		return r, err
	}
	const sources, each, values = 180, 15, 80
	schemas := noise(sources, values)
	random := rand.New(rand.NewPCG(1, 1))
	for i := 0; ; i++ {
		clock.now = clock.now.Add(5 * time.Second)
		for j := range each {
			s := schemas[(i*each+j)%sources]
			vs := make([]collectors.Value, values)
			for k := range vs {
				vs[k] = collectors.GaugeValue(random.Float64())
			}
			buf.Add(collectors.Batch{Source: s.Source, At: clock.now, Schema: s, Values: vs})
		}
		if err := buf.Flush(); err != nil {
			return r, err
		}
		if i%500 > 0 {
			continue
		}
		s, err := buf.Stats()
		if err != nil {
			return r, err
		}
		if s.Dropped > 0 { // the oldest had to go
			r.Blocks, r.Bytes = s.Pending.Blocks, s.File
			return r, nil // and the process ends
		}
	}
}

func noise(sources, values int) (out []*collectors.Schema) {
	for i := range sources {
		s := &collectors.Schema{Source: fmt.Sprintf("device/sw%03d", i)}
		for k := range values {
			s.Series = append(s.Series, collectors.Series{Metric: "noise", Kind: collectors.Gauge, Labels: []collectors.Label{{Name: "n", Value: fmt.Sprint(k)}}})
		}
		out = append(out, s)
	}
	return out
}

// open opens what fill has left.
func (w reopening) open() (r reopened, err error) {
	cfg := buffer.DefaultConfig()
	cfg.Path, cfg.Budget, cfg.Commit = w.Path, w.Budget, 10*time.Minute
	start := time.Now()
	buf, err := buffer.Open(cfg, buffer.Options{Probe: "bench/site", Clock: &siteClock{now: 2_000_000_000}, Manual: true})
	if err != nil {
		return r, err
	}
	r.Open = time.Since(start)
	s := noise(1, 1)[0]
	buf.Add(collectors.Batch{Source: s.Source, Schema: s, Values: []collectors.Value{collectors.GaugeValue(1)}})
	if err := buf.Flush(); err != nil {
		return r, err
	}
	r.Committed = time.Since(start)
	_, r.Peak, err = memory(os.Getpid())
	return r, err
}
