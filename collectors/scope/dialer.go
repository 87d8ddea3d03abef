package scope

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Resolver turns a name into addresses; *net.Resolver is one. network is "ip",
// "ip4" or "ip6".
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// RefusedError says that the contract does not cover an address.
type RefusedError struct {
	Address string // what was asked for and, for a name, the address it led to
	Why     string // a short sentence
}

func (e *RefusedError) Error() string { return "contacting " + e.Address + " is refused: " + e.Why }

// OutOfScope returns true. It lets callers tell a refusal by its behaviour,
// without this package.
func (e *RefusedError) OutOfScope() bool { return true }

// Dialer contacts what the contract covers. It may be used concurrently.
type Dialer struct {
	rules    rules
	resolver Resolver
	refused  atomic.Uint64
}

// New returns a dialer for the contract. Without a resolver names are looked up as
// the system is configured to. The error names the entry that is wrong.
func New(cfg Config, resolver Resolver) (*Dialer, error) {
	r, err := cfg.rules()
	if err != nil {
		return nil, fmt.Errorf("read scope: %w", err)
	}
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return &Dialer{rules: r, resolver: resolver}, nil
}

// Refused counts the addresses that were refused to a caller of DialContext,
// Resolve, ResolveAll or Control. Questions to Allowed do not count.
func (d *Dialer) Refused() uint64 { return d.refused.Load() }

// Allowed tells whether the contract covers an address by itself, without a name.
// Port 0 is the host as such, as for an echo request. The error is a
// *RefusedError.
func (d *Dialer) Allowed(addr netip.Addr, port uint16) error {
	if why := d.rules.verdict(addr, port, ""); why != "" {
		return &RefusedError{Address: show(addr.String(), port), Why: why}
	}
	return nil
}

// Managed tells whether an address is one of the site's own, by scope.managed: for
// those who receive, and may only hear what they may contact.
func (d *Dialer) Managed(addr netip.Addr) bool {
	addr = addr.Unmap()
	if !addr.IsValid() || never(addr) != "" || d.rules.isExcluded(addr) {
		return false
	}
	ok, _ := d.rules.isManaged(addr)
	return ok
}

// NamesExternal tells whether scope.external has a name, for that port or for any.
func (d *Dialer) NamesExternal(name string, port uint16) bool {
	name, ok := canonical(name)
	for _, e := range d.rules.external {
		if ok && e.name == name && (e.port == 0 || e.port == port) {
			return true
		}
	}
	return false
}

// ManagesSome tells whether a network has any address in common with scope.managed.
// Which of them may be contacted is for Managed and Allowed to say.
func (d *Dialer) ManagesSome(network netip.Prefix) bool {
	for _, m := range d.rules.managed {
		if m.Overlaps(network) {
			return true
		}
	}
	return false
}

// Resolve returns an address of host that the contract covers, the one that the
// resolver prefers. See [Dialer.ResolveAll].
func (d *Dialer) Resolve(ctx context.Context, host string, port uint16) (netip.AddrPort, error) {
	all, err := d.ResolveAll(ctx, host, port)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return all[0], nil
}

// ResolveAll returns the addresses of host, a name or an address, that the
// contract covers for that port; at least one if there is no error. Port 0 asks
// for the host as such. The caller must contact these very addresses and not ask
// for the name again. The error is a *RefusedError when there are addresses but
// all are refused, or that of the resolver, wrapped.
func (d *Dialer) ResolveAll(ctx context.Context, host string, port uint16) ([]netip.AddrPort, error) {
	return d.resolve(ctx, "ip", host, port)
}

// maxAddresses bounds how many addresses of a name are looked at.
const maxAddresses = 32

func (d *Dialer) resolve(ctx context.Context, family, host string, port uint16) ([]netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if err := d.judge(addr, port, "", show(host, port)); err != nil {
			return nil, err
		}
		addr = addr.Unmap()
		if family == "ip4" && !addr.Is4() || family == "ip6" && !addr.Is6() {
			return nil, fmt.Errorf("%v is not an %s address", addr, family)
		}
		return []netip.AddrPort{netip.AddrPortFrom(addr, port)}, nil
	}
	name, ok := canonical(host)
	if !ok {
		d.refused.Add(1)
		return nil, &RefusedError{Address: show(host, port), Why: "it is neither an address nor a name"}
	}
	addrs, err := d.resolver.LookupNetIP(ctx, family, host)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", name, err)
	}
	var out []netip.AddrPort
	var first error
	for _, addr := range addrs[:min(len(addrs), maxAddresses)] {
		err := d.judge(addr, port, name, show(name, port)+" at "+addr.String())
		switch {
		case err == nil:
			out = append(out, netip.AddrPortFrom(addr.Unmap(), port))
		case first == nil:
			first = err
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if first == nil {
		first = fmt.Errorf("resolve %s: %w", name, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true})
	}
	return nil, first
}

