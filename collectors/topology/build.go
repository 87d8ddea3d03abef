package topology

import (
	"cmp"
	"net/netip"
	"slices"
)

// Bounds of a graph.
const (
	maxNodes   = 5000
	maxHosts   = 65536
	maxNotes   = 100
	maxBridges = 500 // whose forwarding databases are compared with each other
)

// Build works out how the devices are wired. known are the devices of the site file,
// also those that said nothing; facts of others are left out.
func Build(known []Known, facts []*Facts) *Graph {
	facts = slices.Clone(facts)
	slices.SortFunc(facts, func(a, b *Facts) int { return cmp.Compare(a.Device, b.Device) })
	b := &builder{
		g:   &Graph{Nodes: []Node{}, Links: []Link{}, Hosts: []Host{}, Notes: []string{}, bindings: map[netip.Addr][]bound{}, hosts: map[MAC]int{}, nodes: map[string]int{}, owners: map[MAC]string{}},
		ids: newIndex(), noted: map[string]bool{}, endOf: map[end]int{}, seen: map[MAC][]sight{},
	}
	b.devices(known, facts)
	b.reports()
	b.sights()
	b.adjacent()
	b.wire()
	b.plug()
	b.arrange()
	return b.g
}

// builder holds what is known on the way to a graph.
type builder struct {
	g     *Graph
	facts []*Facts // by node; nil: it was not asked
	ids   index
	noted map[string]bool

	// Ends, and which of them are on one segment.
	ends    []end
	endOf   map[end]int
	joined  []int // union-find
	members [][]string
	said    []report

	// Forwarding databases.
	seen    map[MAC][]sight
	load    []int // by end: how many MACs are seen there
	bridges []int // nodes that have one
	towards map[[2]int]int
	linkEnd []bool // ends that lead to another bridge
	hub     map[int]int
}

// end is a port of a node, by ifIndex or, where that is not known, by what it is
// called or, where that does not tell it from others, by the end that it is opposite of.
type end struct {
	node     int
	ifIndex  int
	text     string
	opposite int // that end's number and 1; 0: it is told by its name
}

// report is what tells that two ends are on one segment.
type report struct {
	a, b     int // ends
	how      how
	evidence string
}

type how uint8

const (
	heard     how = iota // a hears b by LLDP or CDP
	bothSee              // each stands in the other's forwarding database
	oneSees              // only b in a's
	pluggedIn            // a host's MAC, of a known device, at a
)

func (b *builder) node(n Node, f *Facts) int {
	b.g.Nodes = append(b.g.Nodes, n)
	b.facts = append(b.facts, f)
	i := len(b.g.Nodes) - 1
	b.g.nodes[n.ID] = i
	return i
}

// at gives the number of an end.
func (b *builder) at(e end) int {
	if i, ok := b.endOf[e]; ok {
		return i
	}
	i := len(b.ends)
	b.ends = append(b.ends, e)
	b.joined = append(b.joined, i)
	b.members = append(b.members, nil)
	b.load = append(b.load, 0)
	b.endOf[e] = i
	return i
}

func (b *builder) segment(i int) int {
	for b.joined[i] != i {
		b.joined[i] = b.joined[b.joined[i]]
		i = b.joined[i]
	}
	return i
}

func (b *builder) join(r report) {
	b.said = append(b.said, r)
	b.joined[b.segment(r.a)] = b.segment(r.b)
}

// label names an end for people.
func (b *builder) label(i int) string {
	e := b.ends[i]
	if f := b.facts[e.node]; f != nil && e.ifIndex != 0 {
		return f.label(e.ifIndex, 0)
	}
	return e.text
}

// port gives the end of a device's own port, which is its bundle's where it is in
// one.
func (b *builder) port(node, ifIndex int, text string) int {
	f := b.facts[node]
	if f == nil || ifIndex == 0 {
		return b.at(end{node: node, text: text})
	}
	whole := f.bundle(ifIndex)
	i := b.at(end{node: node, ifIndex: whole})
	if member := f.label(ifIndex, 0); whole != ifIndex && !slices.Contains(b.members[i], member) {
		b.members[i] = append(b.members[i], member)
	}
	return i
}

