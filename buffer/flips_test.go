package buffer_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
)

// serveWithin bounds how long after damage the next commit is.
const serveWithin = 30 * time.Second

// flips is how many bits are flipped, each in files of its own.
func flips() int {
	if torture() {
		return 1000
	}
	return 30
}

// After any single bit that flips in the database or its log while nobody has it
// open, the buffer serves again unaided; what it hands out is what was committed;
// and what it lost is known.
func TestBitFlips(t *testing.T) {
	s, first := wrecked(t, 5, 1), seed(t)
	var sum tally
	for i := range flips() {
		r := rand.New(rand.NewPCG(first+uint64(i), 5))
		cfg, l := s.restore(t)
		file, at, bit := flip(t, r, cfg.Path)
		b, took := l.resume(cfg)
		sum.look = i%20 == 0
		sum.add(l, b, cfg, took)
		if t.Failed() {
			t.Fatalf("bit %d of octet %d of %s; again with SITEPROBE_SEED=%d", bit, at, file, first+uint64(i))
		}
		b.Close()
		os.RemoveAll(filepath.Dir(cfg.Path))
	}
	sum.log(t)
}

// The same while it is open, a few bits at once. Pages in SQLite's memory hide some
// of it, for one connection and not for another: what is handed out is right all the
// same, and after the next opening at the latest all is known.
func TestBitFlipsWhileOpen(t *testing.T) {
	s, first := wrecked(t, 6, 1), seed(t)
	var sum tally
	for i := range flips() / 6 {
		r := rand.New(rand.NewPCG(first+uint64(i), 6))
		cfg, l := s.restore(t)
		b, _ := l.resume(cfg)
		began := time.Now()
		var where [8]any
		for j := range 4 {
			where[2*j], where[2*j+1], _ = flip(t, r, cfg.Path)
		}
		l.serve(b)
		took := time.Since(began)
		l.drain(b)
		l.serve(b)
		if err := b.Close(); err != nil {
			t.Log(err)
		}
		b, _ = l.resume(cfg)
		sum.look = i%20 == 0
		sum.add(l, b, cfg, took)
		if t.Failed() {
			t.Fatalf("%v; again with SITEPROBE_SEED=%d", where, first+uint64(i))
		}
		b.Close()
		os.RemoveAll(filepath.Dir(cfg.Path))
	}
	sum.log(t)
}

// flip changes a random bit of the database or its log.
func flip(t *testing.T, r *rand.Rand, path string) (file string, at int64, bit int) {
	t.Helper()
	size := func(p string) int64 {
		st, err := os.Stat(p)
		if err != nil {
			return 0
		}
		return st.Size()
	}
	file, at, bit = path, r.Int64N(size(path)+size(path+"-wal")), r.IntN(8)
	if n := size(path); at >= n {
		file, at = path+"-wal", at-n
	}
	if r.IntN(3) == 0 { // where it hurts more: headers of pages and cells
		at = at/4096*4096 + r.Int64N(128)
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var x [1]byte
	if _, err := f.ReadAt(x[:], at); err != nil {
		return filepath.Base(file), at, bit // it lies behind the end
	}
	x[0] ^= 1 << bit
	if _, err := f.WriteAt(x[:], at); err != nil {
		t.Fatal(err)
	}
	return filepath.Base(file), at, bit
}

// tally is what became of damage.
type tally struct {
	look                                                                  bool // whether the next run reads all of the history too, which takes most of the time
	runs, harmless, aside, losses, batches, lost, unreadable, mislabelled int
	slowest                                                               time.Duration
}

// add has everything that a buffer holds handed out and accounted for, salvage
// included, and checks it against what was committed.
func (s *tally) add(l *witness, b *buffer.Buffer, cfg buffer.Config, took time.Duration) {
	l.t.Helper()
	if took > serveWithin {
		l.t.Errorf("it took %v to serve again", took)
	}
	unreadable := l.drain(b)
	l.settle(b)
	if s.look || torture() {
		l.shown(b) // which may meet damage that nothing else did
	}
	for range 3 {
		if err := b.Flush(); err != nil {
			continue
		}
		all, err := store.Asides(cfg.Path)
		if err != nil || !slices.ContainsFunc(all, func(a store.Aside) bool { return !a.Settled }) {
			break
		}
		if err := b.Salvage(); err != nil {
			l.t.Log(err)
		}
		unreadable = l.drain(b)
		l.settle(b)
	}
	if unreadable > 0 { // their schemas are gone: the sources bring them again
		l.poll(b)
		unreadable = l.drain(b)
		l.settle(b)
	}
	l.shown(b)
	a, err := b.Account(buffer.Everything)
	for range 2 {
		if err != nil {
			_ = b.Flush()
			a, err = b.Account(buffer.Everything)
		}
	}
	if err != nil {
		l.t.Errorf("no account: %v", err)
		return
	}
	gaps, lost := gapsOf(a), 0
	pending := func(k name) bool {
		return slices.ContainsFunc(a.Lines, func(x buffer.AccountLine) bool {
			return x.Epoch == k.epoch && x.Source == k.source && slices.ContainsFunc(x.Pending, func(p buffer.TierRanges) bool {
				return p.Ranges.Contains(block.Range{First: k.n, End: k.n + 1})
			})
		})
	}
	for _, k := range l.lost() {
		if l.dropped[k] != "" || pending(k) {
			continue
		}
		lost++
		if gaps[k] == "" {
			l.t.Errorf("%v is lost and the account does not say so", k)
		} else if gaps[k] == buffer.ReasonBudget {
			s.mislabelled++
		}
	}
	for k, why := range l.dropped {
		if gaps[k] == "" && !l.hub[k] {
			l.t.Errorf("%v was dropped (%s) and the account does not say so any more", k, why)
		}
	}
	all, err := store.Asides(cfg.Path)
	if err != nil {
		l.t.Error(err)
	}
	s.runs++
	s.batches += len(l.batches)
	s.lost += lost
	s.unreadable += unreadable
	s.slowest = max(s.slowest, took)
	switch {
	case len(all) > 0: // of a torn log nothing stays
		s.aside++
	case lost > 0 || unreadable > 0:
		s.losses++
	default:
		s.harmless++
	}
}

func (s *tally) log(t *testing.T) {
	t.Logf("%d runs: %d harmless, %d databases set aside, %d lost a row; %d of %d batches lost, all of them known (%d with a wrong reason), %d blocks without schema; serving again within %v",
		s.runs, s.harmless, s.aside, s.losses, s.lost, s.batches, s.mislabelled, s.unreadable, s.slowest)
}
