package diagnosis

import (
	"context"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Prober looks at all stages. It may be used concurrently.
type Prober struct {
	cfg      Config
	contract Contract
	in       Inputs
	resolv   []string // files that name the site's resolvers
	dnsPort  uint16
}

// New makes a prober of a valid config. What is not in it and not the site's own
// gateway, resolvers or uplink is never contacted.
func New(cfg Config, contract Contract, in Inputs) *Prober {
	contract.Providers = cfg.providers()
	if in.Now == nil {
		in.Now = time.Now
	}
	return &Prober{cfg: cfg, contract: contract, in: in, resolv: []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}, dnsPort: 53}
}

// Contract is the contract by which the facts are to be judged.
func (p *Prober) Contract() Contract { return p.contract }

// The most that a whole diagnosis and one stage may take.
const (
	wholeTime = 20 * time.Second
	stageTime = 12 * time.Second
)

// Report is what a stage found, when it has finished.
type Report struct {
	Stage Stage
	Facts []Fact
	Took  time.Duration
}

// Run looks at all stages at the same time, whatever one of them finds, and returns all
// facts, in at most 20 s. each, if not nil, is called with each stage as it finishes,
// by one goroutine at a time.
func (p *Prober) Run(ctx context.Context, base Baseline, each func(Report)) []Fact {
	ctx, cancel := context.WithTimeout(ctx, wholeTime)
	defer cancel()
	l := p.look(ctx, base)
	var mu sync.Mutex
	var out []Fact
	var wg sync.WaitGroup
	for _, s := range []struct {
		stage Stage
		run   func(context.Context) []Fact
	}{
		{StageSelf, l.self}, {StageLink, l.link}, {StageAddress, l.address}, {StageGateway, l.gateway}, {StagePath, l.path},
		{StageAnchors, l.anchors}, {StageNames, l.names}, {StagePortal, l.portal}, {StageMTU, l.mtu}, {StageClock, l.clock},
		{StageBroker, l.broker}, {StageSession, l.session}, {StagePower, l.power},
	} {
		wg.Go(func() {
			c, cancel := context.WithTimeout(ctx, stageTime)
			defer cancel()
			start := time.Now()
			fs := s.run(c)
			r := Report{s.stage, bounded(fs), time.Since(start)}
			mu.Lock()
			defer mu.Unlock()
			out = append(out, r.Facts...)
			if each != nil {
				each(r)
			}
		})
	}
	wg.Wait()
	return bounded(out)
}

// bounded drops facts over the bound and those that are none: whoever reads them later
// would refuse them all.
func bounded(fs []Fact) []Fact {
	out := make([]Fact, 0, min(len(fs), MaxFacts))
	for _, f := range fs {
		if f = f.Clean(); f.Validate() == nil && len(out) < MaxFacts {
			out = append(out, f)
		}
	}
	return out
}

// look is one diagnosis: what the stages share.
type look struct {
	*Prober
	base Baseline
	gate *gate

	route     route // IPv4's default route
	hasRoute  bool
	hasRoute6 bool
	port      port // that the route goes by, or the likeliest
	hasPort   bool
	own       netip.Addr // this box's address at that port
	global6   bool       // it has a global IPv6 address
	resolvers []netip.Addr
	servers   []server

	offers chan []offer       // one value: what DHCP servers offered
	clockC chan time.Duration // one value: by how much the clock is behind, 0 where nobody says so
}

// server is one of the uplink's.
type server struct {
	host string
	port uint16
	tls  bool
}

// look finds out where this box stands, which is quick: the kernel knows.
func (p *Prober) look(ctx context.Context, base Baseline) *look {
	l := &look{Prober: p, base: base, gate: newGate(), offers: make(chan []offer, 1), clockC: make(chan time.Duration, 1)}
	l.route, l.hasRoute, _ = defaultRoute(false)
	_, l.hasRoute6, _ = defaultRoute(true)
	l.findPort()
	if l.hasPort {
		for _, a := range addressesOf(l.port.index) {
			switch {
			case a.Addr().Is4() && (!l.own.IsValid() || l.own.IsLinkLocalUnicast()):
				l.own = a.Addr()
			case a.Addr().Is6() && a.Addr().IsGlobalUnicast():
				l.global6 = true
			}
		}
	}
	l.resolvers = localResolvers(p.resolv)
	l.allowTargets()
	return l
}

