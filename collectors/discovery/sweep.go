package discovery

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/snmp"
)

// network is what a sweep asks; lan is the real one. Unasked-for packets go when wait
// lets them.
type network interface {
	neighbours() ([]neighbour, error)
	ping(ctx context.Context, to []netip.Addr, wait func(context.Context) error) (map[netip.Addr]bool, error)
	engines(ctx context.Context, to []netip.Addr, wait func(context.Context) error) (map[netip.Addr]reply, error)
	try(ctx context.Context, a netip.Addr, c snmp.Credential) (looked, error)
	visit(ctx context.Context, cfg snmp.Config) (looked, error)
}

// Target is a device that is polled anyway, as its polls are.
type Target struct {
	Listed bool // in the site file
	Config snmp.Config
}

const (
	chunk      = 32               // addresses that are asked together, at most
	lookTime   = 30 * time.Second // for one device
	leaveEarly = 35 * time.Second // before a deadline nothing new is begun
)

// sweeper is a sweep at work: it goes on from its progress.
type sweeper struct {
	cfg     Config // with defaults
	net     network
	may     func(netip.Addr) bool // within the contract
	targets []Target
	names   map[netip.Addr]string // of the site file's devices
	book    Book                  // as it was when this part of the sweep began
	p       *Progress
	pace    *pacer
	now     func() time.Time
	step    func(Step)
	failed  func(ctx context.Context, device string, times int) error // keeps that credentials were tried in vain

	asked   map[netip.Addr]bool
	links   map[netip.Addr]string
	trouble error // what keeps the sweep from finding all
}

// run sweeps until all is done, or until ctx's deadline is near, or ctx is done.
func (s *sweeper) run(ctx context.Context) (done bool) {
	s.begin()
	for _, t := range s.targets {
		if slices.Contains(s.p.Visited, t.Config.Device) {
			continue
		}
		if s.late(ctx) || !s.visit(ctx, t) {
			return false
		}
	}
	s.meet()
	for {
		for len(s.p.Pending) > 0 {
			if s.late(ctx) || !s.look(ctx, s.p.Pending[0]) {
				return false
			}
			s.p.Pending = s.p.Pending[1:]
		}
		if s.late(ctx) {
			return false
		}
		next := s.next()
		if len(next) == 0 {
			s.tell("done")
			return true
		}
		if !s.ask(ctx, next) {
			return false
		}
	}
}

// begin makes what is not kept out of what is.
func (s *sweeper) begin() {
	s.asked, s.links = map[netip.Addr]bool{}, map[netip.Addr]string{}
	for i := range s.p.Sightings {
		s.asked[s.p.Sightings[i].Address] = true
	}
	for _, h := range s.p.Pending {
		s.asked[h.Address] = true
	}
}

func (s *sweeper) late(ctx context.Context) bool {
	until, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && time.Until(until) < leaveEarly
}

func (s *sweeper) tell(doing string) {
	if s.step == nil {
		return
	}
	st := Step{Doing: doing, Asked: s.p.Asked, Answering: len(s.p.Sightings) + len(s.p.Pending)}
	for _, n := range s.p.Networks {
		if s.counted(n) {
			st.Total += int(hosts(n))
		}
	}
	for i := range s.p.Sightings {
		if s.p.Sightings[i].SNMP {
			st.SNMP++
		}
	}
	s.step(st)
}

// visit looks at a device that is polled. One that does not answer is looked for at
// its address as any other is. It tells whether to go on.
func (s *sweeper) visit(ctx context.Context, t Target) bool {
	s.tell("visiting " + t.Config.Device)
	at, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	got, err := s.net.visit(at, t.Config)
	if ctx.Err() != nil {
		return false
	}
	s.p.Visited = append(s.p.Visited, t.Config.Device)
	if err != nil || !got.address.IsValid() || s.asked[got.address] {
		return true
	}
	x := Sighting{Address: got.address, SNMP: true, Credential: got.credential, Facts: got.facts}
	if t.Listed {
		x.Device = t.Config.Device
	}
	s.p.Sightings = append(s.p.Sightings, x)
	s.asked[got.address] = true
	s.p.Queue = append(s.p.Queue, got.neighbours[:min(len(got.neighbours), maxNeighbours-len(s.p.Queue))]...)
	return true
}

