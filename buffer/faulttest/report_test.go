package faulttest_test

import (
	"fmt"

	"github.com/siteprobe/siteprobe/buffer/block"
)

// job is what a worker is to do.
type job struct {
	Path   string // of the database
	Seed   uint64 // of its choices
	Now    int64  // its clock at the start, in ms
	Fresh  int64  // batches from then on are all unpacked when it has opened the database
	Sync   string // see buffer.Options
	NoSync bool
	Kill   string // the point at which it kills itself; empty: nowhere
	Hit    int    // at which time of reaching it, from 1
	Damage bool   // it damages the database before it opens it

	Offline bool // the hub cannot be reached: nothing is delivered
}

// report is what a worker tells, in order; one of its fields is set.
type report struct {
	Contents  *contents
	Committed []batch // the buffer has confirmed them
	Stored    []span  // the hub is about to acknowledge them
	Fault     string  // something that must not be
	Failed    string  // the buffer could not be opened
	Done      bool    // the worker rests and waits for its end
}

// batch is a batch's name and what its content follows from.
type batch struct {
	Name name
	At   int64
}

type name struct {
	Epoch  uint64
	Source string
	N      uint64
}

func (n name) String() string { return fmt.Sprintf("%016x %s %d", n.Epoch, n.Source, n.N) }

// span is batches of a source.
type span struct {
	Epoch  uint64
	Source string
	block.Range
}

// each calls f with every name.
func (s span) each(f func(name)) {
	for n := s.First; n < s.End; n++ {
		f(name{s.Epoch, s.Source, n})
	}
}

// contents is what a worker found when it had opened the buffer, or salvaged.
type contents struct {
	Now     int64   // the worker's clock
	Batches []batch // of blocks whose content was checked
	Covered []span  // of the others, by their heads
	Rolled  int     // of these, blocks of rollups that could be unpacked
	Gaps    []span
	Next    []span   // of each source the numbers that the account counts
	Wrecks  int      // databases and parts of logs that are kept for salvage
	Aside   int      // of these, databases that were set aside
	Blocks  []string // what the table has, a line each
	Faults  []string // what cannot be decoded or has another content
}