// findPort chooses the port of the default route, else the likeliest one that is set up.
func (l *look) findPort() {
	ps, err := ports()
	if err != nil {
		return
	}
	for _, p := range ps {
		if l.hasRoute && p.index == l.route.index {
			l.port, l.hasPort = p, true
			return
		}
	}
	for _, p := range ps {
		if p.usual && (!l.hasPort || p.carrier && !l.port.carrier) && !virtual(p.name) {
			l.port, l.hasPort = p, true
		}
	}
}

// virtual tells names that kernels and container engines give to what is no port.
func virtual(name string) bool {
	for _, prefix := range []string{"docker", "br-", "veth", "virbr", "ifb", "dummy", "tap", "tun", "wg"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// allowTargets is the whole list of what this package contacts.
func (l *look) allowTargets() {
	if l.hasRoute {
		l.gate.allow(l.route.gateway.String(), 0)
	}
	for _, r := range l.resolvers {
		l.gate.allow(r.String(), 53)
	}
	for _, s := range l.in.Servers {
		if x, ok := serverOf(s); ok && len(l.servers) < 4 {
			l.servers = append(l.servers, x)
			l.gate.allow(x.host, x.port)
		}
	}
	if l.contract.Internet == InternetNone {
		return
	}
	for _, s := range l.cfg.NTP {
		if host, port, ok := hostPort(s, 123); ok {
			l.gate.allow(host, port)
		}
	}
	if l.contract.Internet == InternetLimited {
		return
	}
	for _, a := range l.cfg.Anchors {
		for _, address := range []string{a.Address4, a.Address6} {
			if address == "" {
				continue
			}
			l.gate.allow(address, uint16(a.TCP))
			if a.DNS {
				l.gate.allow(address, 53)
			}
		}
	}
	for _, r := range l.cfg.Resolvers {
		l.gate.allow(r, 53)
	}
	for _, g := range l.cfg.Portal {
		if u, err := url.Parse(g.URL); err == nil {
			if host, port, ok := hostPort(u.Host, 80); ok {
				l.gate.allow(host, port)
			}
		}
	}
}

// serverOf reads one of the uplink's URLs.
func serverOf(s string) (server, bool) {
	u, err := url.Parse(s)
	if err != nil {
		return server{}, false
	}
	defaults := map[string]uint16{"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
	host, port, ok := hostPort(u.Host, defaults[u.Scheme])
	return server{host, port, u.Scheme == "mqtts" || u.Scheme == "wss"}, ok && port != 0
}

// skip says of a stage that it is not for this site to be asked.
func (l *look) skip(why string, names ...string) (out []Fact) {
	for _, n := range names {
		out = append(out, NewFact(n, "", 0, Skipped, why))
	}
	return out
}

// notHere are the phrases for what a contract leaves out.
const (
	byDesign   = "this site has no internet, by design"
	onlyItself = "only the uplink goes out at this site"
)

// pinged sends an address up to three echo requests of a second each and makes a fact
// of what comes of it.
func (l *look) pinged(ctx context.Context, f Fact, to netip.Addr) Fact {
	start := time.Now()
	var last echoAnswer
	var err error
	tries(ctx, 3, time.Second, func(ctx context.Context) bool {
		last, err = l.echo(ctx, echoRequest{to: to})
		return err == nil && last.kind == echoReplied || denied(err)
	})
	f.TookMS = time.Since(start).Milliseconds()
	switch {
	case denied(err):
		f.Result, f.Detail = Unknown, "this box may not send echo requests"
	case err != nil:
		f.Result, f.Detail = Fails, "no reply to three echo requests"
	case last.kind == echoReplied:
		f.Result, f.Detail = Works, ""
	default:
		f.Result, f.Detail = Fails, "unreachable"
	}
	return f
}

// echo is the function of that name, through the gate.
func (l *look) echo(ctx context.Context, r echoRequest) (echoAnswer, error) {
	if !l.gate.mayPing(r.to) {
		return echoAnswer{}, errNotAllowed
	}
	return echo(ctx, r)
}
