package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Place is where something is plugged in.
type Place struct {
	MAC        *MAC         `json:"mac,omitempty"`
	IPs        []netip.Addr `json:"ips,omitempty"`
	Name       string       `json:"name,omitempty"`
	Node       string       `json:"node"`           // the switch, or the segment
	Port       string       `json:"port,omitempty"` // of the switch
	VLANs      []int        `json:"vlans,omitempty"`
	Behind     []string     `json:"behind,omitempty"` // what is between: a telephone, a switch that is not asked
	Confidence Confidence   `json:"confidence"`
	Evidence   []string     `json:"evidence"`
}

// maxPlaces bounds an answer of Where.
const maxPlaces = 64

// Where finds a MAC, an address or a name (a device's, or what a neighbour calls
// itself). Of what has several places, such as a switch or an address that two MACs
// have, all are given; none where it is not seen.
func (g *Graph) Where(what string) []Place {
	what = strings.TrimSpace(what)
	if m, ok := ParseMAC(what); ok {
		return g.whereMAC(m, nil)
	}
	if a, err := netip.ParseAddr(what); err == nil {
		return g.whereIP(a.Unmap())
	}
	var out []Place
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if n.Kind != KindSegment && (n.ID == what || strings.EqualFold(n.Name, what) || shortName(n.Name) == strings.ToLower(what)) && len(out) < maxPlaces {
			out = append(out, g.whereNode(n, nil)...)
		}
	}
	return out
}

func (g *Graph) whereMAC(m MAC, because []string) []Place {
	i, ok := g.hosts[m]
	if !ok {
		if n := g.Node(g.owners[m]); n != nil {
			return g.whereNode(n, append(slices.Clone(because), fmt.Sprintf("%s is %s's", m, n.Name)))
		}
		return nil
	}
	h := &g.Hosts[i]
	p := Place{MAC: &h.MAC, IPs: h.IPs, Name: h.Name, Node: h.Node, Port: h.Port, VLANs: h.VLANs, Behind: h.Behind, Confidence: h.Confidence, Evidence: slices.Clone(because)}
	at := h.Node
	if n := g.Node(h.Node); n != nil {
		at = n.Name
	}
	switch {
	case h.Port == "":
		p.say("several switches see %s towards %s", m, at)
	case h.Others == 0:
		p.say("%s port %s has it alone", at, h.Port)
	default:
		p.say("%s port %s has it and %d others; no port that has fewer has it", at, h.Port, h.Others)
	}
	if h.Confidence == Low {
		p.say("it is seen only where other switches are, or at several ports alike: it may be farther behind")
	}
	for _, id := range h.Behind {
		if n := g.Node(id); n != nil {
			p.say("%s is heard at that port", n.Name)
		}
	}
	return []Place{p}
}

func (p *Place) say(format string, args ...any) {
	p.Evidence = append(p.Evidence, fmt.Sprintf(format, args...))
}

// whereIP goes by what ARP caches say.
func (g *Graph) whereIP(a netip.Addr) (out []Place) {
	macs, says := g.arpOf(a)
	for i, m := range macs {
		out = append(out, g.whereMAC(m, says[i:i+1])...)
	}
	if len(out) > 0 {
		return out
	}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; slices.Contains(n.Addresses, a) {
			out = append(out, g.whereNode(n, []string{fmt.Sprintf("%s has the address %s", n.Name, a)})...)
		}
	}
	return out
}

// Bindings says what ARP caches know of an address, one sentence for each MAC.
func (g *Graph) Bindings(what string) (out []string) {
	a, err := netip.ParseAddr(strings.TrimSpace(what))
	if err != nil {
		return nil
	}
	_, out = g.arpOf(a.Unmap())
	return out
}

// arpOf lists the MACs that an address has by ARP, and who says so.
func (g *Graph) arpOf(a netip.Addr) (macs []MAC, says []string) {
	by := map[MAC][]string{}
	for _, e := range g.bindings[a] {
		if by[e.mac] == nil && len(macs) < maxPlaces {
			macs = append(macs, e.mac)
		}
		by[e.mac] = append(by[e.mac], e.by)
	}
	for _, m := range macs {
		says = append(says, fmt.Sprintf("ARP of %s says that %s is %s", some(by[m]), a, m))
	}
	return macs, says
}

func some(names []string) string {
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d others", len(names)-3)
	}
	return strings.Join(names, ", ")
}

// whereNode gives the other ends of a node's links.
func (g *Graph) whereNode(n *Node, because []string) (out []Place) {
	for _, l := range g.Links {
		here, there := l.A, l.B
		if there.Node == n.ID {
			here, there = there, here
		}
		if here.Node != n.ID || len(out) >= maxPlaces {
			continue
		}
		p := Place{IPs: n.Addresses, Name: n.Name, Node: there.Node, Port: there.Port, Confidence: l.Confidence, Evidence: slices.Clone(because)}
		p.Evidence = append(p.Evidence, l.Evidence...)
		out = append(out, p)
	}
	return out
}
