package topology

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// nobody stands in an index for what several have.
const nobody = -1

// index tells who is meant.
type index struct {
	chassis map[string]int
	macs    map[MAC]int
	addrs   map[netip.Addr]int
	names   map[string]int
	heard   map[heardName]int // unknown neighbours, by their name at a port
}

type heardName struct {
	node, ifIndex int
	name          string
}

func newIndex() index {
	return index{map[string]int{}, map[MAC]int{}, map[netip.Addr]int{}, map[string]int{}, map[heardName]int{}}
}

// put notes that key is node's, or nobody's if it is another's already.
func put[K comparable](m map[K]int, key K, node int) (other int, twice bool) {
	if was, ok := m[key]; ok && was != node {
		m[key] = nobody
		return was, was != nobody
	}
	m[key] = node
	return 0, false
}

// shortName is a name without its domain, in lower case.
func shortName(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if _, err := netip.ParseAddr(s); err == nil {
		return s
	}
	if i := strings.IndexByte(s, '('); i > 0 && strings.HasSuffix(s, ")") {
		s = s[:i] // CatOS adds its serial number
	}
	s, _, _ = strings.Cut(s, ".")
	return s
}

// devices makes nodes of the known devices.
func (b *builder) devices(known []Known, facts []*Facts) {
	byName := map[string]*Facts{}
	for _, f := range facts {
		byName[f.Device] = f
	}
	for _, k := range known {
		if _, twice := b.g.nodes[k.Name]; twice || len(b.g.Nodes) >= maxNodes {
			continue
		}
		f := byName[k.Name]
		node := b.node(Node{ID: k.Name, Kind: KindDevice, Name: k.Name}, f)
		host := k.Address
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && usable(a) {
			b.g.Nodes[node].Addresses = []netip.Addr{a}
			b.ident(node, "address", a.String(), putAddr(b.ids.addrs, a))
		}
		for _, m := range k.MACs {
			b.ident(node, "MAC", m.String(), putMAC(b.ids.macs, m))
		}
		put(b.ids.names, strings.ToLower(k.Name), node)
		if f != nil {
			b.answered(node, f)
		}
	}
	b.resolve(facts)
}

func putAddr(m map[netip.Addr]int, a netip.Addr) func(int) (int, bool) {
	return func(node int) (int, bool) { return put(m, a, node) }
}

func putMAC(m map[MAC]int, mac MAC) func(int) (int, bool) {
	return func(node int) (int, bool) { return put(m, mac, node) }
}

// ident puts an identity into an index, and a note where two devices have it.
func (b *builder) ident(node int, what, text string, put func(int) (int, bool)) {
	if other, twice := put(node); twice {
		b.note("%s and %s both have the %s %s; it tells nobody apart", b.g.Nodes[other].Name, b.g.Nodes[node].Name, what, text)
	}
}

// answered takes over what a device says of itself.
func (b *builder) answered(node int, f *Facts) {
	n := &b.g.Nodes[node]
	n.Asked, n.Partial = true, f.Partial
	n.Descr = hearsay(f.SysDescr)
	n.Chassis = f.Chassis.Text
	n.Bridges = len(f.FDB) > 0 || len(f.Ports) > 0
	if f.SysName != "" {
		put(b.ids.names, strings.ToLower(f.SysName), node)
		put(b.ids.names, shortName(f.SysName), node)
	}
	if f.Chassis.Text != "" {
		if m, ok := ParseMAC(f.Chassis.Text); !ok || m.host() {
			b.ident(node, "chassis", f.Chassis.Text, func(n int) (int, bool) { return put(b.ids.chassis, f.Chassis.Text, n) })
		}
	}
	for _, a := range f.Addresses {
		if usable(a) {
			n.Addresses = appendAddress(n.Addresses, a)
			put(b.ids.addrs, a, node)
		}
	}
	own := func(m MAC) {
		if m.host() && !m.shared() {
			put(b.ids.macs, m, node)
		}
	}
	own(f.Bridge)
	if m, ok := ParseMAC(f.Chassis.Text); ok {
		own(m)
	}
	for i := range f.Interfaces {
		own(f.Interfaces[i].MAC)
	}
	for _, m := range f.Own {
		own(m)
	}
}

// resolve gives nodes the MACs that ARP caches say their addresses have. Behind a
// router's proxy ARP many addresses have one MAC, which is nobody's then.
func (b *builder) resolve(facts []*Facts) {
	users := map[MAC]map[int]bool{}
	for _, f := range facts {
		for _, e := range f.ARP {
			b.g.bindings[e.IP] = append(b.g.bindings[e.IP], bound{e.MAC, f.Device})
			if node, ok := b.ids.addrs[e.IP]; ok && node != nobody && e.MAC.host() && !e.MAC.shared() {
				if users[e.MAC] == nil {
					users[e.MAC] = map[int]bool{}
				}
				users[e.MAC][node] = true
			}
		}
	}
	for m, nodes := range users {
		if _, known := b.ids.macs[m]; known || len(nodes) != 1 {
			continue
		}
		for node := range nodes {
			b.ids.macs[m] = node
		}
	}
}

