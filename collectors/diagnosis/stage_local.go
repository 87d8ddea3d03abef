package diagnosis

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/siteprobe/siteprobe/collectors"
)

// The stages within the site: the box, its link, its address, its gateway.

func denied(err error) bool { return errors.Is(err, errDenied) || errors.Is(err, errNotAllowed) }

func (l *look) self(ctx context.Context) []Fact {
	var b collectors.Batch
	if l.in.Host != nil {
		b, _ = l.in.Host(ctx) // what could not be read is no fact
	}
	return selfFacts(l.in, &b)
}

func (l *look) link(ctx context.Context) []Fact {
	if !l.hasPort {
		return []Fact{NewFact(LinkCarrier, "", 0, Fails, "there is no network port")}
	}
	p := l.port
	f := NewFact(LinkCarrier, p.name, 0, Works, "")
	switch {
	case !p.up:
		f = NewFact(LinkCarrier, p.name, 0, Fails, "the port is switched off")
	case !p.carrier:
		f = NewFact(LinkCarrier, p.name, 0, Fails, "no carrier")
	}
	out := []Fact{f.With("mtu", float64(p.mtu))}
	if p.carrier && halfDuplex(p.name) {
		out = append(out, NewFact(LinkDuplex, p.name, 0, Fails, "half duplex"))
	}
	wait(ctx, 2*time.Second)
	now, err := ports()
	if err != nil {
		return out
	}
	for _, x := range now {
		if x.index == p.index && x.errors >= p.errors {
			f := NewFact(LinkErrors, p.name, 0, Works, "")
			if x.errors > p.errors+10 {
				f = NewFact(LinkErrors, p.name, 0, Fails, "frames with errors come in")
			}
			out = append(out, f.With("errors", float64(x.errors-p.errors)))
		}
	}
	return out
}

func (l *look) address(ctx context.Context) []Fact {
	out := []Fact{NewFact(Address, "", 4, Works, clean(l.own.String()))}
	if !l.own.IsValid() {
		out[0] = NewFact(Address, "", 4, Fails, "no IPv4 address")
	} else if l.own.IsLinkLocalUnicast() {
		out[0] = NewFact(Address, "", 4, Fails, "a link-local address only: no DHCP server gave one")
	}
	if l.global6 {
		out = append(out, NewFact(Address, "", 6, Works, ""))
		if out[0].Result == Fails && !l.base.IPv4 {
			out[0].Result = Unknown // a site of IPv6 alone needs none
		}
	}
	r := NewFact(Route, "", 4, Works, "")
	if !l.hasRoute {
		r = NewFact(Route, "", 4, resultOf(l.hasRoute6), "no default route of IPv4")
	}
	out = append(out, r)
	if !l.hasPort || !l.port.carrier {
		l.offers <- nil
		return append(out, l.skip("the link is down", AddressUnique, DHCPServers)...)
	}
	var unique Fact
	var wg sync.WaitGroup
	wg.Go(func() { unique = l.unique(ctx) })
	out = append(out, l.dhcp(ctx)...)
	wg.Wait()
	return append(out, unique)
}

// unique probes for the box's own address (RFC 5227, 2.1.1).
func (l *look) unique(ctx context.Context) Fact {
	if !l.own.Is4() || !l.port.usual {
		return NewFact(AddressUnique, "", 4, Skipped, "")
	}
	n, who, err := askARP(ctx, l.port, netip.IPv4Unspecified(), l.own, 3, 500*time.Millisecond)
	switch {
	case err != nil:
		return NewFact(AddressUnique, "", 4, Unknown, "this box may not send ARP probes")
	case n > 0:
		return NewFact(AddressUnique, "", 4, Fails, "the address is also that of "+who.String()).With("times", float64(n))
	}
	return NewFact(AddressUnique, "", 4, Works, "")
}

