package schedule

import (
	"fmt"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Replace makes jobs the jobs to run. It may be called before Run and, for a new
// config, at any time during it; it returns at once, and the last call counts. An
// invalid list is an error that changes nothing.
//
// A job with the same source, interval and collector (the same pointer) goes on
// as if nothing had happened. One with another collector keeps its slots when the
// interval is the same. Collections of jobs that are gone or have changed are
// cancelled; their slots, and all others that were due, still get their outcome.
func (s *Scheduler) Replace(jobs []Job) error {
	if err := validateJobs(jobs); err != nil {
		return fmt.Errorf("replace jobs: %w", err)
	}
	s.mu.Lock()
	s.plan, s.fresh = slices.Clone(jobs), true
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default: // it has been told already
	}
	return nil
}

func (s *Scheduler) replacement() ([]Job, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	jobs, fresh := s.plan, s.fresh
	s.plan, s.fresh = nil, false
	return jobs, fresh
}

// apply makes the entries follow the jobs.
func (s *Scheduler) apply(jobs []Job, now collectors.Stamp) {
	for source, last := range s.retired {
		if last < now {
			delete(s.retired, source)
		}
	}
	kept := make(map[string]bool, len(jobs))
	for _, j := range jobs {
		kept[j.Source] = true
		e := s.entries[j.Source]
		if e == nil {
			e = s.add(j, s.firstSlot(&j, now))
			s.rejoin(e)
		} else {
			s.change(e, j, now)
		}
	}
	for source, e := range s.entries {
		if !kept[source] && !e.removed {
			s.remove(e, now)
		}
	}
}

func (s *Scheduler) firstSlot(j *Job, now collectors.Stamp) collectors.Stamp {
	return now + offset(j.Source, j.Interval, s.cfg.Spread)
}

// change gives an entry its new job.
func (s *Scheduler) change(e *entry, j Job, now collectors.Stamp) {
	sameSlots := e.job.Interval == j.Interval && !e.removed
	sameCollector := identical(e.job.Collector, j.Collector)
	if sameSlots && sameCollector {
		e.job = j
		s.regroup(e)
		return
	}
	if e.state == running {
		s.cancel(e.run, now)
	}
	if e.state == stuck && !sameCollector {
		// The old collector may hang for as long as it likes.
		s.skipAll(e, e.pass(now), ReasonStuck, whyStuck)
		e.run = nil
		s.become(e, idle)
	}
	if !sameSlots {
		s.flush(e, now)
		e.next = s.firstSlot(&j, now)
	}
	e.job, e.removed = j, false
	e.failures, e.retry = 0, 0
	s.regroup(e)
	s.rest(e)
}

// regroup queues an entry anew when its job has moved to another group.
func (s *Scheduler) regroup(e *entry) {
	if e.state == queued && e.queuedAs != e.job.groupKey() {
		s.queue.remove(e)
		s.queue.push(e)
	}
}

// remove takes an entry out, at once or when its collection has returned.
func (s *Scheduler) remove(e *entry, now collectors.Stamp) {
	s.flush(e, now)
	e.halt()
	if e.state == running {
		e.removed = true
		s.cancel(e.run, now)
		s.rest(e)
		return
	}
	s.drop(e)
}

// flush brings the slots that are due now, under the job as it was, to an
// outcome; those that came due during a collection are owed after it.
func (s *Scheduler) flush(e *entry, now collectors.Stamp) {
	switch e.state {
	case running:
		e.run.owed = append(e.run.owed, e.pass(now)...)
		return
	case stuck:
		s.skipAll(e, e.pass(now), ReasonStuck, whyStuck)
		return
	case queued:
		s.unqueue(e)
		s.skipAll(e, []missed{{e.slot, 1}}, ReasonRemoved, whyRemoved)
	}
	s.skipAll(e, e.pass(now), ReasonRemoved, whyRemoved)
}

// cancel tells a collection to stop and gives it the grace to do so.
func (s *Scheduler) cancel(r *run, now collectors.Stamp) {
	r.cancel(errRemoved)
	r.cancelled = true
	if t := time.Now(); t.Before(r.deadline) {
		r.deadline = t
		r.limit = now.Add(s.cfg.Grace)
	}
}

// rejoin finds out whether the collector of a new entry still hangs from the time
// before its job was removed: it must not run twice at a time.
func (s *Scheduler) rejoin(e *entry) {
	for r := range s.live {
		if r.stuck && identical(r.collector, e.job.Collector) {
			r.entry, e.run = e, r
			s.become(e, stuck)
			return
		}
	}
}
