package schedule

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

func TestEverySlotIsCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testConfig())
		r.run(job("a", time.Second, time.Second, takes(0)), job("b", 2*time.Second, time.Second, func(_ context.Context, emit func(collectors.Batch)) error {
			emit(collectors.Batch{})
			emit(collectors.Batch{})
			return errors.New("half of it")
		}))
		r.pass(3500 * time.Millisecond)
		if err := r.finish(); err != nil {
			t.Error(err)
		}
		r.expect("a", "+0 ok", "+1000 ok", "+2000 ok", "+3000 ok")
		r.expect("b", "+0 partial half of it", "+1 partial half of it", "+2000 partial half of it", "+2001 partial half of it")
		if st := r.Stats(); st.Collections != [4]uint64{4, 2, 0, 0} || st.Started != 6 || len(st.Skipped) > 0 || st.Running != 0 || st.Jobs != 2 {
			t.Errorf("%+v", st)
		}
	})
}

func TestDeadlineAndBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testConfig())
		var healthy atomic.Bool
		r.run(job("dead", time.Second, 500*time.Millisecond, func(ctx context.Context, emit func(collectors.Batch)) error {
			if healthy.Load() {
				emit(collectors.Batch{})
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}))
		r.pass(9 * time.Second)
		healthy.Store(true)
		r.pass(3 * time.Second)
		r.finish()
		failed := " failed was not done within 500ms"
		r.expect("dead", "+0"+failed, "+1000"+failed, "+2000"+failed,
			"+3000 skipped backing off after 3 failures, next try in 1s",
			"+4000"+failed,
			"+5000 skipped backing off after 4 failures, next try in 3s",
			"+6000 skipped backing off after 4 failures, next try in 2s",
			"+7000 skipped backing off after 4 failures, next try in 1s",
			"+8000"+failed,
			"+9000 skipped backing off after 5 failures, next try in 7s",
			"+10000 skipped backing off after 5 failures, next try in 6s",
			"+11000 skipped backing off after 5 failures, next try in 5s",
			"+12000 skipped backing off after 5 failures, next try in 4s")
	})
}

func TestBackoffEndsWithSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testConfig())
		n := 0
		r.run(job("a", time.Second, time.Second, func(_ context.Context, emit func(collectors.Batch)) error {
			if n++; n <= 3 || n == 5 {
				return errors.New("refused")
			}
			emit(collectors.Batch{})
			return nil
		}))
		r.pass(6500 * time.Millisecond)
		r.finish()
		r.expect("a", "+0 failed refused", "+1000 failed refused", "+2000 failed refused",
			"+3000 skipped backing off after 3 failures, next try in 1s",
			"+4000 ok", "+5000 failed refused", "+6000 ok")
	})
}

func TestNoOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testConfig())
		r.run(job("slow", time.Second, time.Minute, takes(2500*time.Millisecond)))
		r.pass(4 * time.Second)
		r.finish()
		r.expect("slow", "+0 ok", "+1000 skipped "+whyOverlap, "+2000 skipped "+whyOverlap,
			"+3000 skipped "+whyStopped, "+4000 skipped "+whyOverlap)
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Workers, cfg.PerGroup = 3, 1
		r := newRig(t, cfg)
		dev := func(source string, d time.Duration) Job {
			j := job(source, 10*time.Second, 8*time.Second, takes(d))
			j.Group = "dev"
			return j
		}
		r.run(dev("dev/1", 6*time.Second), dev("dev/2", 6*time.Second), dev("dev/3", time.Second),
			job("other/1", 10*time.Second, 8*time.Second, takes(time.Second)),
			job("other/2", 10*time.Second, 8*time.Second, takes(time.Second)),
			job("other/3", 10*time.Second, 8*time.Second, takes(time.Second)))
		r.pass(9500 * time.Millisecond)
		if st := r.Stats(); st.Running != 1 || st.Queued != 1 {
			t.Errorf("%+v", st)
		}
		r.pass(11 * time.Second)
		r.finish()
		// The others wait for a worker at most; the device's own jobs share it, in
		// the order in which they came due.
		all := []string{}
		for _, s := range []string{"other/1", "other/2", "other/3"} {
			all = append(all, r.log(s))
		}
		if n := strings.Count(strings.Join(all, "\n"), "ok"); n != 6 {
			t.Errorf("other devices were held up:\n%s", strings.Join(all, "\n\n"))
		}
		device := r.log("dev/1") + "\n" + r.log("dev/2") + "\n" + r.log("dev/3")
		if !strings.Contains(device, "skipped "+whyGroup) {
			t.Errorf("no word about the device's limit:\n%s", device)
		}
	})
}

func TestNoWorkerFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Workers = 1
		r := newRig(t, cfg)
		r.run(job("hog", time.Minute, time.Minute, takes(3500*time.Millisecond)))
		r.replace(append([]Job{r.entries["hog"].job}, job("meek", time.Second, time.Second, takes(0)))...)
		r.pass(4500 * time.Millisecond)
		r.finish()
		r.expect("hog", "+0 ok")
		r.expect("meek", "+0 skipped "+whyWorkers, "+1000 skipped "+whyWorkers, "+2000 skipped "+whyWorkers,
			"+3500 ok", "+4000 ok")
		if st := r.Stats(); st.Skipped[ReasonWorkers] != 3 || st.LagTotal != 500*time.Millisecond {
			t.Errorf("%+v", st)
		}
	})
}

func TestPanicIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testConfig())
		r.run(job("a", time.Second, time.Second, func(context.Context, func(collectors.Batch)) error { panic("community public") }),
			job("b", time.Second, time.Second, func(context.Context, func(collectors.Batch)) error { runtime.Goexit(); return nil }),
			job("c", time.Second, time.Second, func(context.Context, func(collectors.Batch)) error {
				var e *brokenError
				return e
			}),
			job("d", time.Second, time.Second, takes(0)))
		r.pass(500 * time.Millisecond)
		if err := r.finish(); err != nil {
			t.Error(err)
		}
		for _, s := range []string{"a", "b", "c"} {
			r.expect(s, "+0 failed "+whyPanicked)
		}
		r.expect("d", "+0 ok")
	})
}

// brokenError panics when it is a nil pointer in an error, as many do.
type brokenError struct{ text string }

func (e *brokenError) Error() string { return e.text }

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Workers = 1
		r := newRig(t, cfg)
		release := make(chan struct{})
		first := true
		r.run(job("hung", time.Second, 500*time.Millisecond, func(_ context.Context, emit func(collectors.Batch)) error {
			if first {
				first = false
				<-release
			}
			emit(collectors.Batch{})
			return nil
		}))
		r.replace(r.entries["hung"].job, job("other", 10*time.Second, time.Second, takes(0)))
		r.pass(4200 * time.Millisecond)
		// At 2.5 s it was given up, and its worker went to the other.
		r.expect("other", "+2500 ok")
		r.expect("hung", "+0 failed "+whyHung, "+1000 skipped "+whyOverlap, "+2000 skipped "+whyOverlap,
			"+3000 skipped "+whyStuck, "+4000 skipped "+whyStuck)
		if st := r.Stats(); st.Stuck != 1 || st.Running != 0 {
			t.Errorf("%+v", st)
		}
		close(release)
		r.pass(time.Second)
		if st := r.Stats(); st.Stuck != 0 || st.LateEmits != 1 {
			t.Errorf("%+v", st)
		}
		if err := r.finish(); err != nil {
			t.Error(err)
		}
		if !strings.HasSuffix(r.log("hung"), "\n+5000 ok") {
			t.Errorf("it does not go on:\n%s", r.log("hung"))
		}
	})
}

func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testConfig())
		r.run(job("a", time.Second, time.Second, takes(0)), job("busy", 10*time.Second, 2*time.Second, takes(1500*time.Millisecond)))
		r.pass(500 * time.Millisecond)
		r.skew.Add(4000)
		r.pass(1500 * time.Millisecond) // until 6.0 s on the boot clock
		r.expect("a", "+0 ok",
			"+1000 skipped "+whyLate, "+2000 skipped "+whyLate, "+3000 skipped "+whyLate, "+4000 skipped "+whyLate,
			"+5000 ok", "+6000 ok")
		r.expect("busy", "+0 ok") // its deadline stood still too
		r.skew.Add((maxEach + 1000) * 1000)
		r.pass(time.Second)
		r.finish()
		lines := strings.Split(r.log("a"), "\n")[7:]
		want := fmt.Sprintf("+7000 skipped %s; this stands for 1001 slots in a row, 1s apart", whyLate)
		if lines[0] != want || len(lines) != maxEach+1 {
			t.Errorf("%d batches, the first %q, want %q", len(lines), lines[0], want)
		}
		if last := lines[len(lines)-1]; !strings.HasSuffix(last, " ok") {
			t.Errorf("the last slot was not collected: %q", last)
		}
	})
}

func TestSuspendIsNoHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testConfig())
		r.run(job("a", time.Hour, 10*time.Second, takes(9*time.Second)))
		r.pass(time.Second)
		r.skew.Add(60_000)
		r.pass(9 * time.Second)
		r.finish()
		r.expect("a", "+0 ok")
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Workers = 2
		r := newRig(t, cfg)
		release := make(chan struct{})
		r.run(job("obedient", 5*time.Second, time.Minute, takes(time.Minute)),
			job("stubborn", 5*time.Second, time.Minute, func(context.Context, func(collectors.Batch)) error { <-release; return nil }))
		r.replace(r.entries["obedient"].job, r.entries["stubborn"].job, job("waiting", 5*time.Second, time.Second, takes(0)))
		r.pass(time.Second)
		began := time.Now()
		err := r.finish()
		if err == nil || err.Error() != "1 collections did not return in time: stubborn" {
			t.Errorf("got %v", err)
		}
		if d := time.Since(began); d != cfg.Grace {
			t.Errorf("stopping took %v", d)
		}
		r.expect("obedient", "+0 skipped "+whyStopped)
		r.expect("stubborn", "+0 failed "+whyHung)
		r.expect("waiting", "+0 skipped "+whyStopping)
		close(release)
		if err := r.Run(t.Context()); err == nil {
			t.Error("it ran twice")
		}
	})
}

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Workers = 2
		r := newRig(t, cfg)
		release := make(chan struct{})
		jobs := []Job{job("hung", time.Second, time.Second, func(context.Context, func(collectors.Batch)) error { <-release; return nil })}
		for i := range 5 {
			jobs = append(jobs, job(fmt.Sprintf("a%d", i), time.Millisecond, time.Second, takes(100*time.Millisecond)))
		}
		err := r.Once(t.Context(), jobs)
		if err == nil || !strings.Contains(err.Error(), "hung") {
			t.Errorf("got %v", err)
		}
		r.expect("hung", "+0 failed "+whyHung)
		for i := range 5 {
			if !strings.HasSuffix(r.log(fmt.Sprintf("a%d", i)), "ok") {
				t.Error(r.log(fmt.Sprintf("a%d", i)))
			}
		}
		if st := r.Stats(); st.Collections != [4]uint64{5, 0, 1, 0} {
			t.Errorf("%+v", st)
		}
		close(release)
	})
}

func TestOnceIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Workers = 1
		r := newRig(t, cfg)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := r.Once(ctx, []Job{job("a", time.Second, time.Minute, takes(10*time.Second)), job("b", time.Second, time.Second, takes(0))})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if got := r.log("a") + "\n" + r.log("b"); strings.Count(got, "skipped") != 2 {
			t.Error(got)
		}
	})
}

func TestBeatStopsWithTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		s := New(testConfig(), func() collectors.Stamp { return collectors.Stamp(time.Now().UnixMilli()) },
			func(collectors.Batch) { <-block }, nil)
		ctx, stop := context.WithCancel(t.Context())
		go s.Run(ctx)
		<-time.After(10 * time.Second)
		synctest.Wait()
		idle := s.Beat()
		if idle < 9 {
			t.Errorf("idle for 10 s: %d beats", idle)
		}
		if err := s.Replace([]Job{job("a", time.Hour, time.Second, takes(0))}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		before := s.Beat()
		<-time.After(10 * time.Second)
		synctest.Wait()
		if after := s.Beat(); after != before {
			t.Errorf("it beats on while the sink is blocked: %d, %d", before, after)
		}
		stop()
		close(block)
	})
}