// meet learns who is there without asking them: the box's own neighbours, and those of
// the devices that were visited.
func (s *sweeper) meet() {
	for _, n := range s.p.Queue {
		s.links[n.Address] = n.Link
	}
	own := s.refresh()
	if s.p.Neighbours {
		return
	}
	s.p.Neighbours = true
	slices.SortFunc(own, func(a, b neighbour) int { return a.Address.Compare(b.Address) })
	s.p.Queue = append(own, s.p.Queue...)
	for i := range s.p.Sightings {
		s.p.Sightings[i].Link = s.links[s.p.Sightings[i].Address]
	}
}

// refresh reads the box's own neighbours, which know best who is on the link.
func (s *sweeper) refresh() []neighbour {
	own, err := s.net.neighbours()
	if err != nil && s.trouble == nil {
		s.trouble = err
	}
	for _, n := range own {
		s.links[n.Address] = n.Link
	}
	return own
}

// wants tells whether an address is to be asked: within the networks and the contract,
// and not asked in this sweep.
func (s *sweeper) wants(a netip.Addr) bool {
	return a.IsValid() && !s.asked[a] && slices.ContainsFunc(s.p.Networks, func(n netip.Prefix) bool { return n.Contains(a) }) && s.may(a)
}

// next takes the next addresses to ask: first those that are known to be somebody's.
func (s *sweeper) next() (out []netip.Addr) {
	take := func(a netip.Addr) {
		if s.wants(a) {
			s.asked[a] = true
			out = append(out, a)
		}
	}
	most := min(max(s.cfg.Rate, 4), chunk) // at a low rate fewer, so that they are done in time
	for len(s.p.Queue) > 0 && len(out) < most {
		take(s.p.Queue[0].Address.Unmap().WithZone(""))
		s.p.Queue = s.p.Queue[1:]
	}
	if len(out) > 0 {
		return out
	}
	base := uint64(0)
	for _, n := range s.p.Networks {
		if !s.counted(n) {
			continue
		}
		size := hosts(n)
		for s.p.Next >= base && s.p.Next < base+size && len(out) < most {
			take(nth(n, s.p.Next-base))
			s.p.Next++
		}
		base += size
	}
	return out
}

// counted tells whether a network's addresses are asked one by one.
func (s *sweeper) counted(n netip.Prefix) bool {
	return n.Addr().Is4() || hosts(n) <= uint64(s.cfg.MaxHosts)
}

// ask pings addresses and probes those that are there. It tells whether to go on; if
// not, they are asked again the next time.
func (s *sweeper) ask(ctx context.Context, to []netip.Addr) bool {
	s.tell("asking " + to[0].String())
	back := func() bool {
		var queue []neighbour
		for _, a := range to {
			queue = append(queue, neighbour{a, s.links[a]})
		}
		s.p.Queue = append(queue, s.p.Queue...)
		return false
	}
	pinged, err := s.net.ping(ctx, to, s.pace.wait)
	switch {
	case ctx.Err() != nil:
		return back()
	case errors.Is(err, check.ErrNotPermitted):
		s.trouble = err // who is on the link is found all the same
	case err != nil && s.trouble == nil:
		s.trouble = err
	}
	onLink := map[netip.Addr]bool{}
	for _, n := range s.refresh() {
		onLink[n.Address] = true
	}
	var there []netip.Addr
	for _, a := range to {
		if pinged[a] || onLink[a] {
			there = append(there, a)
		}
	}
	replies, err := s.net.engines(ctx, there, s.pace.wait)
	if err != nil {
		return back()
	}
	s.p.Asked += len(to)
	for _, a := range there {
		r, asked := replies[a]
		if name := s.names[a]; name != "" { // it is asked what the site file says, and nothing else
			s.p.Sightings = append(s.p.Sightings, Sighting{Address: a, Device: name, Link: s.links[a], SNMP: r.engine != "", Facts: Facts{EngineID: r.engine}})
			continue
		}
		h := host{Address: a, Link: s.links[a], Engine: r.engine}
		if asked && (r.engine != "" || s.cfg.Communities == Pinged && pinged[a] && !r.refused) {
			s.p.Pending = append(s.p.Pending, h)
			continue
		}
		s.p.Sightings = append(s.p.Sightings, Sighting{Address: a, Link: h.Link})
	}
	return true
}