// who finds, or makes, the node that a neighbour is. It is nobody where the device
// hears itself.
func (b *builder) who(from int, n *Neighbour) int {
	if node, ok := b.find(from, n); ok {
		if node == from {
			b.note("%s hears itself at %s: a loop, or another device with its identity", b.g.Nodes[from].Name, orElse(n.Port, "a port"))
			return nobody
		}
		b.learn(node, n)
		return node
	}
	if len(b.g.Nodes) >= maxNodes {
		b.note("there are more than %d neighbours; some are left out", maxNodes)
		return nobody
	}
	what := n.SysName
	switch {
	case n.Chassis.Text != "" && b.ids.chassis[n.Chassis.Text] != nobody:
		what = n.Chassis.Text
	case len(n.Addresses) > 0 && b.ids.addrs[n.Addresses[0]] != nobody:
		what = orElse(n.SysName, "") + "@" + n.Addresses[0].String()
	default:
		what += "@" + b.g.Nodes[from].ID + "/" + n.Port // told apart by where it is
	}
	name := orElse(n.SysName, n.Chassis.Text)
	if name == "" && len(n.Addresses) > 0 {
		name = n.Addresses[0].String()
	}
	id := string(KindNeighbour) + ":" + what
	if node, ok := b.g.nodes[id]; ok {
		b.learn(node, n)
		return node
	}
	node := b.node(Node{ID: id, Kind: KindNeighbour, Name: name, Chassis: n.Chassis.Text}, nil)
	b.learn(node, n)
	if n.SysName != "" {
		b.ids.heard[heardName{from, n.IfIndex, strings.ToLower(n.SysName)}] = node
	}
	return node
}

// find looks a neighbour up: by chassis, by address, by name.
func (b *builder) find(from int, n *Neighbour) (int, bool) {
	if n.Chassis.Text != "" {
		if node, ok := b.ids.chassis[n.Chassis.Text]; ok && node != nobody {
			return node, true
		}
		if m, ok := ParseMAC(n.Chassis.Text); ok && n.Chassis.Subtype == chassisMAC {
			if node, ok := b.ids.macs[m]; ok && node != nobody {
				return node, true
			}
		}
	}
	for _, a := range n.Addresses {
		if node, ok := b.ids.addrs[a]; ok && node != nobody {
			return node, true
		}
	}
	if n.SysName == "" {
		return 0, false
	}
	if m, ok := ParseMAC(n.SysName); ok { // CDP's device ID may be one
		if node, ok := b.ids.macs[m]; ok && node != nobody {
			return node, true
		}
	}
	if node, ok := b.ids.heard[heardName{from, n.IfIndex, strings.ToLower(n.SysName)}]; ok {
		return node, true
	}
	for _, name := range []string{strings.ToLower(n.SysName), shortName(n.SysName)} {
		node, ok := b.ids.names[name]
		if ok && node != nobody && node != from && !b.other(node, n) {
			return node, true
		}
	}
	return 0, false
}

// other tells that a neighbour with a device's name has another chassis than it: many
// devices bear the name that they were delivered with.
func (b *builder) other(node int, n *Neighbour) bool {
	f := b.facts[node]
	return f != nil && f.Chassis.Subtype == chassisMAC && n.Chassis.Subtype == chassisMAC && f.Chassis.Text != n.Chassis.Text
}

// learn adds what a neighbour says of itself, unless it has been asked itself.
func (b *builder) learn(node int, n *Neighbour) {
	to := &b.g.Nodes[node]
	to.Bridges = to.Bridges || n.Bridges
	to.Phone = to.Phone || n.Phone
	if to.Chassis == "" {
		to.Chassis = n.Chassis.Text
	}
	if to.Asked {
		return
	}
	if to.Descr == "" {
		to.Descr = hearsay(orElse(n.Platform, n.SysDescr))
	}
	if c := n.Chassis.Text; c != "" {
		put(b.ids.chassis, c, node)
		if m, ok := ParseMAC(c); ok && n.Chassis.Subtype == chassisMAC && m.host() {
			if _, taken := b.ids.macs[m]; !taken {
				b.ids.macs[m] = node
			}
		}
	}
	for _, a := range n.Addresses {
		to.Addresses = appendAddress(to.Addresses, a)
		if _, taken := b.ids.addrs[a]; !taken {
			b.ids.addrs[a] = node
		}
	}
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

func (b *builder) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if b.noted[text] || len(b.g.Notes) >= maxNotes {
		return
	}
	b.noted[text] = true
	b.g.Notes = append(b.g.Notes, text)
}
