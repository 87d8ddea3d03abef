package sitetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Fault breaks something and returns what mends it. Mending twice does nothing more.
// All methods of [Site] that return undo are faults: a method expression such as
// (*Site).AccessDown is one.
type Fault func(*Site) (undo func())

// fault is one that is in force.
type fault struct {
	name string
	off  func() error
	once sync.Once
	halt func() // what must not go on at Close; may be nil
}

// stop ends what the fault does by itself.
func (f *fault) stop() {
	if f.halt != nil {
		f.halt()
	}
}

// breaks puts a fault into force. off must undo all of on, also what it did before it failed.
func (s *Site) breaks(name string, on, off func() error) (undo func()) {
	f := &fault{name: name, off: off}
	s.enter(f)
	if err := on(); err != nil {
		s.t.Errorf("the lab's fault %s: %v", name, err)
	}
	return func() { s.undo(f) }
}

func (s *Site) enter(f *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = append(s.active, f)
}

func (s *Site) undo(f *fault) {
	f.once.Do(func() {
		f.stop()
		s.mu.Lock()
		s.active = slices.DeleteFunc(s.active, func(x *fault) bool { return x == f })
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return // it goes away with the site
		}
		if err := f.off(); err != nil {
			s.t.Errorf("undoing the lab's fault %s: %v", f.name, err)
		}
	})
}

// Reset undoes everything and waits until the site is healthy again.
func (s *Site) Reset() {
	s.t.Helper()
	s.mu.Lock()
	active := slices.Clone(s.active)
	s.mu.Unlock()
	for _, f := range slices.Backward(active) {
		s.undo(f)
	}
	s.AwaitHealthy(15 * time.Second)
}

// Together is several faults as one, in this order; undo goes the other way round.
func Together(faults ...Fault) Fault {
	return func(s *Site) func() {
		var undos []func()
		for _, f := range faults {
			undos = append(undos, f(s))
		}
		return func() {
			for _, undo := range slices.Backward(undos) {
				undo()
			}
		}
	}
}

// Flap puts a fault into force for down, takes it away for up, and so on, from now
// until it is undone.
func (s *Site) Flap(f Fault, down, up time.Duration) (undo func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for wait(ctx, 0) {
			mend := f(s)
			wait(ctx, down)
			mend()
			wait(ctx, up)
		}
	}()
	halt := func() { cancel(); <-done }
	flap := &fault{name: "flap", off: func() error { return nil }, halt: halt}
	s.enter(flap)
	return func() { s.undo(flap) }
}

// wait waits, and tells whether ctx is still good.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

// filters is a fault made of nftables rules in a namespace: lines of chains, in a
// table of its own, so that any number can be in force.
func (s *Site) filters(name, ns string, lines ...string) (undo func()) {
	s.mu.Lock()
	s.next++
	table := fmt.Sprintf("inet fault%d", s.next)
	s.mu.Unlock()
	return s.breaks(name,
		func() error {
			return s.ns[ns].nft(append(append([]string{"table " + table + " {"}, lines...), "}")...)
		},
		func() error {
			return s.ns[ns].nft("table "+table, "delete table "+table)
		})
}

// chain is a filter with its rules.
func chain(hook string, rules ...string) []string {
	lines := []string{"chain " + hook + " { type filter hook " + hook + " priority 0;"}
	return append(append(lines, rules...), "}")
}

// downs is a fault made of switch ports (or other interfaces) that are down. Another
// fault may hold the same port down, too.
func (s *Site) downs(name, ns string, devs ...string) (undo func()) {
	return s.breaks(name,
		func() error { return s.hold(ns, devs, 1) },
		func() error { return s.hold(ns, devs, -1) })
}

// hold counts how many faults hold interfaces down, and does it while there are some.
func (s *Site) hold(ns string, devs []string, by int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, dev := range devs {
		key := ns + "/" + dev
		before := s.held[key]
		s.held[key] += by
		switch {
		case before == 0:
			lines = append(lines, "link set "+dev+" down")
		case s.held[key] == 0:
			lines = append(lines, "link set "+dev+" up")
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return s.ns[ns].ip(lines...)
}

// counts calls on when the first of several holds a thing, and off when the last
// lets go.
func (s *Site) counts(name, key string, on, off func() error) (undo func()) {
	step := func(by int, f func() error) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		before := s.held[key]
		s.held[key] += by
		if before != 0 && s.held[key] != 0 {
			return nil
		}
		return f()
	}
	return s.breaks(name, func() error { return step(1, on) }, func() error { return step(-1, off) })
}
