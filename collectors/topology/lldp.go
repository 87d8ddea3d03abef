package topology

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

const (
	protocolLLDP = "lldp"
	protocolCDP  = "cdp"
)

// remoteKey is the index of lldpRemTable, without the time mark where there is one.
type remoteKey struct {
	port, number uint64
	short        bool // there was the number alone
}

// keyOf splits the index: time mark, local port, number. RouterOS has some with the
// number alone.
func keyOf(index []uint64) (k remoteKey, ok bool) {
	switch len(index) {
	case 1:
		return remoteKey{0, index[0], true}, true
	case 3:
		return remoteKey{index[1], index[2], false}, true
	}
	return k, false
}

// lldp reads the local ports and the neighbours.
func (r *reader) lldp() {
	r.lldpPorts()
	type remote struct {
		Neighbour
		chassis, port uint8
	}
	rows := map[remoteKey]*remote{}
	take := func(set func(*remote, *pdu.Varbind)) func([]uint64, *pdu.Varbind) bool {
		return func(index []uint64, v *pdu.Varbind) bool {
			k, ok := keyOf(index)
			if !ok {
				return true
			}
			if rows[k] == nil {
				rows[k] = &remote{Neighbour: Neighbour{Protocol: protocolLLDP}}
			}
			set(rows[k], v)
			return len(rows) <= maxNeighbours
		}
	}
	// Subtypes come first, so that they are known when what they are about comes.
	r.walk("LLDP neighbours",
		column{oidRemChassisType, take(func(n *remote, v *pdu.Varbind) { n.chassis = uint8(v.Num) })},
		column{oidRemPortType, take(func(n *remote, v *pdu.Varbind) { n.port = uint8(v.Num) })},
	)
	if len(rows) == 0 {
		return
	}
	r.walk("LLDP neighbours",
		column{oidRemChassisID, take(func(n *remote, v *pdu.Varbind) { n.Chassis = chassisOf(n.chassis, v) })},
		column{oidRemPortID, take(func(n *remote, v *pdu.Varbind) { n.PortID = portIDOf(n.port, v) })},
		column{oidRemPortDescr, take(func(n *remote, v *pdu.Varbind) { n.PortDescr = v.Text() })},
		column{oidRemSysName, take(func(n *remote, v *pdu.Varbind) { n.SysName = v.Text() })},
		column{oidRemSysDescr, take(func(n *remote, v *pdu.Varbind) { n.SysDescr = v.Text() })},
		column{oidRemCaps, take(func(n *remote, v *pdu.Varbind) { n.Bridges, n.Phone = capabilities(v) })},
	)
	r.walk("LLDP addresses", column{oidRemAddress, func(index []uint64, _ *pdu.Varbind) bool {
		if len(index) > 5 {
			if n := rows[remoteKey{index[1], index[2], false}]; n != nil {
				n.Addresses = appendAddress(n.Addresses, addressOf(index[3], index[5:]))
			}
		}
		return true
	}})
	local := map[int]int{}
	for _, p := range r.f.LLDPPorts {
		local[p.Number] = p.IfIndex
	}
	interfaces := map[uint64]int{}
	for k := range rows {
		if k.port == 0 { // the port is not in the index
			r.walk("MikroTik's neighbours", column{oidMikrotikInterface, func(index []uint64, v *pdu.Varbind) bool {
				if len(index) == 1 && v.Num <= 1<<31-1 {
					interfaces[index[0]] = int(v.Num)
				}
				return len(interfaces) < maxNeighbours
			}})
			break
		}
	}
	for k, n := range rows {
		port := int(k.port & (1<<31 - 1))
		switch known, ok := local[port]; {
		case k.port == 0:
			n.IfIndex = interfaces[k.number]
		case ok:
			n.IfIndex = known
		default:
			n.IfIndex = r.f.portOf(port, ID{}, "")
		}
		r.add(n.Neighbour)
	}
	slices.SortFunc(r.f.Neighbours, func(a, b Neighbour) int {
		return cmp.Or(a.IfIndex-b.IfIndex, cmp.Compare(a.Chassis.Text, b.Chassis.Text), cmp.Compare(a.PortID.Text, b.PortID.Text))
	})
}

// add keeps a neighbour that has said who it is.
func (r *reader) add(n Neighbour) {
	if m, ok := ParseMAC(n.Chassis.Text); ok && !m.host() || n.Chassis.Subtype == 0 {
		n.Chassis = ID{}
	}
	if n.Chassis.Text == "" && n.SysName == "" && len(n.Addresses) == 0 || len(r.f.Neighbours) >= maxNeighbours {
		return
	}
	r.f.Neighbours = append(r.f.Neighbours, n)
}

