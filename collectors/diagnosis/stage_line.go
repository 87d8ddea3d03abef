package diagnosis

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// The stages of the line: the way to the internet, and the anchors there.

// path asks who is at each of the first four hops. The anchor itself is none.
func (l *look) path(ctx context.Context) []Fact {
	if l.contract.Internet == InternetNone {
		return l.skip(byDesign, Hop)
	}
	to, ok := l.pathTarget(ctx)
	if !ok || !l.hasRoute {
		return l.skip("no address to look for", Hop)
	}
	facts := make([]Fact, maxHops)
	from := make([]netip.Addr, maxHops)
	var wg sync.WaitGroup
	for i := range facts {
		wg.Go(func() { facts[i], from[i] = l.hop(ctx, to, i+1) })
	}
	wg.Wait()
	out := facts
	if usual := l.base.Hops[2]; usual != "" && from[1].IsValid() {
		out = append(out, NewFact(PathSame, "", 4, resultOf(from[1].String() == usual), ""))
	}
	return out
}

// pathTarget is the first anchor, or the uplink's first server where only that goes out.
func (l *look) pathTarget(ctx context.Context) (netip.Addr, bool) {
	if l.contract.Internet == InternetLimited {
		for _, s := range l.servers {
			as, err := l.gate.resolve(ctx, s.host, s.port)
			if err == nil && as[0].Is4() {
				l.gate.allow(as[0].String(), 0)
				return as[0], true
			}
		}
		return netip.Addr{}, false
	}
	for _, a := range l.cfg.Anchors {
		if x, err := netip.ParseAddr(a.Address4); err == nil {
			return x, true
		}
	}
	return netip.Addr{}, false
}

func (l *look) hop(ctx context.Context, to netip.Addr, ttl int) (Fact, netip.Addr) {
	f := NewFact(Hop, fmt.Sprint("ttl ", ttl), 4, Fails, "nobody answers").With("ttl", float64(ttl))
	var a echoAnswer
	var err error
	start := time.Now()
	tries(ctx, 3, time.Second, func(ctx context.Context) bool {
		a, err = l.echo(ctx, echoRequest{to: to, ttl: ttl})
		return err == nil && (a.kind == echoExceeded || a.kind == echoReplied) || denied(err)
	})
	f.TookMS = time.Since(start).Milliseconds()
	switch {
	case denied(err):
		f.Result, f.Detail = Unknown, "this box may not send echo requests"
	case err != nil:
	case a.kind == echoReplied:
		f.Result, f.Detail = Unknown, "the target itself"
	case a.kind == echoExceeded:
		f.Result, f.Detail = Works, clean(a.from.String())
		return f, a.from
	}
	return f, netip.Addr{}
}

func (l *look) anchors(ctx context.Context) []Fact {
	switch l.contract.Internet {
	case InternetNone:
		return l.skip(byDesign, AnchorICMP, AnchorTCP, AnchorDNS)
	case InternetLimited:
		return l.skip(onlyItself, AnchorICMP, AnchorTCP, AnchorDNS)
	}
	var mu sync.Mutex
	var out []Fact
	var wg sync.WaitGroup
	add := func(f func() Fact) {
		wg.Go(func() {
			x := f()
			mu.Lock()
			defer mu.Unlock()
			out = append(out, x)
		})
	}
	for _, a := range l.cfg.Anchors {
		for family, text := range map[int]string{4: a.Address4, 6: a.Address6} {
			address, err := netip.ParseAddr(text)
			if err != nil {
				continue
			}
			if family == 6 && (!l.global6 || !l.hasRoute6) {
				r := Skipped
				if l.base.IPv6 {
					r = Fails
				}
				add(func() Fact { return NewFact(AnchorICMP, a.Provider, 6, r, "the box has no way out by IPv6") })
				continue
			}
			add(func() Fact { return l.pinged(ctx, NewFact(AnchorICMP, a.Provider, family, Unknown, ""), address) })
			if a.TCP != 0 {
				add(func() Fact {
					return l.connected(ctx, NewFact(AnchorTCP, a.Provider, family, Unknown, ""), address, uint16(a.TCP))
				})
			}
			if a.DNS {
				add(func() Fact { return l.anchorDNS(ctx, a, family, address) })
			}
		}
	}
	wg.Wait()
	return out
}

// connected tries twice to connect to an address. Being refused is an answer, though
// of whom is not known.
func (l *look) connected(ctx context.Context, f Fact, a netip.Addr, port uint16) Fact {
	start := time.Now()
	var err error
	failed := tries(ctx, 2, 2500*time.Millisecond, func(ctx context.Context) bool {
		c, e := l.gate.dial(ctx, "tcp", a.String(), port)
		if err = e; err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	f.TookMS = time.Since(start).Milliseconds()
	f.Result, f.Detail = Works, ""
	if err != nil || failed == 2 {
		f.Result, f.Detail = Fails, phrase(err)
		f = f.With("times", float64(failed))
	}
	return f
}

func (l *look) anchorDNS(ctx context.Context, a Anchor, family int, address netip.Addr) Fact {
	f := NewFact(AnchorDNS, a.Provider, family, Fails, "no answer")
	start := time.Now()
	_, ok := l.query(ctx, address, "udp", l.anyName(), false)
	f.TookMS = time.Since(start).Milliseconds()
	if ok {
		f.Result, f.Detail = Works, ""
	}
	return f
}
