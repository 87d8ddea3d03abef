package topology

import (
	"bytes"
	"net/netip"
	"slices"
)

// maxHostIPs is how many addresses a host is shown with; a router that answers for
// others (proxy ARP) has thousands.
const maxHostIPs = 8

// plug finds out where each MAC is plugged in that is no bridge's, and links known
// devices and neighbours that are found that way.
func (b *builder) plug() {
	ips := map[MAC][]netip.Addr{}
	for ip, bindings := range b.g.bindings {
		for _, e := range bindings {
			if !slices.Contains(ips[e.mac], ip) {
				ips[e.mac] = append(ips[e.mac], ip)
			}
		}
	}
	macs := make([]MAC, 0, len(b.seen))
	for m := range b.seen {
		macs = append(macs, m)
	}
	slices.SortFunc(macs, func(x, y MAC) int { return bytes.Compare(x[:], y[:]) })
	around := b.around()
	linked, spoken := map[[2]string]bool{}, map[string]bool{}
	for _, l := range b.g.Links {
		linked[[2]string{l.A.Node, l.B.Node}], linked[[2]string{l.B.Node, l.A.Node}] = true, true
		spoken[l.A.Node], spoken[l.B.Node] = true, true
	}
	for _, m := range macs {
		owner, owned := b.ids.macs[m]
		owned = owned && owner != nobody
		if owned && b.facts[owner] != nil && len(b.facts[owner].FDB) > 0 || len(b.g.Hosts) >= maxHosts {
			continue
		}
		h, at := b.host(m, around)
		h.IPs = ips[m]
		slices.SortFunc(h.IPs, netip.Addr.Compare)
		h.IPs = h.IPs[:min(len(h.IPs), maxHostIPs)]
		if owned {
			h.Name = b.g.Nodes[owner].Name
			id := b.g.Nodes[owner].ID
			h.Behind = slices.DeleteFunc(h.Behind, func(n string) bool { return n == id })
			// Of a neighbour LLDP has told already where it is.
			told := b.g.Nodes[owner].Kind == KindNeighbour && spoken[id]
			if id != h.Node && !told && !linked[[2]string{id, h.Node}] {
				linked[[2]string{id, h.Node}], linked[[2]string{h.Node, id}] = true, true
				b.plugLink(owner, m, h, at)
			}
		}
		b.g.Hosts = append(b.g.Hosts, h)
	}
}

// around lists who is heard at each end.
func (b *builder) around() map[int][]string {
	out := map[int][]string{}
	add := func(e, other int) {
		if id := b.g.Nodes[b.ends[other].node].ID; !slices.Contains(out[e], id) {
			out[e] = append(out[e], id)
		}
	}
	for _, r := range b.said {
		add(r.a, r.b)
		add(r.b, r.a)
	}
	return out
}

// host picks the place of a MAC among those where it is seen.
func (b *builder) host(m MAC, around map[int][]string) (h Host, at int) {
	h = Host{MAC: m}
	best, nonlink, tie := -1, 0, false
	for i, s := range b.seen[m] {
		if slices.ContainsFunc(b.seen[m][:i], func(o sight) bool { return o.end == s.end }) {
			continue // in another VLAN
		}
		link := b.linkEnd[s.end]
		if !link {
			nonlink++
		}
		switch {
		case best < 0, b.linkEnd[best] && !link:
			best, tie = s.end, false
		case link && !b.linkEnd[best]:
		case b.load[s.end] < b.load[best]:
			best, tie = s.end, false
		case b.load[s.end] == b.load[best]:
			tie = true
		}
	}
	for _, s := range b.seen[m] {
		if s.end == best && s.vlan != 0 && !slices.Contains(h.VLANs, s.vlan) {
			h.VLANs = append(h.VLANs, s.vlan)
		}
	}
	e := b.ends[best]
	h.Node, h.Port, h.IfIndex, h.Others = b.g.Nodes[e.node].ID, b.label(best), e.ifIndex, b.load[best]-1
	h.Behind = slices.Clone(around[best])
	owner, owned := b.ids.macs[m]
	heard := owned && owner != nobody && slices.Contains(h.Behind, b.g.Nodes[owner].ID)
	switch {
	case nonlink == 0:
		h.Confidence = Low
		if hub, ok := b.shared(m); ok {
			h.Node, h.Port, h.IfIndex, h.Behind, h.Confidence = b.g.Nodes[hub].ID, "", 0, nil, Medium
		}
	case heard, nonlink == 1 && h.Others == 0:
		h.Confidence = High
	case tie:
		h.Confidence = Low
	default:
		h.Confidence = Medium
	}
	return h, best
}

// shared finds the segment that a MAC is on: all bridges of it that see the MAC see
// it at their port to the segment.
func (b *builder) shared(m MAC) (hub int, ok bool) {
	for _, s := range b.seen[m] {
		hub, there := b.hub[s.end]
		if !there {
			continue
		}
		fits := true
		for e, h := range b.hub {
			if h != hub {
				continue
			}
			for _, o := range b.seen[m] {
				fits = fits && (b.ends[o.end].node != b.ends[e].node || b.hub[o.end] == hub)
			}
		}
		if fits {
			return hub, true
		}
	}
	return 0, false
}

// plugLink links a node whose MAC was found.
func (b *builder) plugLink(owner int, m MAC, h Host, at int) {
	l := Link{A: End{Node: h.Node, Port: h.Port, IfIndex: h.IfIndex}, B: End{Node: b.g.Nodes[owner].ID}, Confidence: h.Confidence}
	if h.Port != "" {
		l.A = b.endOfLink(at)
	}
	if f := b.facts[owner]; f != nil {
		if i := f.only(func(i *Interface) bool { return i.MAC == m }); i != nil {
			l.B.Port, l.B.IfIndex, l.B.Speed = i.Label(), i.Index, i.Speed
		}
	}
	l.because("FDB: " + b.place(at) + " sees " + m.String() + ", which is " + b.g.Nodes[owner].Name + "'s")
	b.g.Links = append(b.g.Links, l)
}