func (r *reader) lldpPorts() {
	rows := map[int]*LLDPPort{}
	take := func(set func(*LLDPPort, *pdu.Varbind)) func([]uint64, *pdu.Varbind) bool {
		return func(index []uint64, v *pdu.Varbind) bool {
			if len(index) != 1 || index[0] > 1<<31-1 {
				return true
			}
			n := int(index[0])
			if rows[n] == nil {
				rows[n] = &LLDPPort{Number: n}
			}
			set(rows[n], v)
			return len(rows) <= maxInterfaces
		}
	}
	r.walk("LLDP ports", column{oidLocPortSubtype, take(func(p *LLDPPort, v *pdu.Varbind) { p.ID.Subtype = uint8(v.Num) })})
	r.walk("LLDP ports",
		column{oidLocPortID, take(func(p *LLDPPort, v *pdu.Varbind) { p.ID = portIDOf(p.ID.Subtype, v) })},
		column{oidLocPortDescr, take(func(p *LLDPPort, v *pdu.Varbind) { p.Descr = v.Text() })},
	)
	for _, p := range rows {
		p.IfIndex = r.f.portOf(p.Number, p.ID, p.Descr)
		r.f.LLDPPorts = append(r.f.LLDPPorts, *p)
	}
	slices.SortFunc(r.f.LLDPPorts, func(a, b LLDPPort) int { return a.Number - b.Number })
}

// chassisOf reads a chassis ID. Some devices send a MAC as text.
func chassisOf(subtype uint8, v *pdu.Varbind) ID {
	switch subtype {
	case chassisMAC:
		if m, ok := macOf(v.Bytes); ok {
			return ID{subtype, m.String()}
		}
	case chassisAddress:
		if a, ok := networkAddress(v.Bytes); ok {
			return ID{subtype, a.String()}
		}
	}
	return ID{subtype, v.Text()}
}

func portIDOf(subtype uint8, v *pdu.Varbind) ID {
	switch subtype {
	case portMAC:
		if m, ok := macOf(v.Bytes); ok {
			return ID{subtype, m.String()}
		}
	case portAddress:
		if a, ok := networkAddress(v.Bytes); ok {
			return ID{subtype, a.String()}
		}
	}
	return ID{subtype, v.Text()}
}

// networkAddress reads a family of IANA's and an address.
func networkAddress(b []byte) (netip.Addr, bool) {
	if len(b) == 5 && b[0] == 1 || len(b) == 17 && b[0] == 2 {
		return netip.AddrFromSlice(b[1:])
	}
	return netip.Addr{}, false
}

// capabilities reads LldpSystemCapabilitiesMap: bits from the first octet's highest,
// where 2 is a bridge, 3 an access point, 4 a router, 5 a telephone. Some agents, and
// some recorders, send the octets as text ("28 00").
func capabilities(v *pdu.Varbind) (bridges, phone bool) {
	if len(v.Bytes) == 0 {
		return false, false
	}
	b := v.Bytes[0]
	if len(v.Bytes) > 2 {
		n := 0
		for _, c := range v.Bytes[:2] {
			switch {
			case c >= '0' && c <= '9':
				n = n<<4 | int(c-'0')
			case c >= 'A' && c <= 'F':
				n = n<<4 | int(c-'A') + 10
			default:
				return false, false
			}
		}
		b = byte(n)
	}
	phone = b&0x04 != 0
	return b&0x38 != 0 && !phone, phone
}

// addressOf makes an address out of an index: a family of IANA's (1 IPv4, 2 IPv6) or
// an InetAddressType, which are alike, and octets.
func addressOf(family uint64, octets []uint64) netip.Addr {
	if family == 1 && len(octets) != 4 || family == 2 && len(octets) != 16 || family != 1 && family != 2 {
		return netip.Addr{}
	}
	b := make([]byte, len(octets))
	for i, o := range octets {
		if o > 255 {
			return netip.Addr{}
		}
		b[i] = byte(o)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// usable tells whether an address can tell devices apart.
func usable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.IsLinkLocalUnicast() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func appendAddress(to []netip.Addr, a netip.Addr) []netip.Addr {
	if !usable(a) || len(to) >= maxAddresses || slices.Contains(to, a) {
		return to
	}
	return append(to, a)
}

// hearsay shortens what a neighbour says of itself at length.
func hearsay(s string) string { return collectors.Clip(s, 120) }
