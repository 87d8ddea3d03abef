package main

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// relay is the line between the probe and the broker: it hands connections on,
// until it is cut.
type relay struct {
	to      string
	l       net.Listener
	working sync.WaitGroup

	mu     sync.Mutex
	broken bool
	conns  map[net.Conn]bool
}

// newRelay listens at one address and hands on to another.
func newRelay(at, to string) (*relay, error) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("the line between probe and broker: %w", err)
	}
	r := &relay{to: to, l: l, conns: map[net.Conn]bool{}}
	r.working.Go(r.accept)
	return r, nil
}

func (r *relay) address() string { return r.l.Addr().String() }

// cut breaks every connection, and each new one until the line is mended.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = true
	for c := range r.conns {
		reset(c)
	}
}

func (r *relay) mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = false
}

// close breaks everything and waits until it is over.
func (r *relay) close() {
	_ = r.l.Close() // nothing is lost with a listener
	r.cut()
	r.working.Wait()
}

func (r *relay) accept() {
	for {
		c, err := r.l.Accept()
		if err != nil {
			return // closed
		}
		r.working.Go(func() { r.carry(c) })
	}
}

// carry hands one connection on until an end closes it or the line is cut.
func (r *relay) carry(from net.Conn) {
	defer r.remove(from)
	if !r.add(from) {
		return
	}
	to, err := net.Dial("tcp", r.to)
	if err != nil {
		return // so the probe sees what the relay saw: no broker
	}
	defer r.remove(to)
	if !r.add(to) {
		return
	}
	r.working.Go(func() {
		_, _ = io.Copy(to, from) // an end is an end, whatever the reason
		r.remove(to)
	})
	_, _ = io.Copy(from, to)
}

// add takes a connection in unless the line is cut.
func (r *relay) add(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken {
		reset(c)
		return false
	}
	r.conns[c] = true
	return true
}

func (r *relay) remove(c net.Conn) {
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
	_ = c.Close()
}

// reset ends a connection without a goodbye.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
