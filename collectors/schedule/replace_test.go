package schedule

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

func TestReplaceKeepsWhatIsUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testConfig())
		slow := job("slow", 2*time.Second, 2*time.Second, takes(time.Second))
		dead := job("dead", time.Second, time.Second, func(context.Context, func(collectors.Batch)) error { return errors.New("refused") })
		r.run(slow, dead)
		r.pass(2500 * time.Millisecond)
		slow.Timeout = 5 * time.Second // of no consequence for the slots
		r.replace(slow, dead, job("new", time.Second, time.Second, takes(0)))
		r.pass(2 * time.Second)
		r.finish()
		r.expect("slow", "+0 ok", "+2000 ok", "+4000 skipped "+whyStopped)
		r.expect("dead", "+0 failed refused", "+1000 failed refused", "+2000 failed refused",
			"+3000 skipped backing off after 3 failures, next try in 1s", "+4000 failed refused")
		r.expect("new", "+2500 ok", "+3500 ok", "+4500 ok")
	})
}

func TestReplaceChangesJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testConfig())
		r.run(job("collector", time.Second, time.Minute, takes(3*time.Second)),
			job("interval", time.Second, time.Minute, takes(3*time.Second)),
			job("gone", time.Second, time.Minute, takes(3*time.Second)),
			job("idle", time.Second, time.Minute, takes(0)))
		r.pass(1500 * time.Millisecond)
		r.replace(job("collector", time.Second, time.Minute, takes(0)), job("interval", 500*time.Millisecond, time.Minute, takes(0)))
		r.pass(1250 * time.Millisecond)
		r.finish()
		r.expect("collector", "+0 skipped "+whyRemoved, "+1000 skipped "+whyOverlap, "+2000 ok")
		// The first new slot came due as the old collection was being cancelled.
		r.expect("interval", "+0 skipped "+whyRemoved, "+1000 skipped "+whyOverlap, "+1500 skipped "+whyOverlap, "+2000 ok", "+2500 ok")
		r.expect("gone", "+0 skipped "+whyRemoved, "+1000 skipped "+whyOverlap)
		r.expect("idle", "+0 ok", "+1000 ok")
		if st := r.Stats(); st.Jobs != 2 || st.Running != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestReplaceQueuedJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Workers, cfg.PerGroup = 2, 1
		r := newRig(t, cfg)
		in := func(j Job, group string) Job { j.Group = group; return j }
		hog := in(job("hog", time.Minute, time.Minute, takes(10*time.Second)), "dev")
		hog2 := job("hog2", time.Minute, time.Minute, takes(10*time.Second))
		r.run(hog, hog2)
		a := in(job("a", time.Minute, time.Minute, takes(0)), "dev")
		b := job("b", time.Minute, time.Minute, takes(0))
		c := in(job("c", time.Minute, time.Minute, takes(0)), "dev")
		d := in(job("d", time.Minute, time.Minute, takes(0)), "dev")
		r.replace(hog, hog2, a, b, c, d)
		r.pass(time.Second)
		if st := r.Stats(); st.Queued != 4 {
			t.Errorf("%+v", st)
		}
		r.replace(hog, hog2, c, in(d, "elsewhere")) // a and b go, d moves
		r.pass(10 * time.Second)
		r.finish()
		r.expect("a", "+0 skipped "+whyRemoved)
		r.expect("b", "+0 skipped "+whyRemoved)
		r.expect("c", "+10000 ok")
		r.expect("d", "+10000 ok")
		if len(r.queue.groups) != 0 {
			t.Errorf("claims are left: %v", r.queue.groups)
		}
	})
}

func TestReplaceStuckJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testConfig())
		release := make(chan struct{})
		hang := func(context.Context, func(collectors.Batch)) error { <-release; return nil }
		keep, swap := job("keep", 10*time.Second, time.Second, hang), job("swap", 10*time.Second, time.Second, hang)
		r.run(keep, swap)
		r.pass(5 * time.Second)
		// One job goes and comes back with the collector that hangs, the other gets
		// a new collector: it need not wait for the old one.
		r.replace(job("swap", 10*time.Second, time.Second, takes(0)))
		r.pass(time.Second)
		r.replace(keep, r.entries["swap"].job)
		r.pass(5 * time.Second)
		r.expect("keep", "+0 failed "+whyHung, "+6000 skipped "+whyStuck)
		r.expect("swap", "+0 failed "+whyHung, "+10000 ok")
		if st := r.Stats(); st.Stuck != 2 {
			t.Errorf("%+v", st)
		}
		close(release)
		r.pass(6 * time.Second)
		if err := r.finish(); err != nil {
			t.Error(err)
		}
		if got := r.log("keep"); !strings.HasSuffix(got, "+16000 failed "+whyNoBatch) {
			t.Errorf("it does not go on after its return:\n%s", got)
		}
	})
}

func TestReplaceTakesBackARemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testConfig())
		var runs, most int
		j := job("a", time.Second, time.Minute, func(ctx context.Context, emit func(collectors.Batch)) error {
			runs++
			most = max(most, runs)
			defer func() { runs-- }()
			<-ctx.Done()
			<-time.After(time.Second) // slow to obey
			emit(collectors.Batch{})
			return nil
		})
		r.run(j)
		r.pass(100 * time.Millisecond)
		r.replace()
		r.pass(100 * time.Millisecond)
		r.replace(j)
		r.pass(2 * time.Second)
		r.finish()
		if most != 1 {
			t.Errorf("%d collections of one job at a time", most)
		}
		r.expect("a", "+0 ok", "+200 skipped "+whyOverlap, "+1200 ok", "+2200 skipped "+whyOverlap)
	})
}

func TestReplaceRefuses(t *testing.T) {
	ok := job("a", time.Second, time.Second, takes(0))
	for want, jobs := range map[string][]Job{
		"replace jobs: job 1: there is another job for source a":                 {ok, ok},
		"replace jobs: job 0 (): its source's name has 0 bytes (1 to 128)":       {{}},
		"replace jobs: job 0 (a): interval 1ms is out of bounds (at least 10ms)": {{Source: "a", Interval: time.Millisecond}},
		"replace jobs: job 0 (a): timeout 0s is not positive":                    {{Source: "a", Interval: time.Second}},
		"replace jobs: job 0 (a): it has no collector":                           {{Source: "a", Interval: time.Second, Timeout: 1}},
	} {
		s := New(testConfig(), nil, nil, nil)
		if err := s.Replace(jobs); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestIdentical(t *testing.T) {
	f := collectors.CollectorFunc(takes(0))
	a, b := &pointer{takes(0)}, &pointer{takes(0)}
	if identical(f, f) || identical(a, b) || identical(a, f) || !identical(a, a) {
		t.Error("collectors are confused")
	}
}