// look tries the credentials at a host that may have them. It tells whether to go on.
func (s *sweeper) look(ctx context.Context, h host) bool {
	s.tell("looking at " + h.Address.String())
	out := Sighting{Address: h.Address, Link: h.Link, SNMP: h.Engine != "", Facts: Facts{EngineID: h.Engine}}
	key, failed := h.key(), 0
	left := s.book.left(key, s.cfg.MaxFailures, s.now())
	all := s.order(h)
	for _, c := range all[:min(left, len(all))] {
		if s.pace.wait(ctx) != nil {
			break
		}
		at, cancel := context.WithTimeout(ctx, lookTime)
		got, err := s.net.try(at, h.Address, c)
		cancel()
		if ctx.Err() != nil || errors.Is(err, snmp.ErrRefused) || errors.Is(err, snmp.ErrUnreachable) {
			break // it has heard nothing, or it will be looked at again
		}
		if got.credential == "" {
			failed++
			continue
		}
		// Whatever could not be read of it: it was opened.
		out.SNMP, out.Credential, out.Facts = true, c.Name, got.facts
		if out.EngineID == "" {
			out.EngineID = h.Engine
		}
		break
	}
	if !s.note(ctx, key, failed) || ctx.Err() != nil {
		return false
	}
	s.p.Sightings = append(s.p.Sightings, out)
	return true
}

// note counts credentials that were tried in vain. Where that cannot be kept the sweep
// ends: it would try them for ever.
func (s *sweeper) note(ctx context.Context, key string, failed int) bool {
	if failed == 0 {
		return true
	}
	for range failed {
		s.book.failed(key, s.now())
	}
	if err := s.failed(context.WithoutCancel(ctx), key, failed); err != nil {
		s.trouble = err
		return false
	}
	return true
}

// key is what the failures of a host are counted by: it may move, and change its
// address to be asked again.
func (h *host) key() string {
	if h.Engine != "" {
		return h.Engine
	}
	return h.Address.String()
}

// order lists the credentials to try at a host: the one that opened it before, then
// those of SNMPv3, then communities, each kind from where the last sweep stopped. Only
// who has answered the engine probe may have a user.
func (s *sweeper) order(h host) []snmp.Credential {
	var users, communities []snmp.Credential
	for _, c := range s.cfg.Tried {
		switch {
		case c.Auth.Version != "3":
			communities = append(communities, c)
		case h.Engine != "":
			users = append(users, c)
		}
	}
	all := append(users, communities...)
	if len(all) == 0 {
		return nil
	}
	from := s.book.Tries[h.key()].Next % len(all)
	all = append(all[from:len(all):len(all)], all[:from]...)
	for i := range s.book.Devices {
		d := &s.book.Devices[i]
		if d.Credential == "" || d.Address != h.Address && (h.Engine == "" || d.EngineID != h.Engine) {
			continue
		}
		if n := slices.IndexFunc(all, func(c snmp.Credential) bool { return c.Name == d.Credential }); n > 0 {
			known := all[n]
			all = slices.Insert(slices.Delete(all, n, n+1), 0, known)
			break
		}
	}
	return all
}
