package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// errRemoved is the cause with which the collections of removed jobs end.
var errRemoved = errors.New(whyRemoved)

// run is one collection. All but its tray and context belong to the scheduler's
// goroutine.
type run struct {
	entry     *entry
	collector collectors.Collector
	source    string
	group     string
	slot      collectors.Stamp
	began     collectors.Stamp
	timeout   time.Duration
	tray      tray

	base   context.Context // done when the collection is told to stop
	ctx    context.Context // base with the deadline
	cancel context.CancelCauseFunc

	// deadline is on Go's clock, which as that of ctx stands still while the box
	// is suspended: a night's sleep must not make a hang of a collection.
	deadline  time.Time
	limit     collectors.Stamp // when to look at it again
	cancelled bool             // its job was removed or changed
	stuck     bool             // it has been given up, and its slot has its outcome
	owed      []missed         // slots that came due meanwhile, to be reported after it
}

// work runs on a goroutine of its own and hands the report to done, unless the
// scheduler has gone.
func (r *run) work(clock func() collectors.Stamp, log *slog.Logger, done chan<- finished, gone <-chan struct{}) {
	end := ending{why: whyPanicked, broke: true} // stands unless Collect returns
	defer func() {
		if p := recover(); p != nil {
			// The text of a panic may hold anything, also a secret; the runtime's
			// own does not.
			what := fmt.Sprintf("%T", p)
			if err, ok := p.(runtime.Error); ok {
				what = err.Error()
			}
			log.Error("a collector panicked", "source", r.source, "panic", what, "stack", string(debug.Stack()))
		}
		got, dropped := r.tray.close()
		rep := settle(r.source, got, dropped, end)
		rep.ended = clock()
		select {
		case done <- finished{r, rep}:
		case <-gone:
		}
	}()
	end = r.ending(r.collector.Collect(r.ctx, r.tray.emit))
}

// ending turns what Collect returned into a reason for people.
func (r *run) ending(err error) ending {
	switch {
	case err == nil:
		return ending{}
	case r.base.Err() != nil:
		// Whatever the error says, it was us.
		if context.Cause(r.base) == errRemoved {
			return ending{why: whyRemoved, cancelled: true}
		}
		return ending{why: whyStopped, cancelled: true}
	case err == context.DeadlineExceeded:
		return ending{why: fmt.Sprintf(WhyTimeout+" within %v", r.timeout)}
	}
	if s := err.Error(); s != "" {
		return ending{why: s}
	}
	return ending{why: "failed without saying why"}
}

// finished is a collection that has returned.
type finished struct {
	run    *run
	report report
}

// tray holds what a collection emits, until it is closed.
type tray struct {
	late    *atomic.Uint64 // counts what comes after that
	mu      sync.Mutex
	batches []collectors.Batch
	dropped int
	closed  bool
}

func (t *tray) emit(b collectors.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		t.late.Add(1)
	case len(t.batches) == MaxBatches:
		t.dropped++
	default:
		t.batches = append(t.batches, b)
	}
}

// close returns what was emitted; only the first call gets it.
func (t *tray) close() (got []collectors.Batch, dropped int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	got, dropped = t.batches, t.dropped
	t.batches, t.closed = nil, true
	return got, dropped
}
