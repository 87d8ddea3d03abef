package diagnosis

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// fakeSite gives the facts that are true at the moment. Light looks see a part of them.
type fakeSite struct {
	facts func() []Fact
	runs  int
}

func (f *fakeSite) Contract() Contract { return contract() }

func (f *fakeSite) Run(ctx context.Context, _ Baseline, each func(Report)) []Fact {
	f.runs++
	wait(ctx, 12*time.Second)
	fs := f.facts()
	if each != nil {
		each(Report{StageLink, fs[:1], time.Second})
	}
	return fs
}

func (f *fakeSite) Light(ctx context.Context, _ Baseline, _ int) []Fact {
	wait(ctx, 500*time.Millisecond)
	var out []Fact
	for _, x := range f.facts() {
		switch {
		case x.Name == LinkCarrier, x.Name == GatewayICMP, x.Name == Connected, x.Name == ResolverLocal, x.Name == AnchorICMP && x.Target != "c":
			out = append(out, x)
		}
	}
	return out
}

// told is what a runner said, and when.
type told struct {
	change Change
	at     collectors.Stamp
}

type stage struct {
	site    *fakeSite
	runner  *Runner
	changes []told
	batches int
	start   time.Time
	now     atomic.Pointer[func() []Fact]
}

func (s *stage) makes(f func() []Fact) { s.now.Store(&f) }

func play(t *testing.T, records *Recorder, do func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{start: time.Now()}
		s.makes(healthy)
		s.site = &fakeSite{facts: func() []Fact { return (*s.now.Load())() }}
		store, err := OpenStore(filepath.Join(t.TempDir(), "diagnosis.json"))
		if err != nil {
			t.Fatal(err)
		}
		s.runner = NewRunner(s.site, Options{Config: DefaultConfig(), Now: s.stamp, Store: store, Records: records,
			Emit: func(b collectors.Batch) {
				s.batches++
				if err := b.Validate(); err != nil {
					t.Error(err)
				}
			},
			Changed: func(c Change) { s.changes = append(s.changes, told{c, s.stamp()}) }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.runner.Run(ctx); close(done) }()
		time.Sleep(5 * time.Minute) // it is accepted
		synctest.Wait()
		if n := len(s.changes); n != 1 || s.changes[0].change.Verdict.Code != OK || s.runner.Baseline().Good < acceptance {
			t.Fatalf("a healthy site: %+v, %+v", s.changes, s.runner.Baseline())
		}
		s.changes = nil
		do(s)
		cancel()
		<-done
	})
}

func (s *stage) stamp() collectors.Stamp { return collectors.Stamp(0).Add(time.Since(s.start)) }

// sets makes other facts true for a time.
func (s *stage) sets(d time.Duration, f func() []Fact) {
	s.makes(f)
	wait(context.Background(), d)
	synctest.Wait()
}

func accessDown() []Fact {
	return with(healthy(), dead("path_hop/ttl 2", "path_hop/ttl 3", "path_hop/ttl 4")...)
}