// spoken is what a device hears of another.
type spoken struct {
	here, to, remote int // the end where it is heard; who; their ifIndex, 0: it could not be told
	text, protocol   string
}

// reports turns what devices hear by LLDP and CDP into reports.
func (b *builder) reports() {
	for from := range b.g.Nodes {
		f := b.facts[from]
		if f == nil {
			continue
		}
		var all []spoken
		for i := range f.Neighbours {
			n := &f.Neighbours[i]
			to := b.who(from, n)
			if to == nobody {
				continue
			}
			s := spoken{here: b.port(from, n.IfIndex, n.Port), to: to, text: n.PortID.Text, protocol: "LLDP"}
			if g := b.facts[to]; g != nil {
				s.remote = g.remote(n)
			}
			// What a neighbour calls its port is no use where it is only its address.
			if _, mac := ParseMAC(s.text); mac || s.text == "" {
				s.text = n.PortDescr
			}
			if n.Protocol == protocolCDP {
				s.protocol = "CDP"
			}
			all = append(all, s)
		}
		for _, s := range all {
			// RouterOS calls its port what a VLAN or bridge is called that has several: then
			// ports of one name are not one port.
			several := slices.ContainsFunc(all, func(o spoken) bool { return o.to == s.to && o.text == s.text && o.here != s.here })
			there := b.there(s, several)
			b.g.heard = append(b.g.heard, adjacency{b.g.Nodes[from].ID, b.label(s.here), b.g.Nodes[s.to].ID, b.g.Nodes[s.to].Name, b.label(there)})
			b.join(report{s.here, there, heard, s.protocol + ": " + b.place(s.here) + " hears " + b.place(there)})
		}
	}
}

// there is the other end of what was heard.
func (b *builder) there(s spoken, several bool) int {
	if s.remote == 0 && (s.text == "" || several) {
		return b.at(end{node: s.to, text: s.text, opposite: s.here + 1})
	}
	return b.port(s.to, s.remote, s.text)
}

// place names a node and a port.
func (b *builder) place(i int) string {
	name := b.g.Nodes[b.ends[i].node].Name
	if l := b.label(i); l != "" {
		return name + " " + l
	}
	return name
}

// arrange puts the graph's lists in order.
func (b *builder) arrange() {
	g := b.g
	for m, node := range b.ids.macs {
		if node != nobody {
			g.owners[m] = g.Nodes[node].ID
		}
	}
	slices.SortStableFunc(g.Nodes, func(x, y Node) int {
		return cmp.Or(cmp.Compare(rank(x.Kind), rank(y.Kind)), cmp.Compare(x.ID, y.ID))
	})
	for i := range g.Nodes {
		g.nodes[g.Nodes[i].ID] = i
	}
	for i := range g.Links {
		l := &g.Links[i]
		if l.B.Node < l.A.Node || l.A.Node == l.B.Node && l.B.Port < l.A.Port {
			l.A, l.B = l.B, l.A
		}
	}
	slices.SortFunc(g.Links, func(x, y Link) int {
		return cmp.Or(cmp.Compare(x.A.Node, y.A.Node), x.A.IfIndex-y.A.IfIndex, cmp.Compare(x.A.Port, y.A.Port),
			cmp.Compare(x.B.Node, y.B.Node), x.B.IfIndex-y.B.IfIndex, cmp.Compare(x.B.Port, y.B.Port))
	})
	slices.SortFunc(g.Hosts, func(x, y Host) int {
		return cmp.Or(cmp.Compare(x.Node, y.Node), x.IfIndex-y.IfIndex, cmp.Compare(x.Port, y.Port), slices.Compare(x.MAC[:], y.MAC[:]))
	})
	for i := range g.Hosts {
		g.hosts[g.Hosts[i].MAC] = i
	}
}

func rank(k Kind) int { return map[Kind]int{KindDevice: 0, KindNeighbour: 1, KindSegment: 2}[k] }
