package diagnosis

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Light is a look at little, in about a second where all is well: the link, the
// gateway, one anchor of the turn (and another one where it is silent), the site's
// first resolver and what the sender says.
func (p *Prober) Light(ctx context.Context, base Baseline, turn int) []Fact {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	l := p.look(ctx, base)
	var mu sync.Mutex
	var out []Fact
	var wg sync.WaitGroup
	add := func(f func() []Fact) {
		wg.Go(func() {
			fs := f()
			mu.Lock()
			defer mu.Unlock()
			out = append(out, fs...)
		})
	}
	if l.hasPort {
		out = append(out, NewFact(LinkCarrier, l.port.name, 0, resultOf(l.port.up && l.port.carrier), ""))
	}
	if l.hasRoute {
		g := l.route.gateway
		add(func() []Fact { return []Fact{l.pinged(ctx, NewFact(GatewayICMP, g.String(), 4, Unknown, ""), g)} })
	} else if base.IPv4 {
		out = append(out, NewFact(Route, "", 4, Fails, "no default route of IPv4"))
	}
	if l.contract.Internet == InternetFull {
		add(func() []Fact { return l.oneAnchor(ctx, turn, 4) })
		if base.IPv6 {
			add(func() []Fact { return l.oneAnchor(ctx, turn, 6) })
		}
	}
	if len(l.resolvers) > 0 {
		add(func() []Fact { return l.lightNames(ctx, l.resolvers[0]) })
	}
	if l.in.Uplink != nil {
		add(func() []Fact { return l.session(ctx) })
	}
	if l.in.Power != nil {
		out = append(out, l.power(ctx)...)
	}
	wg.Wait()
	return bounded(out)
}

// oneAnchor pings the anchor whose turn it is, and the next one where that is silent:
// one anchor alone is never a reason.
func (l *look) oneAnchor(ctx context.Context, turn, family int) (out []Fact) {
	var as []Anchor
	for _, a := range l.cfg.Anchors {
		silent := slices.Contains(l.base.Policy, NewFact(AnchorICMP, a.Provider, family, Fails, "").key())
		if text := a.address(family); text != "" && !silent {
			as = append(as, a)
		}
	}
	for i := range min(2, len(as)) {
		a := as[(turn+i)%len(as)]
		to, err := netip.ParseAddr(a.address(family))
		if err != nil {
			return out
		}
		c, cancel := context.WithTimeout(ctx, 2*time.Second)
		f := l.pinged(c, NewFact(AnchorICMP, a.Provider, family, Unknown, ""), to)
		cancel()
		if out = append(out, f); f.Result != Fails {
			return out
		}
	}
	return out
}

func (a Anchor) address(family int) string {
	if family == 6 {
		return a.Address6
	}
	return a.Address4
}

// lightNames asks the site's resolver for a name that does not exist: that it is told
// so shows that it works and is honest.
func (l *look) lightNames(ctx context.Context, r netip.Addr) []Fact {
	f := l.resolver(ctx, ResolverLocal, r, "udp")
	return []Fact{f}
}

// well tells whether a light look gives no reason to look at everything. What is the
// site's policy does not count.
func well(fs []Fact, base Baseline, c Contract) bool {
	v := newView(fs, base, c)
	for family := range map[int]bool{4: true, 6: base.IPv6} {
		ok, failed := v.providers(family)
		if len(ok) == 0 && len(failed) >= 2 {
			return false
		}
	}
	if base.GatewayICMP && v.fails(GatewayICMP) && len(v.reach()) == 0 {
		return false
	}
	for _, name := range []string{LinkCarrier, Route, Connected, HubAck, ResolverLocal, SessionAuth, SessionBusy, SessionTaken, PowerUPS, PowerBoot} {
		if v.fails(name) {
			return false
		}
	}
	return true
}
