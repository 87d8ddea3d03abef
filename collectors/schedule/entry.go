package schedule

import (
	"fmt"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

type state uint8

const (
	idle    state = iota // waits for its next slot
	queued               // its slot is due and waits for a worker
	running              // its slot is being collected
	stuck                // its collection was given up and has not returned
)

// entry is a job and where it stands. It belongs to the scheduler's goroutine.
type entry struct {
	job   Job
	state state
	next  collectors.Stamp // the first slot of which nothing has been said yet
	slot  collectors.Stamp // the slot that is queued or running
	run   *run             // when running or stuck
	last  collectors.Stamp // the stamp of its last batch

	failures int              // collections in a row
	retry    collectors.Stamp // slots before it are skipped, when backing off

	removed bool // it goes when its collection has returned

	wake  collectors.Stamp // when to look at it
	index int              // in the heap

	queuedAs string // its group, and
	aside    bool   // whether it waits for room there
}

// pass returns the slots up to now as missed ones and goes on behind them.
func (e *entry) pass(now collectors.Stamp) []missed {
	n := slotsDue(e.next, now, e.job.step())
	out := layOut(e.next, e.job.step(), n)
	e.next += collectors.Stamp(n) * e.job.step()
	return out
}

// halt makes sure that no further slot of the entry comes due.
func (e *entry) halt() { e.next = farOff }

// farOff is a stamp that is never reached, with room for arithmetic above it.
const farOff collectors.Stamp = 1 << 61

// turn looks at an entry whose time has come.
func (s *Scheduler) turn(e *entry, now collectors.Stamp) {
	switch e.state {
	case idle:
		n := slotsDue(e.next, now, e.job.step())
		if n == 0 {
			break
		}
		// Only the last of the slots that have passed is still worth collecting.
		s.skipAll(e, e.pass(now-e.job.step()), ReasonLate, whyLate)
		e.slot, e.next = e.next, e.next+e.job.step()
		s.offer(e)
	case queued:
		if slotsDue(e.next, now, e.job.step()) == 0 {
			break
		}
		s.skipQueued(e)
		s.skipAll(e, e.pass(now-e.job.step()), ReasonLate, whyLate)
		e.slot, e.next = e.next, e.next+e.job.step() // the place in the queue is kept
	case running:
		s.checkHang(e, now)
	case stuck:
		s.skipAll(e, e.pass(now), ReasonStuck, whyStuck)
	}
	s.rest(e)
}

// rest sets when the entry is to be looked at again.
func (s *Scheduler) rest(e *entry) {
	at := e.next
	if e.state == running {
		at = e.run.limit
	}
	s.wakes.move(e, at)
}

// offer queues the entry's slot, unless the source backs off.
func (s *Scheduler) offer(e *entry) {
	if e.slot < e.retry {
		wait := time.Duration(e.retry-e.slot) * time.Millisecond
		why := fmt.Sprintf(WhyBackoff+" after %d failures, next try in %v", e.failures, wait)
		s.skipAll(e, []missed{{e.slot, 1}}, ReasonBackoff, why)
		return
	}
	s.become(e, queued)
	s.queue.push(e)
}

// skipQueued reports that the queued slot got no worker.
func (s *Scheduler) skipQueued(e *entry) {
	reason, why := ReasonWorkers, whyWorkers
	if e.aside {
		reason, why = ReasonGroup, whyGroup
	}
	s.skipAll(e, []missed{{e.slot, 1}}, reason, why)
}

// unqueue takes a queued entry out of the queue, without a word about its slot.
func (s *Scheduler) unqueue(e *entry) {
	s.queue.remove(e)
	s.become(e, idle)
}

// skipAll reports slots that are not collected.
func (s *Scheduler) skipAll(e *entry, slots []missed, reason Reason, why string) {
	total := int64(0)
	for _, m := range slots {
		text := why
		if m.slots > 1 {
			text = fmt.Sprintf("%s; this stands for %d slots in a row, %v apart", why, m.slots, e.job.Interval)
		}
		s.put(e, m.at, collectors.Batch{Outcome: collectors.Outcome{
			Result: collectors.Skipped, Why: collectors.Clip(text, collectors.MaxText),
		}})
		total += m.slots
	}
	if total > 0 {
		s.count(func(st *Stats) { st.Skipped[reason] += uint64(total) })
	}
}

// put stamps a batch and hands it to the sink.
func (s *Scheduler) put(e *entry, at collectors.Stamp, b collectors.Batch) {
	b.Source = e.job.Source
	b.At = max(at, e.last+1)
	e.last = b.At
	s.sink(b)
}

// checkHang gives a collection up when it has outlived its deadline by the grace.
func (s *Scheduler) checkHang(e *entry, now collectors.Stamp) {
	r := e.run
	if left := s.cfg.Grace - time.Since(r.deadline); left > 0 {
		r.limit = now + max(collectors.Stamp(left.Milliseconds()), 1)
		return
	}
	s.giveUp(r)
}

// giveUp fails the slot of a collection that does not return.
func (s *Scheduler) giveUp(r *run) {
	got, dropped := r.tray.close()
	rep := settle(r.source, got, dropped, ending{why: whyHung, broke: true})
	rep.ended = r.limit
	r.stuck = true
	s.log.Warn("a collector does not return; its source is not collected until it does",
		"source", r.source, "timeout", r.timeout)
	e := r.entry
	s.settled(r, rep)
	if e.run == r {
		s.become(e, stuck)
	}
	s.count(func(st *Stats) { st.Stuck++ })
}