// dhcp counts servers. A site without any may have addresses by hand.
func (l *look) dhcp(ctx context.Context) []Fact {
	if !l.port.usual {
		l.offers <- nil
		return l.skip("", DHCPServers)
	}
	offers, err := askDHCP(ctx, l.port, 3*time.Second)
	l.offers <- offers
	if err != nil {
		return []Fact{NewFact(DHCPServers, "", 4, Unknown, "this box may not look for DHCP servers")}
	}
	n := len(offers)
	count := NewFact(DHCPServers, "", 4, Works, "")
	if n > max(1, l.base.DHCPServers) {
		count = NewFact(DHCPServers, "", 4, Fails, "more DHCP servers than usual")
	}
	answers := NewFact(DHCPAnswers, "", 4, Works, "")
	if n == 0 {
		answers = NewFact(DHCPAnswers, "", 4, Fails, "no DHCP server offers an address")
		if l.own.Is4() && !l.own.IsLinkLocalUnicast() {
			answers.Result = Unknown // it has one
		}
	}
	out := []Fact{count.With("servers", float64(n)), answers}
	for _, o := range offers {
		if l.hasRoute && o.router.IsValid() && o.router != l.route.gateway && n > 1 {
			out = append(out, NewFact(GatewaySame, o.server.String(), 4, Fails, "a DHCP server offers another gateway"))
		}
	}
	return out
}

func (l *look) gateway(ctx context.Context) []Fact {
	var out []Fact
	var wg sync.WaitGroup
	wan := NewFact(GatewayWAN, "", 0, Unknown, "not known")
	if l.in.WANPort != nil {
		wg.Go(func() {
			r, detail := l.in.WANPort(ctx)
			wan = NewFact(GatewayWAN, "", 0, r, detail)
		})
	}
	if l.in.Peers != nil {
		if n, of := l.in.Peers(ctx); of >= 2 {
			out = append(out, NewFact(LANPeers, "", 0, resultOf(n > 0), "").With("answering", float64(n)).With("of", float64(of)))
		}
	}
	if !l.hasRoute {
		wg.Wait()
		return append(append(out, l.skip("no default route", GatewayARP, GatewayICMP)...), wan)
	}
	g := l.route.gateway
	icmp := l.pinged(ctx, NewFact(GatewayICMP, g.String(), 4, Unknown, ""), g)
	arp, mac := l.gatewayARP(ctx, g, icmp.Result)
	out = append(out, icmp, arp)
	if l.base.GatewayMAC != "" && mac != nil {
		f := NewFact(GatewaySame, g.String(), 4, resultOf(mac.String() == l.base.GatewayMAC), "")
		out = append(out, f)
	}
	wg.Wait()
	return append(out, wan)
}

// gatewayARP asks the gateway itself where that is allowed, else it looks at what the
// kernel knows after it was sent echo requests. The kernel takes up to nine seconds to
// give an address up.
func (l *look) gatewayARP(ctx context.Context, g netip.Addr, icmp Result) (Fact, net.HardwareAddr) {
	start := time.Now()
	f := NewFact(GatewayARP, g.String(), 4, Works, "")
	defer func() { f.TookMS = time.Since(start).Milliseconds() }()
	if g.Is4() && l.own.Is4() && l.port.usual {
		n, who, err := askARP(ctx, l.port, l.own, g, 3, 700*time.Millisecond)
		switch {
		case err == nil && n > 0:
			f.Detail = who.String()
			return f, who
		case err == nil:
			f.Result, f.Detail = Fails, "no answer to three ARP requests"
			return f, nil
		}
	}
	for {
		n, ok, err := neighbourOf(g)
		switch {
		case err != nil:
			f.Result, f.Detail = Unknown, "the neighbour table cannot be read"
			return f, nil
		case icmp == Works && ok && len(n.mac) > 0:
			f.Detail = n.mac.String()
			return f, n.mac
		case icmp == Works:
			return f, nil
		case !ok || n.state&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) != 0:
			f.Result, f.Detail = Fails, "the neighbour table has no answer of it"
			return f, nil
		case n.state&unix.NUD_REACHABLE != 0 && n.confirmed >= 0 && n.confirmed < 3*time.Second:
			f.Detail = n.mac.String()
			return f, n.mac
		case n.state&(unix.NUD_DELAY|unix.NUD_PROBE) == 0 || ctx.Err() != nil:
			f.Result, f.Detail = Unknown, "not confirmed recently"
			return f, n.mac
		}
		wait(ctx, 300*time.Millisecond)
	}
}