func TestFallsAndRises(t *testing.T) {
	r, key := recorder(t)
	play(t, r, func(s *stage) {
		broken := s.stamp()
		s.sets(3*time.Minute, accessDown)
		mended := s.stamp()
		s.sets(3*time.Minute, healthy)
		if len(s.changes) != 2 {
			t.Fatalf("%+v", s.changes)
		}
		down, up := s.changes[0], s.changes[1]
		if down.change.Verdict.Code != AccessDown || down.at > broken.Add(time.Minute) || down.change.First < broken || down.change.First > broken.Add(31*time.Second) {
			t.Errorf("broken at %d: %+v", broken, down)
		}
		if up.change.Verdict.Code != OK || up.at > mended.Add(time.Minute) || up.change.First < mended || up.change.First > mended.Add(11*time.Second) {
			t.Errorf("mended at %d: %+v", mended, up)
		}
		b, err := os.ReadFile(filepath.Join(r.opt.Folder, down.change.Evidence+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := Verify(b, key); err != nil || !c.Complete || c.Replayed < 2 {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

func TestTriggerIsQuick(t *testing.T) {
	play(t, nil, func(s *stage) {
		broken := s.stamp()
		s.makes(accessDown)
		s.runner.Trigger()
		s.sets(2*time.Minute, accessDown)
		if len(s.changes) != 1 || s.changes[0].at > broken.Add(30*time.Second) || s.changes[0].change.First > broken.Add(time.Second) {
			t.Errorf("%d: %+v", broken, s.changes)
		}
	})
}

// TestBlips: what lasts less than ten seconds is no outage, however often it comes.
func TestBlips(t *testing.T) {
	play(t, nil, func(s *stage) {
		r := rand.New(rand.NewPCG(3, 4))
		for range 200 {
			if r.IntN(2) == 0 {
				s.makes(accessDown)
				s.runner.Trigger()
			}
			s.sets(time.Duration(r.IntN(9900))*time.Millisecond, accessDown)
			s.sets(time.Duration(20+r.IntN(120))*time.Second, healthy)
		}
		if len(s.changes) != 0 {
			t.Errorf("%d changes for 200 blips: %+v", len(s.changes), s.changes[0])
		}
	})
}

// TestSurveyFinds: what light looks do not see is found, and told once.
func TestSurveyFinds(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.sets(20*time.Minute, func() []Fact { return with(healthy(), fail(ResolverPublic, AnchorDNS)...) })
		if len(s.changes) != 1 || s.changes[0].change.Verdict.Code != DNS53Blocked {
			t.Fatalf("%+v", s.changes)
		}
		s.sets(3*time.Minute, healthy)
		if len(s.changes) != 2 || s.changes[1].change.Verdict.Code != OK {
			t.Errorf("%+v", s.changes)
		}
	})
}

func TestCauseChanges(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.sets(2*time.Minute, accessDown)
		s.sets(4*time.Minute, func() []Fact { return with(healthy(), dead(LinkCarrier, "gateway", "path", Route)...) })
		if len(s.changes) != 2 || s.changes[1].change.Verdict.Code != LinkDown || s.changes[1].change.First != s.changes[0].change.First {
			t.Errorf("%+v", s.changes)
		}
	})
}

// TestFlaps: a line that goes and comes every minute is down until it has settled.
func TestFlaps(t *testing.T) {
	play(t, nil, func(s *stage) {
		for range 30 {
			s.sets(time.Minute, accessDown)
			s.sets(time.Minute, healthy)
		}
		if n := len(s.changes); n > 2*flapFalls {
			t.Errorf("%d changes in an hour of flapping", n)
		}
		s.sets(15*time.Minute, healthy)
		if v, _ := s.runner.Verdict(); v.Code != OK {
			t.Errorf("%+v after it has settled", v)
		}
	})
}

// TestPolicy: what fails from the beginning is how the site is meant to be.
func TestPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := &fakeSite{facts: func() []Fact { return with(healthy(), fail(ResolverPublic, AnchorDNS)...) }}
		start := time.Now()
		var changes []Change
		r := NewRunner(site, Options{Config: DefaultConfig(), Now: func() collectors.Stamp { return collectors.Stamp(0).Add(time.Since(start)) },
			Changed: func(c Change) { changes = append(changes, c) }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		time.Sleep(30 * time.Minute)
		cancel()
		<-done
		if len(changes) != 1 || changes[0].Verdict.Code != OK || len(r.Baseline().Policy) == 0 {
			t.Errorf("%+v, %+v", changes, r.Baseline())
		}
	})
}

// TestTakesOver: another runner goes on where the one before has ended.
func TestTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var changes []Change
		was := Judge(accessDown(), base(), contract())
		r := NewRunner(&fakeSite{facts: healthy}, Options{Config: DefaultConfig(), Now: func() collectors.Stamp { return collectors.Stamp(0).Add(time.Since(start)) },
			Was: Change{Verdict: was}, Changed: func(c Change) { changes = append(changes, c) }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		time.Sleep(2 * time.Minute)
		cancel()
		<-done
		if len(changes) != 1 || changes[0].Verdict.Code != OK {
			t.Errorf("%+v", changes)
		}
	})
}
