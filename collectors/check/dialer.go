package check

import (
	"context"
	"net"
	"net/http/httptrace"
	"net/netip"
	"sync"
	"time"
)

// Dialer is the only way out of this package. It connects to what the site's
// contract covers and refuses everything else.
//
// A refusal is an error that has, somewhere in its chain, a method
// OutOfScope() bool that returns true (see [Refusal]). A failure to resolve a
// name is a *net.DNSError, other failures are those of package net; wrapped or
// not.
type Dialer interface {
	// DialContext connects to "host:port", as net.Dialer does. The host may be a
	// name. It reports the lookup of a name to the httptrace hooks in ctx, as
	// net.Dialer does; where it does not, that time counts as connecting.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)

	// Resolve returns an address of host that is in scope. Port 0 asks for the
	// host as such, for an echo request.
	Resolve(ctx context.Context, host string, port uint16) (netip.AddrPort, error)
}

// Refusal is what an error of a [Dialer] implements to say that the contract does
// not cover the address.
type Refusal interface {
	error
	OutOfScope() bool
}

// dialed is a connection and the time its two phases took. After an error,
// resolve holds what the lookup took, if it ended.
type dialed struct {
	conn             net.Conn
	resolve, connect time.Duration
	resolved         bool // the lookup ended well, or none was needed
}

// dial connects and tells resolving and connecting apart.
func dial(ctx context.Context, d Dialer, network, address string) (dialed, error) {
	var lookup stopwatch
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { lookup.start() },
		DNSDone:  func(i httptrace.DNSDoneInfo) { lookup.stop(i.Err) },
	})
	start := time.Now()
	conn, err := d.DialContext(traced, network, address)
	all := time.Since(start)
	resolve, resolved := lookup.read()
	out := dialed{conn: conn, resolve: resolve, connect: max(0, all-resolve), resolved: resolved}
	return out, err
}

// stopwatch times lookups. It is locked because a dialer that was given up on may
// still call its hooks.
type stopwatch struct {
	mu      sync.Mutex
	since   time.Time
	total   time.Duration
	running bool
	failed  bool
}

func (s *stopwatch) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since, s.running = time.Now(), true
}

func (s *stopwatch) stop(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		s.total += time.Since(s.since)
	}
	s.running, s.failed = false, err != nil
}

// read returns the time taken so far and whether no lookup is open or failed.
func (s *stopwatch) read() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total, !s.running && !s.failed
}
