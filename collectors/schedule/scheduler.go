package schedule

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// maxSleep bounds the pause between two looks at the clock. Timers stand still
// while the box is suspended; this is how soon afterwards it is noticed.
const maxSleep = time.Second

// Scheduler runs jobs. It is used once: either [Scheduler.Run] or
// [Scheduler.Once].
type Scheduler struct {
	cfg   Config
	clock func() collectors.Stamp
	sink  func(collectors.Batch)
	log   *slog.Logger

	used atomic.Bool
	beat atomic.Uint64
	late atomic.Uint64
	kick chan struct{} // a replacement waits
	done chan finished
	gone chan struct{} // closed when nobody reads done any more

	mu    sync.Mutex // guards:
	plan  []Job      // the replacement
	fresh bool       // whether there is one
	stats Stats

	// What follows belongs to the goroutine of Run or Once.
	ctx     context.Context
	entries map[string]*entry
	wakes   wakes
	queue   queue
	live    map[*run]bool // every collection that has not returned, stuck ones too
	busy    int           // workers in use
	once    bool
	retired map[string]collectors.Stamp // last stamps of removed sources, while they may matter
}

// New returns a scheduler without jobs. The config must be valid.
//
// clock tells the time on the boot clock and is called from several goroutines.
// sink takes every batch; it is called from the goroutine of Run or Once only,
// and a sink that blocks holds up everything. log may be nil.
func New(cfg Config, clock func() collectors.Stamp, sink func(collectors.Batch), log *slog.Logger) *Scheduler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Scheduler{
		cfg: cfg, clock: clock, sink: sink, log: log,
		kick:    make(chan struct{}, 1),
		done:    make(chan finished),
		gone:    make(chan struct{}),
		stats:   Stats{Skipped: make(map[Reason]uint64)},
		entries: make(map[string]*entry),
		queue:   queue{perGroup: cfg.PerGroup, groups: make(map[string]*group)},
		live:    make(map[*run]bool),
		retired: make(map[string]collectors.Stamp),
	}
}

// Run runs the jobs given to [Scheduler.Replace], before or meanwhile, until ctx
// is done. It then starts no collection any more, cancels those that run, waits
// for them for the grace, and hands every outcome that is owed to the sink before
// it returns.
//
// The error is nil unless collections did not return even then: it names their
// sources, and they are the only goroutines left.
func (s *Scheduler) Run(ctx context.Context) error {
	if s.used.Swap(true) {
		return errors.New("run jobs: a scheduler is used once")
	}
	return s.loop(ctx)
}

// Once collects each job once, at once and within the limits, whatever its
// interval, and returns when every job has its outcome. When ctx is done before
// that, it stops as Run does and returns ctx's error. Jobs that do not return
// within their timeout and the grace are named in the error.
func (s *Scheduler) Once(ctx context.Context, jobs []Job) error {
	if s.used.Swap(true) {
		return errors.New("run jobs once: a scheduler is used once")
	}
	jobs = slices.Clone(jobs)
	for i := range jobs {
		jobs[i].Interval = never
	}
	if err := validateJobs(jobs); err != nil {
		return fmt.Errorf("run jobs once: %w", err)
	}
	s.once = true
	s.cfg.Spread = 0
	s.apply(jobs, s.clock())
	return s.loop(ctx)
}

func (s *Scheduler) loop(ctx context.Context) error {
	defer close(s.gone)
	s.ctx = ctx
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.beat.Add(1)
		if jobs, ok := s.replacement(); ok {
			s.apply(jobs, s.clock())
		}
		now := s.clock()
		for len(s.wakes) > 0 && s.wakes[0].wake <= now && ctx.Err() == nil {
			s.turn(s.wakes[0], now)
		}
		for s.busy < s.cfg.Workers && ctx.Err() == nil {
			e := s.queue.pop()
			if e == nil {
				break
			}
			s.begin(e)
		}
		if s.once && len(s.entries) == 0 {
			return s.abandoned()
		}
		timer.Reset(s.nap())
		select {
		case <-ctx.Done():
			err := s.stop()
			if s.once {
				return errors.Join(fmt.Errorf("run jobs once: %w", ctx.Err()), err)
			}
			return err
		case f := <-s.done:
			s.returned(f)
		case <-s.kick:
		case <-timer.C:
		}
	}
}

// nap is how long there is nothing to do.
func (s *Scheduler) nap() time.Duration {
	if len(s.wakes) == 0 {
		return maxSleep
	}
	left := s.wakes[0].wake - s.clock()
	if left >= collectors.Stamp(maxSleep.Milliseconds()) {
		return maxSleep
	}
	return time.Duration(max(left, 0)) * time.Millisecond
}

