package faulttest_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/buffer/faulttest"
)

// TestPowerCuts: one database lives through all cuts and loses nothing that was
// committed. Weaker settings do lose, or this lab could not have found it.
func TestPowerCuts(t *testing.T) {
	seed, r := seeded(t)
	cuts := 300
	if torture() {
		cuts = 3000
	}
	labs := []*powerLab{
		{name: "FULL", cuts: cuts},
		{name: "NORMAL", job: job{Sync: "NORMAL"}, cuts: cuts / 10},
		{name: "OFF", job: job{NoSync: true}, cuts: cuts / 10},
	}
	for _, l := range labs {
		l.rand = rand.New(rand.NewPCG(r.Uint64(), 0))
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.t = t
			l.run()
		})
	}
	t.Cleanup(func() {
		if slices.ContainsFunc(labs, func(l *powerLab) bool { return l.ledger == nil }) {
			return // -run chose some of them
		}
		full, normal, off := labs[0].ledger.sum, labs[1].ledger.sum, labs[2].ledger.sum
		t.Logf("%d cuts, seed %d: committed %d batches, lost %d, databases that needed a hand %d; control NORMAL lost %d of %d in %d cuts; OFF lost %d of %d in %d cuts",
			cuts, seed, full.committed, len(full.lost), len(full.hands), len(normal.lost), normal.committed, labs[1].cuts, len(off.lost), off.committed, labs[2].cuts)
	})
}

// powerLab is one disk and the database on it.
type powerLab struct {
	t      *testing.T
	name   string
	job    job
	cuts   int
	rand   *rand.Rand
	ledger *ledger
	m      *machine
	now    int64
	days   int // jobs so far

	mounting, resting int // cuts while the file system was mounted, and when all was done
}

func (l *powerLab) run() {
	l.ledger, l.now = newLedger(), 1_000_000
	l.m = newMachine(l.t)
	l.job.Path = filepath.Join(l.m.vol.Dir, "var", "buffer.db")
	for range l.cuts {
		l.live()
		l.m.disk.PowerOn()
		if !l.control() && len(l.ledger.sum.lost) > 0 {
			break // what was lost is told best by what came before
		}
	}
	l.last()
	l.judge()
}

// live is the time from one power cut to the next.
func (l *powerLab) live() {
	disk := l.m.disk
	p := start(l.t, l.ledger)
	defer p.end()
	if l.rand.IntN(12) == 0 { // while the journal is replayed
		disk.CutAfter(1+l.rand.Int64N(20), l.chance(), nil)
	}
	if err := l.m.vol.Mount(); err != nil {
		if disk.On() {
			l.ledger.sum.hands = append(l.ledger.sum.hands, err.Error())
			disk.Cut(l.chance())
		}
		l.mounting++
		return
	}
	defer func() {
		disk.Cut(l.chance())
		p.end() // it would keep the volume busy
		l.m.unmount()
	}()
	disk.CutAfter(1+l.rand.Int64N(160), l.chance(), p.kill)
	if !disk.On() {
		l.mounting++
		return
	}
	j := l.next()
	l.ledger.diary.note("life %d, offline %t, clock %d", l.days, j.Offline, j.Now)
	p.give(j)
	p.wait()
	if p.rested() {
		l.resting++
	}
}

// chance gives a cut its own choices, which it makes in another goroutine.
func (l *powerLab) chance() *rand.Rand { return rand.New(rand.NewPCG(l.rand.Uint64(), 0)) }

func (l *powerLab) next() job {
	j := l.job
	j.Seed, j.Now, j.Fresh, j.Offline = l.rand.Uint64(), l.now, l.ledger.now, l.days%100 >= 50
	l.days++
	l.now += 1 << 25 // nine hours: more than a worker's clock moves
	return j
}

// last opens the database without a cut, so that the last one is checked too, and
// has e2fsck look at the file system.
func (l *powerLab) last() {
	before := l.ledger.sum.checks
	p := start(l.t, l.ledger)
	l.m.mount()
	j := l.next()
	j.Fresh = 0
	p.give(j)
	p.wait()
	p.end()
	l.m.unmount()
	if l.ledger.sum.checks == before {
		l.t.Error("the database could not be checked after the last cut")
	}
	if err := faulttest.CheckExt4(l.t.TempDir(), l.m.disk.Image()); err != nil {
		l.t.Errorf("the lab does not keep what the file system has flushed: %v", err)
	}
}

// control tells whether the lab is to lose something.
func (l *powerLab) control() bool { return l.job.Sync != "" || l.job.NoSync }

func (l *powerLab) judge() {
	t, sum, disk := l.t, &l.ledger.sum, l.m.disk.Stats()
	t.Logf("%d cuts (%d while mounting, %d at rest), %d checks: %d batches committed, %d more found, %d stored by the hub, %d in gaps, %d lost; %d times one was in two blocks after a salvage; %d blocks of rollups unpacked; %d of %d unflushed sectors kept; %d writes, %d flushes",
		l.cuts, l.mounting, l.resting, sum.checks, sum.committed, sum.found, sum.stored, sum.gaps, len(sum.lost), sum.again, sum.rolled, disk.Kept, disk.Kept+disk.Dropped, disk.Writes, disk.Flushes)
	if l.control() {
		if len(sum.lost) == 0 {
			t.Error("nothing was lost without flushes: this lab could not find a loss")
		}
		return
	}
	sum.assert(t)
	if sum.checks < l.cuts/2 || sum.committed < 10*l.cuts || sum.gaps > sum.committed/4 {
		t.Error("too little happened to show anything")
	}
}

// assert fails the test for what must never be.
func (s *tally) assert(t *testing.T) {
	t.Helper()
	if s.story != nil {
		t.Logf("before the first of what must not be:\n%.300000s", strings.Join(s.story, "\n"))
	}
	if n := len(s.lost); n > 0 {
		t.Errorf("%d committed batches are lost: %v", n, s.lost[:min(n, 40)])
	}
	if n := len(s.doubled); n > 0 {
		t.Errorf("%d batches are there twice: %v", n, s.doubled[:min(n, 5)])
	}
	for what, all := range map[string][]string{"faults": s.faults, "databases that needed a hand": s.hands} {
		if n := len(all); n > 0 {
			t.Errorf("%d %s: %v", n, what, fmt.Sprintf("%.2000q", all[:min(n, 5)]))
		}
	}
}
