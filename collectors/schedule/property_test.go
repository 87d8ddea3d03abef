package schedule

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// TestEverySlotHasOneOutcome runs random jobs, with every way to misbehave, under
// suspends, a busy box and new configs, and counts: the slots that the clock had are the slots
// that are accounted for, and limits are kept.
func TestEverySlotHasOneOutcome(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { misbehave(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func misbehave(t *testing.T, rnd *rand.Rand) {
	cfg := DefaultConfig()
	cfg.Workers, cfg.PerGroup = 1+rnd.IntN(8), 1+rnd.IntN(2)
	r := newRig(t, cfg)
	release := make(chan struct{})
	jobs := make([]Job, 40)
	for i := range jobs {
		dice := dice(rnd.Uint64())
		jobs[i] = job(fmt.Sprintf("source-%d", i), time.Duration(1+rnd.IntN(20))*time.Second,
			time.Duration(1+rnd.IntN(10))*time.Second,
			func(ctx context.Context, emit func(collectors.Batch)) error {
				for range dice(3) {
					emit(collectors.Batch{})
				}
				switch dice(8) {
				case 0:
					panic("oh")
				case 1:
					return errors.New("refused")
				case 2:
					<-ctx.Done()
					return ctx.Err()
				case 3:
					select { // hangs
					case <-release:
					case <-time.After(time.Duration(dice(60)) * time.Second):
					}
				case 4:
					<-time.After(time.Duration(dice(3000)) * time.Millisecond)
				}
				return nil
			})
		jobs[i].Group = fmt.Sprintf("device-%d", i/4)
	}
	r.run(jobs...)
	for range 20 {
		r.pass(time.Duration(rnd.IntN(30_000)) * time.Millisecond)
		if rnd.IntN(4) == 0 {
			r.skew.Add(rnd.Int64N(100_000))
		}
		if st := r.Stats(); st.Running > cfg.Workers {
			t.Errorf("%d collections run, %d may", st.Running, cfg.Workers)
		}
		rnd.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
		for i := range rnd.IntN(10) { // another collector, the same slots
			jobs[i].Collector = &pointer{jobs[i].Collector.(*pointer).f}
		}
		r.replace(jobs...)
	}
	at := r.now()
	_ = r.finish() // names what hangs

	var want, got uint64
	for _, j := range jobs {
		first := bootAt + offset(j.Source, j.Interval, cfg.Spread)
		want += uint64(slotsDue(first, at, j.step()))
	}
	st := r.Stats()
	for _, n := range st.Collections {
		got += n
	}
	for _, n := range st.Skipped {
		got += n
	}
	if got != want {
		t.Errorf("%d slots have an outcome, %d were due: %+v", got, want, st)
	}
	if st.Started != st.Collections[0]+st.Collections[1]+st.Collections[2]+st.Collections[3] {
		t.Errorf("a collection has no outcome: %+v", st)
	}
	close(release)
	<-time.After(time.Minute) // of fake time, for those that hang to end
}

// dice returns a source of random numbers below n for several goroutines.
func dice(seed uint64) func(n int) int {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 2))
	return func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rnd.IntN(n)
	}
}

func BenchmarkThousandJobs(b *testing.B) {
	var now collectors.Stamp
	s := New(testConfig(), func() collectors.Stamp { return now }, func(collectors.Batch) {}, nil)
	s.ctx = b.Context()
	jobs := make([]Job, 1000)
	for i := range jobs {
		jobs[i] = job(fmt.Sprintf("source-%d", i), time.Second, time.Second, takes(0))
	}
	s.apply(jobs, now)
	b.ReportAllocs()
	for b.Loop() { // one slot of one job
		for s.wakes[0].wake > now {
			now++
		}
		s.turn(s.wakes[0], now)
		if e := s.queue.pop(); e != nil {
			s.begin(e)
			s.returned(<-s.done)
		}
	}
}