// judge applies the contract and counts what it refuses.
func (d *Dialer) judge(addr netip.Addr, port uint16, name, shown string) error {
	why := d.rules.verdict(addr, port, name)
	if why == "" {
		return nil
	}
	d.refused.Add(1)
	return &RefusedError{Address: shown, Why: why}
}

// DialContext connects to "host:port", as that of net.Dialer does, over tcp or
// udp (with or without a 4 or 6). The port is a number. The error is a
// *RefusedError, that of the resolver wrapped, or one of package net.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	family, ok := families[network]
	if !ok {
		d.refused.Add(1)
		return nil, &RefusedError{Address: printable(address), Why: "it is asked for over " + strconv.Quote(printable(network)) + ", which is neither tcp nor udp"}
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, &net.AddrError{Err: "the port is not a number from 1 to 65535", Addr: printable(address)}
	}
	targets, err := d.resolve(ctx, family, host, uint16(port))
	if err != nil {
		return nil, err
	}
	var first error
	for i, target := range targets {
		conn, err := d.dialOne(ctx, network, target, len(targets)-i)
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

var families = map[string]string{
	"tcp": "ip", "tcp4": "ip4", "tcp6": "ip6",
	"udp": "ip", "udp4": "ip4", "udp6": "ip6",
}

// dialOne connects to one judged address. left is how many there are to try, this
// one included: they share the time there is.
func (d *Dialer) dialOne(ctx context.Context, network string, target netip.AddrPort, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	nd := net.Dialer{Control: func(network, address string, c syscall.RawConn) error {
		// The address is a literal, so there is nothing to resolve; should it ever
		// be another one, the connection does not come about.
		if got, err := netip.ParseAddrPort(address); err != nil || got != target {
			d.refused.Add(1)
			return &RefusedError{Address: printable(address), Why: "it is not the address that was asked for"}
		}
		return noBroadcast(network, c)
	}}
	return nd.DialContext(ctx, network, target.String())
}

// Control checks the remote address of a socket that is about to be connected; it
// is meant for the Control of a net.Dialer or of a library that has one. It judges
// the address by itself, as Allowed does.
func (d *Dialer) Control(network, address string, c syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil { // sockets of "ip:icmp" have no port
		addr, err := netip.ParseAddr(address)
		if err != nil {
			d.refused.Add(1)
			return &RefusedError{Address: printable(address), Why: "it is no address"}
		}
		ap = netip.AddrPortFrom(addr, 0)
	}
	if err := d.judge(ap.Addr(), ap.Port(), "", printable(address)); err != nil {
		return err
	}
	return noBroadcast(network, c)
}

// noBroadcast takes from a UDP socket the right to broadcast that package net has
// given it: only the kernel knows all broadcast addresses of the box's networks.
func noBroadcast(network string, c syscall.RawConn) error {
	if c == nil || len(network) < 3 || network[:3] != "udp" {
		return nil
	}
	var inner error
	err := c.Control(func(fd uintptr) {
		inner = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST, 0)
	})
	if err := errors.Join(err, inner); err != nil {
		return fmt.Errorf("forbid a socket to broadcast: %w", err)
	}
	return nil
}

// HTTPTransport returns a transport whose every connection, those for redirects
// included, is made by DialContext. It uses no proxy, and it keeps no connection
// after a request, since collectors keep no goroutine.
func (d *Dialer) HTTPTransport() *http.Transport {
	return &http.Transport{
		DialContext:            d.DialContext,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// show writes a host and port for an error.
func show(host string, port uint16) string {
	host = printable(host)
	if port == 0 {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// printable makes what a stranger may have sent, as in a redirect, fit for a log.
func printable(s string) string {
	s = collectors.Clip(s, collectors.MaxName)
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
