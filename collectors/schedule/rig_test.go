package schedule

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// rig is a scheduler inside a synctest bubble, whose time is fake: a minute of
// waiting costs nothing. The boot clock is that time plus skew, which stands for
// the box having been suspended.
type rig struct {
	*Scheduler
	t     *testing.T
	start time.Time
	skew  atomic.Int64 // ms
	stop  context.CancelFunc
	ended chan error

	mu  sync.Mutex
	got map[string][]collectors.Batch
}

const bootAt = 1_000_000

func (r *rig) now() collectors.Stamp {
	return collectors.Stamp(bootAt + time.Since(r.start).Milliseconds() + r.skew.Load())
}

func newRig(t *testing.T, cfg Config) *rig {
	r := &rig{t: t, start: time.Now(), ended: make(chan error, 1), got: make(map[string][]collectors.Batch)}
	r.Scheduler = New(cfg, r.now, func(b collectors.Batch) {
		if err := b.Validate(); err != nil {
			t.Errorf("the sink got an invalid batch: %v", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		all := r.got[b.Source]
		if n := len(all); n > 0 && all[n-1].At >= b.At {
			t.Errorf("%s: stamp %d follows %d", b.Source, b.At, all[n-1].At)
		}
		r.got[b.Source] = append(all, b)
	}, nil)
	return r
}

// run starts the scheduler with the jobs.
func (r *rig) run(jobs ...Job) {
	r.replace(jobs...)
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.ended <- r.Run(ctx) }()
	synctest.Wait()
}

func (r *rig) replace(jobs ...Job) {
	r.t.Helper()
	if err := r.Replace(jobs); err != nil {
		r.t.Fatal(err)
	}
}

// pass lets time pass and everything that is due happen.
func (r *rig) pass(d time.Duration) { <-time.After(d); synctest.Wait() }

// finish stops the scheduler and returns what Run did.
func (r *rig) finish() error { r.stop(); return <-r.ended }

// log writes the batches of a source as "+ms result why", relative to the start.
func (r *rig) log(source string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for _, b := range r.got[source] {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("+%d %v %s", b.At-bootAt, b.Outcome.Result, b.Outcome.Why)))
	}
	return strings.Join(lines, "\n")
}

func (r *rig) expect(source string, lines ...string) {
	r.t.Helper()
	if got, want := r.log(source), strings.Join(lines, "\n"); got != want {
		r.t.Errorf("%s gave\n%s\nwant\n%s", source, got, want)
	}
}

// testConfig has no jitter, so that the first slot is at once.
func testConfig() Config {
	c := DefaultConfig()
	c.Spread = 0
	return c
}

// pointer makes collectors that can be told apart, as real ones are.
type pointer struct {
	f func(ctx context.Context, emit func(collectors.Batch)) error
}

func (p *pointer) Collect(ctx context.Context, emit func(collectors.Batch)) error {
	return p.f(ctx, emit)
}

func job(source string, interval, timeout time.Duration, f func(ctx context.Context, emit func(collectors.Batch)) error) Job {
	return Job{Source: source, Interval: interval, Timeout: timeout, Collector: &pointer{f}}
}

// takes is a collector that needs d and then is ok, and that heeds ctx.
func takes(d time.Duration) func(context.Context, func(collectors.Batch)) error {
	return func(ctx context.Context, emit func(collectors.Batch)) error {
		if d > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d):
			}
		}
		emit(collectors.Batch{})
		return nil
	}
}
