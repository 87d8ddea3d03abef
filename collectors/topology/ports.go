package topology

import (
	"strconv"
	"strings"
)

// samePort tells whether two names mean the same port: they are equal but for case,
// or one is the other abbreviated as vendors do it, Gi1/0/3 for GigabitEthernet1/0/3.
func samePort(a, b string) bool {
	if strings.EqualFold(a, b) {
		return a != ""
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	kindA, numberA := splitPort(a)
	kindB, numberB := splitPort(b)
	if numberA == "" || numberA != numberB || len(kindA) < 2 || len(kindB) < 2 {
		return false
	}
	return strings.HasPrefix(kindA, kindB) || strings.HasPrefix(kindB, kindA)
}

// splitPort takes the number off the end of a port's name.
func splitPort(s string) (kind, number string) {
	i := strings.IndexAny(s, "0123456789")
	if i < 0 {
		return s, ""
	}
	return strings.TrimRight(s[:i], " -"), s[i:]
}

// find gives the one interface that a name means, or nil where there is none or more
// than one. Exact names go before abbreviated ones, names before descriptions.
func (f *Facts) find(name string) *Interface {
	if name == "" {
		return nil
	}
	for _, same := range []func(i *Interface) bool{
		func(i *Interface) bool { return i.Name == name },
		func(i *Interface) bool { return i.Descr == name },
		func(i *Interface) bool { return samePort(i.Name, name) },
		func(i *Interface) bool { return samePort(i.Descr, name) },
		func(i *Interface) bool { return i.Alias == name },
	} {
		if i := f.only(same); i != nil {
			return i
		}
	}
	return nil
}

func (f *Facts) only(same func(*Interface) bool) *Interface {
	var found *Interface
	for i := range f.Interfaces {
		if !same(&f.Interfaces[i]) {
			continue
		}
		if found != nil {
			return nil
		}
		found = &f.Interfaces[i]
	}
	return found
}

// portOf tells which interface of its own the device means by a port of LLDP's. The
// number of the port is the bridge's or the ifIndex, which is found out last.
func (f *Facts) portOf(number int, id ID, descr string) int {
	if i := f.named(id, descr); i != nil {
		return i.Index
	}
	if n, err := strconv.Atoi(id.Text); err == nil && n != number && id.Subtype != portMAC && f.byIndex(n) != nil {
		return n
	}
	if i, ok := f.Ports[uint32(number)]; ok && f.byIndex(i) != nil {
		return i
	}
	if f.byIndex(number) != nil {
		return number
	}
	return 0
}

// named finds an interface by what LLDP calls it.
func (f *Facts) named(id ID, descr string) *Interface {
	if id.Subtype == portMAC {
		if m, ok := ParseMAC(id.Text); ok {
			if i := f.only(func(i *Interface) bool { return i.MAC == m }); i != nil {
				return i
			}
		}
	} else if i := f.find(id.Text); i != nil {
		return i
	}
	return f.find(descr)
}

// remote tells which interface of this device a neighbour's report of it means: what
// the device itself calls so in LLDP, or an interface of that name or number.
func (f *Facts) remote(n *Neighbour) int {
	if n.Protocol == protocolLLDP {
		found := 0
		for i := range f.LLDPPorts {
			if p := &f.LLDPPorts[i]; p.ID == n.PortID && p.IfIndex != 0 {
				if found != 0 && found != p.IfIndex {
					found = 0
					break
				}
				found = p.IfIndex
			}
		}
		if found != 0 {
			return found
		}
	}
	if i := f.named(n.PortID, n.PortDescr); i != nil {
		return i.Index
	}
	if p, err := strconv.Atoi(n.PortID.Text); err == nil && n.PortID.Subtype != portMAC {
		return f.portOf(p, n.PortID, "")
	}
	return 0
}

// bundle gives the interface that stands for ifIndex: the bundle that it is in, or
// itself.
func (f *Facts) bundle(ifIndex int) int {
	if i := f.byIndex(ifIndex); i != nil && i.LAG != 0 && i.LAG != ifIndex {
		return i.LAG
	}
	return ifIndex
}
