package diagnosis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// gate is the one way out of this package: it contacts what the diagnosis is
// configured to ask, the site's own gateway and resolvers and the uplink's servers,
// and nothing else, whatever a server or a name says. This is not the contract of
// package scope, which is about the customer's devices.
//
// A name leads where it leads, also into the site (a login page is where it is seen);
// only loopback, link-local and multicast addresses are refused, unless they are
// written out as such.
type gate struct {
	resolver *net.Resolver

	mu    sync.Mutex
	ports map[string]bool     // host:port
	addrs map[netip.Addr]bool // that may be sent echo requests
}

var errNotAllowed = errors.New("not among the targets of the diagnosis")

func newGate() *gate {
	return &gate{resolver: &net.Resolver{PreferGo: true}, ports: map[string]bool{}, addrs: map[netip.Addr]bool{}}
}

// allow adds a host at a port; an address may also be sent echo requests.
func (g *gate) allow(host string, port uint16) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if port != 0 {
		g.ports[join(host, port)] = true
	}
	if a, err := netip.ParseAddr(host); err == nil {
		g.addrs[a] = true
	}
}

func join(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// mayPing tells whether an address may be sent echo requests.
func (g *gate) mayPing(a netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.addrs[a]
}

// resolve gives the addresses of an allowed host, those of IPv4 first, at most four.
func (g *gate) resolve(ctx context.Context, host string, port uint16) ([]netip.Addr, error) {
	g.mu.Lock()
	ok := g.ports[join(host, port)]
	g.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("%s: %w", host, errNotAllowed)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	found, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var v4, v6 []netip.Addr
	for _, a := range found {
		a = a.Unmap()
		switch {
		case a.IsLoopback(), a.IsLinkLocalUnicast(), a.IsMulticast(), a.IsUnspecified(), a.Zone() != "":
		case a.Is4() && len(v4) < 3:
			v4 = append(v4, a)
		case a.Is6() && len(v6) < 1:
			v6 = append(v6, a)
		}
	}
	if len(v4)+len(v6) == 0 {
		return nil, fmt.Errorf("%s leads to no usable address: %w", host, errNotAllowed)
	}
	return append(v4, v6...), nil
}

// dial connects to the first address of an allowed host that lets it.
func (g *gate) dial(ctx context.Context, network, host string, port uint16) (net.Conn, error) {
	as, err := g.resolve(ctx, host, port)
	if err != nil {
		return nil, err
	}
	for _, a := range as {
		var c net.Conn
		if c, err = g.connect(ctx, network, a, port); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// connect connects to an address that resolve gave. The connection ends with ctx.
func (g *gate) connect(ctx context.Context, network string, a netip.Addr, port uint16) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, netip.AddrPortFrom(a, port).String())
	if err != nil {
		return nil, err
	}
	if t, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(t); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	return c, nil
}

// tries runs f until it gives true, each time with so much time.
func tries(ctx context.Context, n int, each time.Duration, f func(context.Context) bool) (failed int) {
	for i := range n {
		if ctx.Err() != nil {
			return i
		}
		c, cancel := context.WithTimeout(ctx, each)
		ok := f(c)
		cancel()
		if ok {
			return i
		}
	}
	return n
}
