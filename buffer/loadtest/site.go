// Package loadtest makes the readings of a site that does not exist, for tests
// and benchmarks of whatever keeps, packs or sends them.
//
// The series and their order are those that the collectors really emit (a test of
// cmd/bench compares them); the values behave as those of real sites do, because
// what they cost to keep depends on nothing else: two of five ports are down or
// carry little more than hellos, the others have log-normal traffic that
// remembers what it was a minute ago and follows the working day; errors are rare,
// states flap now and then, times of answers are in microseconds with spikes, and
// some polls fail.
//
//	site := loadtest.New(loadtest.Reference())
//	for now := site.Now(); ; now = now.Add(5 * time.Second) {
//		for b := range site.Until(now) {
//			buf.Add(b)
//		}
//	}
//
// Everything follows from the seed: two sites of one mix give the same batches.
package loadtest

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Mix is what a site consists of.
type Mix struct {
	Switches int           // devices polled by SNMP
	Ports    int           // of each; at most 200
	Checks   int           // icmp, http, dns and tcp in turn
	Host     bool          // the box itself
	Interval time.Duration // of everything
	Seed     uint64
	Start    collectors.Stamp // of the first slots; 0: a million
}

// Reference is the mix that figures are given for: 77,086 series of 175 switches
// of 48 ports, 40 checks and the box, every minute.
func Reference() Mix {
	return Mix{Switches: 175, Ports: 48, Checks: 40, Host: true, Interval: time.Minute, Seed: 1}
}

// Thousand is a small site: 1,000 series of two switches, nine checks and the box,
// every minute.
func Thousand() Mix {
	return Mix{Switches: 2, Ports: 48, Checks: 9, Host: true, Interval: time.Minute, Seed: 1}
}

// Office is a site of n devices, as eMMC lives are given for: switches of 48
// ports, a check for every fourth of them, and the box, every minute.
func Office(n int) Mix {
	return Mix{Switches: n, Ports: 48, Checks: (n + 3) / 4, Host: true, Interval: time.Minute, Seed: 1}
}

// Site makes a mix's batches. It is not safe for use by several goroutines.
type Site struct {
	mix     Mix
	sources []*source
	next    int // the source whose turn it is
	slot    collectors.Stamp
}

// source is one of the site's collectors with its place in the interval.
type source struct {
	schema *collectors.Schema
	offset collectors.Stamp
	last   collectors.Stamp // of its last batch that had values
	r      *rand.Rand
	model
}

// model makes the values of one poll; ago is the time since the last one that
// had some.
type model interface {
	poll(r *rand.Rand, at collectors.Stamp, ago time.Duration, to []collectors.Value)
}

// New returns the site of a mix. It begins as if its polls had just been
// scheduled.
func New(m Mix) *Site {
	if m.Start == 0 {
		m.Start = 1_000_000
	}
	s := &Site{mix: m, slot: m.Start}
	for i := range m.Switches {
		s.add(newDevice(i, m.Ports, s.random()))
	}
	for i := range m.Checks {
		s.add(newCheck(i, s.random()))
	}
	if m.Host {
		s.add(newHost(s.random()))
	}
	// The scheduler brings sources together to quarters of a second.
	slices.SortStableFunc(s.sources, func(a, b *source) int { return cmp.Compare(a.offset, b.offset) })
	return s
}

func (s *Site) random() *rand.Rand {
	return rand.New(rand.NewPCG(s.mix.Seed, uint64(len(s.sources))))
}

func (s *Site) add(schema *collectors.Schema, m model, r *rand.Rand) {
	s.sources = append(s.sources, &source{schema: schema, model: m, r: r,
		offset: offset(schema.Source, s.mix.Interval), last: s.slot - collectors.Stamp(s.mix.Interval.Milliseconds())})
}

// offset spreads the sources over the interval as the scheduler does.
func offset(name string, interval time.Duration) collectors.Stamp {
	h := fnv.New64a()
	fmt.Fprint(h, name)
	o := collectors.Stamp((h.Sum64() >> 16) % uint64(max(1, interval.Milliseconds())))
	return o - o%250
}

// Series counts the series of all sources, which is how many values there are in
// an interval at most.
func (s *Site) Series() (n int) {
	for _, x := range s.sources {
		n += len(x.schema.Series)
	}
	return n
}

// Sources counts the sources: so many batches there are in an interval.
func (s *Site) Sources() int { return len(s.sources) }

// Now is when the next batch is due.
func (s *Site) Now() collectors.Stamp { return s.slot + s.sources[s.next].offset }

// Next returns the batch that is due next, with the stamp at which its collection
// began. The caller may keep it.
func (s *Site) Next() collectors.Batch {
	x, due := s.sources[s.next], s.Now()
	if s.next++; s.next == len(s.sources) {
		s.next = 0
		s.slot = s.slot.Add(s.mix.Interval)
	}
	// Those that are due at once wait for each other a little.
	b := collectors.Batch{Source: x.schema.Source, At: due + collectors.Stamp(min(x.r.ExpFloat64()*4, 200))}
	if x.r.IntN(failEvery) == 0 {
		b.Outcome = collectors.Outcome{Result: collectors.Failed, Why: "asking 192.0.2.17: no answer within 3s (2 requests)"}
		return b
	}
	b.Schema = x.schema
	b.Values = make([]collectors.Value, len(x.schema.Series))
	x.poll(x.r, b.At, time.Duration(b.At-x.last)*time.Millisecond, b.Values)
	x.last = b.At
	return b
}

// failEvery: one poll of so many fails.
const failEvery = 2000

// Until yields the batches that are due before then.
func (s *Site) Until(then collectors.Stamp) iter.Seq[collectors.Batch] {
	return func(yield func(collectors.Batch) bool) {
		for s.Now() < then {
			if !yield(s.Next()) {
				return
			}
		}
	}
}
