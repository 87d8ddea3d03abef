package topology

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// Capabilities of CDP (cdpCacheCapabilities): a router, bridges, a switch; a phone.
const (
	cdpBridges = 0x01 | 0x02 | 0x04 | 0x08
	cdpPhone   = 0x80
)

// cdp reads cdpCacheTable, whose index is the ifIndex and a number.
func (r *reader) cdp() {
	rows := map[[2]uint64]*Neighbour{}
	types := map[[2]uint64]uint64{}
	take := func(set func(*Neighbour, *pdu.Varbind)) func([]uint64, *pdu.Varbind) bool {
		return func(index []uint64, v *pdu.Varbind) bool {
			if len(index) != 2 || index[0] > 1<<31-1 {
				return true
			}
			k := [2]uint64(index)
			if rows[k] == nil {
				rows[k] = &Neighbour{Protocol: protocolCDP, IfIndex: int(k[0])}
			}
			set(rows[k], v)
			return len(rows) <= maxNeighbours
		}
	}
	r.walk("CDP neighbours", column{oidCDPAddressType, func(index []uint64, v *pdu.Varbind) bool {
		if len(index) == 2 {
			types[[2]uint64(index)] = v.Num
		}
		return len(types) <= maxNeighbours
	}})
	r.walk("CDP neighbours",
		column{oidCDPDevice, take(func(n *Neighbour, v *pdu.Varbind) { n.SysName = v.Text() })},
		column{oidCDPPort, take(func(n *Neighbour, v *pdu.Varbind) { n.PortID = ID{portIfName, v.Text()} })},
		column{oidCDPPlatform, take(func(n *Neighbour, v *pdu.Varbind) { n.Platform = v.Text() })},
		column{oidCDPVersion, take(func(n *Neighbour, v *pdu.Varbind) { n.SysDescr = v.Text() })},
		column{oidCDPCaps, take(func(n *Neighbour, v *pdu.Varbind) {
			if len(v.Bytes) == 4 {
				caps := binary.BigEndian.Uint32(v.Bytes)
				n.Phone = caps&cdpPhone != 0
				n.Bridges = caps&cdpBridges != 0 && !n.Phone
			}
		})},
		column{oidCDPAddress, take(func(n *Neighbour, v *pdu.Varbind) {
			if a, ok := netip.AddrFromSlice(v.Bytes); ok {
				n.Addresses = appendAddress(n.Addresses, a)
			}
		})},
	)
	var cached []Neighbour
	for k, n := range rows {
		if t := types[k]; t != 1 && t != 20 && t != 0 { // CiscoNetworkProtocol: ip, ipv6
			n.Addresses = nil
		}
		cached = append(cached, *n)
	}
	slices.SortFunc(cached, func(a, b Neighbour) int {
		return cmp.Or(a.IfIndex-b.IfIndex, cmp.Compare(a.SysName, b.SysName), cmp.Compare(a.PortID.Text, b.PortID.Text))
	})
	for _, n := range cached {
		r.add(n)
	}
}
