package discovery

import (
	"net/netip"
	"slices"
)

// group is the sightings of one device: of one with several addresses there are
// several.
type group struct {
	keys
	addresses  []netip.Addr
	facts      Facts
	link       string
	snmp       bool
	credential string
	listed     string // its name in the site file
	listedAt   netip.Addr
}

// grouped puts the sightings of each device together.
func grouped(ss []Sighting) []group {
	ks := make([]keys, len(ss))
	for i := range ss {
		ks[i] = keysOf(&ss[i].Facts, ss[i].Link)
	}
	dropCopies(ks)
	g := grouping{at: map[netip.Addr]int{}}
	for kind := range g.by {
		g.by[kind] = map[string]int{}
	}
	for i := range ss {
		g.add(&ss[i], ks[i])
	}
	return g.groups
}

// dropCopies takes away the keys that several have which are not the same device.
func dropCopies(ks []keys) {
	for kind := bySerial; kind <= byLink; kind++ {
		first, copied := map[string]keys{}, map[string]bool{}
		for _, k := range ks {
			v := k.of(kind)
			if v == "" {
				continue
			}
			if all, ok := first[v]; ok && apart(kind, all, k) {
				copied[v] = true
			}
			first[v] = first[v].merge(k)
		}
		for i := range ks {
			if copied[ks[i].of(kind)] {
				ks[i] = ks[i].without(kind)
			}
		}
	}
}

type grouping struct {
	groups []group
	at     map[netip.Addr]int
	by     [byLink]map[string]int // by kind of key
}

// add puts a sighting to the group that it belongs to. A MAC address on the link does
// not make one device of two addresses: a router answers ARP for others.
func (g *grouping) add(s *Sighting, k keys) {
	n, ok := g.at[s.Address]
	for kind := bySerial; kind < byLink && !ok; kind++ {
		if n, ok = g.by[kind][k.of(kind)]; ok {
			ok = k.of(kind) != "" && !apart(kind, g.groups[n].keys, k)
		}
	}
	if !ok {
		n = len(g.groups)
		g.groups = append(g.groups, group{})
	}
	at := &g.groups[n]
	at.keys = at.merge(k)
	at.take(s)
	g.at[s.Address] = n
	for kind := bySerial; kind < byLink; kind++ {
		if v := at.of(kind); v != "" {
			g.by[kind][v] = n
		}
	}
}

// take adds what a sighting tells; of two the first that tells more has the word.
func (g *group) take(s *Sighting) {
	if !slices.Contains(g.addresses, s.Address) {
		g.addresses = append(g.addresses, s.Address)
	}
	if s.Device != "" && g.listed == "" {
		g.listed, g.listedAt = s.Device, s.Address
	}
	if s.SNMP && (!g.snmp || g.credential == "" && s.Credential != "") {
		g.facts, g.credential, g.snmp = s.Facts, s.Credential, true
	}
	if g.link == "" {
		g.link = s.Link
	}
}

// match finds the device that each group is, the strongest keys first.
func (m *merging) match() {
	m.found = map[int]int{}
	for g := range m.groups {
		m.found[g] = -1
	}
	ks := make([]keys, len(m.devices))
	for i := range m.devices {
		ks[i] = keysOf(&m.devices[i].Facts, m.devices[i].Link)
	}
	for kind := bySerial; kind <= byLink; kind++ {
		m.matchBy(kind, ks)
	}
	m.matchListed(ks)
	m.matchWeakly(ks)
	m.matchPresence(ks)
}

// matchListed believes the site file that the device of a name is at its address,
// where no key says that it is another.
func (m *merging) matchListed(ks []keys) {
	m.eachHere(func(i int, g *group) bool {
		d := &m.devices[i]
		return d.State == Listed && same(d.Name, g.listed) && !apart(byLink, ks[i], g.keys)
	})
}

func (m *merging) take(device, g int) { m.taken[device], m.found[g] = g, device }

// matchBy matches by one key. A key that several of the devices have, still unmatched
// or not, tells nothing.
func (m *merging) matchBy(kind keyKind, ks []keys) {
	of := map[string]int{}
	for i := range ks {
		v := ks[i].of(kind)
		if v == "" {
			continue
		}
		if _, twice := of[v]; twice {
			of[v] = -1
			continue
		}
		of[v] = i
	}
	twice := map[string]int{} // links may be of several groups
	for g := range m.groups {
		twice[m.groups[g].of(kind)]++
	}
	for g := range m.groups {
		at := &m.groups[g]
		v := at.of(kind)
		i, ok := of[v]
		if v == "" || !ok || i < 0 || twice[v] > 1 || m.found[g] >= 0 {
			continue
		}
		if _, gone := m.taken[i]; gone || !m.is(kind, i, ks[i], at) {
			continue
		}
		m.take(i, g)
	}
}

// is tells whether a group with the same key is the device, or whether stronger or
// other keys say that it cannot be.
func (m *merging) is(kind keyKind, i int, k keys, g *group) bool {
	here := slices.Contains(g.addresses, m.devices[i].Address)
	switch kind {
	case bySerial:
		return same(k.engine, g.engine) || same(k.mac, g.mac) || here || !(differ(k.engine, g.engine) && differ(k.mac, g.mac))
	case byEngine:
		if differ(k.serial, g.serial) || !same(k.serial, g.serial) && differ(k.mac, g.mac) {
			return false
		}
		return same(k.serial, g.serial) || same(k.mac, g.mac) || here || !differ(k.name, g.name)
	case byMAC:
		return !differ(k.serial, g.serial) && (!differ(k.engine, g.engine) || here || same(k.name, g.name))
	}
	return !differ(k.serial, g.serial) && !differ(k.engine, g.engine) && !differ(k.mac, g.mac)
}

// matchWeakly matches by the address together with sysName, where one side has no
// better key: two that each have some, and none in common, may be two devices.
func (m *merging) matchWeakly(ks []keys) {
	m.eachHere(func(i int, g *group) bool {
		return same(ks[i].name, g.name) && !(ks[i].strong() && g.strong())
	})
}

// matchPresence takes what answers at the address of a device for that device, where
// one of the two does not say who it is: it is not missed, and nothing is learned; or
// it was only known to be there, and now says who it is.
func (m *merging) matchPresence(ks []keys) {
	m.eachHere(func(i int, g *group) bool {
		return (g.keys.mute() || ks[i].mute()) && !differ(ks[i].link, g.link)
	})
}

// eachHere takes, for each group that is nobody yet, the first device at one of its
// addresses for which ok is true.
func (m *merging) eachHere(ok func(i int, g *group) bool) {
	at := map[netip.Addr][]int{}
	for i := range m.devices {
		at[m.devices[i].Address] = append(at[m.devices[i].Address], i)
	}
	for g := range m.groups {
	next:
		for _, a := range m.groups[g].addresses {
			for _, i := range at[a] {
				if _, gone := m.taken[i]; !gone && m.found[g] < 0 && ok(i, &m.groups[g]) {
					m.take(i, g)
					break next
				}
			}
		}
	}
}
