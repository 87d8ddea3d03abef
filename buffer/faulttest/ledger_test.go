package faulttest_test

import (
	"fmt"
	"slices"
	"time"
)

// ledger is what must be in the database, by what the workers have reported.
type ledger struct {
	must    map[name]*entry
	sum     tally
	spoilt  int           // databases that the test has damaged since the last check
	now     int64         // the clock of the last check
	seen    map[name]bool // what it found
	wrecked bool          // there was something to salvage, ever
	diary   diary
	blocks  []string      // what the table had at the last check
	hub     map[name]bool // what it has taken of blocks that were salvaged and never unpacked here
}

// diary is what happened lately, to be read where something was lost.
type diary []string

func (d *diary) note(format string, args ...any) {
	if *d = append(*d, fmt.Sprintf(format, args...)); len(*d) > 200 {
		*d = slices.Clone((*d)[100:])
	}
}

type entry struct {
	at     int64
	stored bool // the hub has it: it may be evicted
	aside  bool // the test damaged the database that had it
}

// tally is what a ledger has seen.
type tally struct {
	committed int // batches that the buffer has confirmed
	found     int // batches that were there without having been confirmed
	checks    int
	stored    int // batches that the hub has taken
	gaps      int // confirmed batches that became a gap
	lost      []name
	story     []string // what happened before the first loss
	doubled   []name
	faults    []string
	hands     []string // why a person would have been needed
	aside     int      // databases that were set aside
	salvaged  int      // batches that came back from one
	again     int      // batches found in two blocks after a salvage
	rolled    int      // blocks of rollups that were unpacked
}

// settledFor is how long the buffer remembers an epoch of which it has no block.
const settledFor = 90 * 24 * time.Hour

func newLedger() *ledger { return &ledger{must: map[name]*entry{}, hub: map[name]bool{}} }

// committed notes batches that the buffer has confirmed, or that are there.
func (l *ledger) committed(xs []batch) {
	if len(xs) > 0 {
		l.diary.note("committed %v", xs)
	}
	for _, x := range xs {
		if e := l.must[x.Name]; e != nil && e.at != x.At {
			l.sum.faults = append(l.sum.faults, fmt.Sprintf("%v names the batches of %d and of %d", x.Name, e.at, x.At))
		} else if e == nil {
			l.sum.committed++
			l.must[x.Name] = &entry{at: x.At}
		}
	}
}

// storing notes that the hub has batches.
func (l *ledger) storing(xs []span) {
	if len(xs) > 0 {
		l.diary.note("stored %v", xs)
	}
	for _, x := range xs {
		x.each(func(n name) {
			switch e := l.must[n]; {
			case e == nil && !l.seen[n]:
				l.sum.faults = append(l.sum.faults, fmt.Sprintf("%v was sent before its commit was confirmed", n))
			case e == nil:
				l.hub[n] = true
			case !e.stored:
				l.sum.stored++
				e.stored = true
			}
		})
	}
}

// damaged notes that what is there now will be set aside.
func (l *ledger) damaged() {
	l.spoilt++
	for _, e := range l.must {
		e.aside = true
	}
}

// check holds a database against the ledger: everything that was confirmed is in
// one block with its content, or in a gap, or the hub has it, or it was in a
// database that was set aside and the account still counts it.
func (l *ledger) check(c *contents) {
	l.sum.checks++
	l.diary.note("check %d at %d: %d wrecks, %d batches, %d covers, %d gaps", l.sum.checks, c.Now, c.Wrecks, len(c.Batches), len(c.Covered), len(c.Gaps))
	l.sum.rolled += c.Rolled
	if c.Aside > l.sum.aside+l.spoilt {
		l.sum.hands = append(l.sum.hands, fmt.Sprintf("%d databases are set aside, where %d were", c.Aside, l.sum.aside))
	}
	l.sum.aside, l.spoilt, l.now = c.Aside, 0, c.Now
	l.sum.faults = append(l.sum.faults, c.Faults...)
	seen := map[name]bool{}
	l.seen, l.wrecked = seen, l.wrecked || c.Wrecks > 0
	see := func(n name) {
		switch {
		case seen[n] && l.wrecked:
			// A database that was set aside has remains of blocks that became larger or
			// coarser ones since; salvage may take both. Readers take each batch once.
			l.sum.again++
		case seen[n]:
			l.sum.doubled = append(l.sum.doubled, n)
		}
		seen[n] = true
		if e := l.must[n]; e != nil && e.aside {
			l.sum.salvaged++
			e.aside = false
		}
	}
	keys := map[key]name{}
	for _, x := range c.Batches {
		see(x.Name)
		k := key{x.Name.Source, x.At}
		if other, ok := keys[k]; ok && other != x.Name {
			l.sum.doubled = append(l.sum.doubled, x.Name)
		}
		keys[k] = x.Name
		switch e := l.must[x.Name]; {
		case e == nil:
			l.sum.found++
			l.must[x.Name] = &entry{at: x.At, stored: l.hub[x.Name]}
			delete(l.hub, x.Name)
		case e.at != x.At:
			l.sum.faults = append(l.sum.faults, fmt.Sprintf("%v was the batch of %d and is that of %d", x.Name, e.at, x.At))
		}
	}
	for _, x := range c.Covered {
		x.each(see)
	}
	gaps := map[name]bool{}
	for _, s := range c.Gaps {
		s.each(func(n name) {
			gaps[n] = true
			if seen[n] {
				l.sum.faults = append(l.sum.faults, fmt.Sprintf("%v is in a block and in a gap", n))
				l.tell(c)
			}
		})
	}
	next := map[name]uint64{} // by epoch and source
	for _, s := range c.Next {
		of := name{s.Epoch, s.Source, 0}
		next[of] = max(next[of], s.End)
	}
	counted := func(n name) bool { return n.N < next[name{n.Epoch, n.Source, 0}] }
	for n, e := range l.must {
		switch {
		case seen[n] && !counted(n):
			l.sum.faults = append(l.sum.faults, fmt.Sprintf("%v is in a block, and the account does not count it", n))
		case seen[n]:
		case gaps[n]:
			l.sum.gaps++
			delete(l.must, n)
		case e.stored:
			delete(l.must, n)
		case e.aside && counted(n): // salvage may bring it back
		case e.aside && c.Now-e.at > settledFor.Milliseconds():
			delete(l.must, n)
		default:
			l.sum.lost = append(l.sum.lost, n)
			delete(l.must, n)
			l.tell(c)
		}
	}
	l.blocks = c.Blocks
}

// tell keeps what came before the first thing that must not be.
func (l *ledger) tell(c *contents) {
	if l.sum.story == nil {
		l.sum.story = slices.Concat(l.diary, []string{"the table before:"}, l.blocks, []string{"now:"}, c.Blocks)
	}
}