// begin starts the collection of a queued entry.
func (s *Scheduler) begin(e *entry) {
	now := s.clock()
	r := &run{
		entry: e, collector: e.job.Collector, source: e.job.Source, group: e.queuedAs,
		slot: e.slot, began: now, timeout: e.job.Timeout,
		deadline: time.Now().Add(e.job.Timeout),
		limit:    now.Add(e.job.Timeout + s.cfg.Grace),
	}
	r.tray.late = &s.late
	base, cancel := context.WithCancelCause(s.ctx)
	ctx, stopTimer := context.WithDeadline(base, r.deadline)
	r.base, r.ctx = base, ctx
	r.cancel = func(cause error) { cancel(cause); stopTimer() }
	s.busy++
	s.live[r] = true
	e.run = r
	s.become(e, running)
	s.rest(e)
	lag := time.Duration(now-e.slot) * time.Millisecond
	s.count(func(st *Stats) { st.Started++; st.Lag = lag; st.LagTotal += lag })
	go r.work(s.clock, s.log, s.done, s.gone)
}

// returned takes note that a collection has come back.
func (s *Scheduler) returned(f finished) {
	r := f.run
	r.cancel(nil)
	delete(s.live, r)
	if !r.stuck {
		s.settled(r, f.report)
		return
	}
	s.count(func(st *Stats) { st.Stuck-- })
	s.log.Info("a collector that was given up has returned", "source", r.source)
	if e := r.entry; e.run == r { // else the job was replaced meanwhile
		e.run = nil
		s.become(e, idle)
		s.rest(e)
	}
}

// settled hands over what a collection gave, and what came due during it, and
// lets the job go on.
func (s *Scheduler) settled(r *run, rep report) {
	e := r.entry
	s.busy--
	s.queue.release(r.group)
	for _, b := range rep.batches {
		s.put(e, r.began, b)
	}
	s.count(func(st *Stats) { st.Collections[rep.result]++ })
	s.skipAll(e, r.owed, ReasonOverlap, whyOverlap)
	s.skipAll(e, e.pass(rep.ended), ReasonOverlap, whyOverlap)
	if !r.stuck {
		e.run = nil
	}
	s.become(e, idle)
	s.judge(e, r, rep)
	if e.removed || s.once {
		s.drop(e)
		return
	}
	s.rest(e)
}

// judge makes the source back off, or not.
func (s *Scheduler) judge(e *entry, r *run, rep report) {
	switch {
	case r.cancelled || rep.result == collectors.Skipped: // says nothing about the source
	case !rep.failed:
		if s.cfg.BackoffAfter > 0 && e.failures >= s.cfg.BackoffAfter {
			s.log.Info("a source answers again", "source", r.source, "failures", e.failures)
		}
		e.failures, e.retry = 0, 0
	default:
		e.failures++
		if s.cfg.BackoffAfter > 0 && e.failures == s.cfg.BackoffAfter {
			s.log.Warn("a source keeps failing and is tried less often",
				"source", r.source, "failures", e.failures, "why", rep.batches[0].Outcome.Why)
		}
		e.retry = r.slot + collectors.Stamp(s.cfg.tryEvery(e.failures, e.job.Interval))*e.job.step()
	}
}

// stop brings every slot that is due to an outcome and waits for the collections
// that run.
func (s *Scheduler) stop() error {
	now := s.clock()
	for _, e := range s.wakes {
		switch e.state {
		case idle:
			s.skipAll(e, e.pass(now), ReasonStopping, whyStopping)
		case queued:
			s.unqueue(e)
			s.skipAll(e, []missed{{e.slot, 1}}, ReasonStopping, whyStopping)
			s.skipAll(e, e.pass(now), ReasonStopping, whyStopping)
		case running:
			e.run.owed = append(e.run.owed, e.pass(now)...)
		case stuck:
			s.skipAll(e, e.pass(now), ReasonStuck, whyStuck)
		}
		e.halt()
	}
	grace := time.NewTimer(s.cfg.Grace)
	defer grace.Stop()
	for waiting := true; waiting && s.busy > 0; {
		select {
		case f := <-s.done:
			s.returned(f)
		case <-grace.C:
			waiting = false
		}
	}
	for r := range s.live {
		if !r.stuck {
			s.giveUp(r)
		}
	}
	return s.abandoned()
}

// abandoned names the collections that have not returned.
func (s *Scheduler) abandoned() error {
	var names []string
	for r := range s.live {
		names = append(names, r.source)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("%d collections did not return in time: %s", len(names), strings.Join(names, ", "))
}

func (s *Scheduler) add(j Job, at collectors.Stamp) *entry {
	e := &entry{job: j, next: at, last: -1}
	if last, ok := s.retired[j.Source]; ok {
		e.last = last
		delete(s.retired, j.Source)
	}
	e.wake = at
	s.entries[j.Source] = e
	heap.Push(&s.wakes, e)
	s.count(func(st *Stats) { st.Jobs++ })
	return e
}

func (s *Scheduler) drop(e *entry) {
	delete(s.entries, e.job.Source)
	heap.Remove(&s.wakes, e.index)
	s.retired[e.job.Source] = e.last
	s.become(e, idle)
	e.run = nil // one that is stuck comes back to nobody
	s.count(func(st *Stats) { st.Jobs-- })
}

// become changes an entry's state and the counts that follow from it.
func (s *Scheduler) become(e *entry, to state) {
	from := e.state
	e.state = to
	s.count(func(st *Stats) {
		st.Running += b2i(to == running) - b2i(from == running)
		st.Queued += b2i(to == queued) - b2i(from == queued)
	})
}

// b2i is 1 for true.
func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
