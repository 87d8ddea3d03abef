// Package collectortest is the conformance suite of collectors: what every
// collector promises, whatever it collects.
//
// A package of collectors runs it in a test of its own:
//
//	func TestConformance(t *testing.T) {
//		collectortest.Run(t, func(t *testing.T) collectortest.Subject {
//			agent := startAgent(t)
//			return collectortest.Subject{
//				Source:    "gw/snmp",
//				Collector: newCollector(agent.Addr()),
//				Broken:    newCollector(closedPort(t)),
//				Silent:    newCollector(blackHole(t)),
//				Secrets:   []string{"s3cret-community"},
//			}
//		})
//	}
//
// The suite checks that
//
//   - every batch and schema keeps to the bounds of package collectors, no schema
//     lists a series twice, and what a batch says belongs to the source,
//   - a schema that has not changed is the same pointer at the next collection, and
//     none that was emitted is changed afterwards,
//   - Collect returns soon after its context is done, be it at once, in the middle
//     or with a source that never answers,
//   - nothing is emitted after Collect has returned, and no goroutine that it has
//     started is left,
//   - two collectors may collect at the same time (run it with -race),
//   - no secret is in anything that leaves the collector, be it plain, in hex, in
//     base64 or the beginning of it.
//
// Goroutines are told apart by a label that those started by a collection inherit,
// so servers that the test itself runs do not count.
package collectortest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Subject is a collector under test and what is to be known about it.
type Subject struct {
	Collector collectors.Collector // its source answers, and stays the same
	Source    string               // the source of its job
	Broken    collectors.Collector // optional: one whose source refuses or answers with an error
	Silent    collectors.Collector // optional: one whose source never answers
	Secrets   []string             // what it was configured with and must keep to itself

	// Timeout bounds one collection (default 5 s), Soon the time from the end of
	// its context to its return (default 1 s).
	Timeout, Soon time.Duration
}

func (s Subject) withDefaults() Subject {
	if s.Timeout == 0 {
		s.Timeout = 5 * time.Second
	}
	if s.Soon == 0 {
		s.Soon = time.Second
	}
	return s
}

// Run checks the collectors that newSubject makes. Each call of newSubject must
// give one that shares no state with the others.
func Run(t *testing.T, newSubject func(t *testing.T) Subject) {
	t.Helper()
	for _, c := range []struct {
		name  string
		check func(Subject) []error
	}{
		{"collects", checkCollects},
		{"keeps its schema", checkSchema},
		{"ends with its context", checkContext},
		{"leaves nothing behind", checkLeftovers},
		{"keeps its secrets", checkSecrets},
	} {
		t.Run(c.name, func(t *testing.T) {
			report(t, c.check(newSubject(t).withDefaults()))
		})
	}
	t.Run("shares nothing", func(t *testing.T) {
		a, b := newSubject(t).withDefaults(), newSubject(t).withDefaults()
		report(t, checkTogether(a, b))
	})
}

func report(t *testing.T, errs []error) {
	t.Helper()
	for _, err := range errs {
		t.Error(err)
	}
}

// collection is what one call of Collect gave.
type collection struct {
	mu       sync.Mutex
	batches  []collectors.Batch
	late     int // emitted after the return
	returned bool

	err  error
	hung bool // it was given up
}

func (c *collection) emit(b collectors.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.returned {
		c.late++
		return
	}
	c.batches = append(c.batches, b)
}

// lateEmits is how often emit was called after the return, so far.
func (c *collection) lateEmits() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.late
}

// collect calls Collect once, and gives it up when it does not return within soon
// of ctx's end. No field of the result is written after it has returned, save late.
func collect(ctx context.Context, c collectors.Collector, soon time.Duration) *collection {
	out := new(collection)
	done := make(chan error, 1)
	labelled(out, func() { done <- c.Collect(ctx, out.emit) })
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(soon):
			out.hung = true
		}
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	out.returned, out.err = true, err
	return out
}

// once collects with the subject's timeout.
func (s Subject) once(c collectors.Collector) *collection {
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	defer cancel()
	return collect(ctx, c, s.Soon)
}
