package schedule

import (
	"maps"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Stats counts what a scheduler does, for /metrics. Every due slot is counted
// once: in Collections when it was collected, in Skipped when it was not.
type Stats struct {
	Jobs    int // jobs there are
	Running int // collections that run and hold a worker
	Queued  int // due slots that wait for a worker
	Stuck   int // collections that were given up and have not returned

	Started     uint64                         // collections begun
	Collections [collectors.Skipped + 1]uint64 // collections ended, by result; Skipped are those cancelled before they gave anything
	Skipped     map[Reason]uint64              // slots not collected
	LateEmits   uint64                         // batches emitted after Collect had returned or was given up; they are lost

	Lag      time.Duration // how long after its slot the latest collection began
	LagTotal time.Duration // the same, summed over Started
}

// Stats returns the counts as of now. It may be called at any time.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Skipped = maps.Clone(s.stats.Skipped)
	st.LateEmits = s.late.Load()
	return st
}

// Beat rises, at least once a second, for as long as jobs are really being
// dispatched. A watchdog that sees it stand still knows that the scheduler, or
// the sink under it, is blocked.
func (s *Scheduler) Beat() uint64 { return s.beat.Load() }

func (s *Scheduler) count(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}
