package topology

import (
	"net/netip"
	"slices"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// arp reads the device's own addresses and whom it knows by address and MAC: the old
// table of IPv4 and the new one of both.
func (r *reader) arp() {
	own := func(a netip.Addr) bool {
		r.f.Addresses = appendAddress(r.f.Addresses, a)
		return len(r.f.Addresses) < maxAddresses
	}
	r.walk("own addresses",
		column{oidIPAddress, func(index []uint64, _ *pdu.Varbind) bool { return own(addressOf(1, index)) }},
		column{oidIPAddrTable, func(index []uint64, _ *pdu.Varbind) bool {
			return len(index) < 3 || own(addressOf(index[0], index[2:]))
		}},
	)
	seen := map[Binding]bool{}
	bind := func(a netip.Addr, b []byte) bool {
		m, ok := macOf(b)
		if ok && m.host() && usable(a) {
			seen[Binding{a, m}] = true
		}
		return len(seen) < maxBindings
	}
	r.walk("ARP",
		column{oidARP, func(index []uint64, v *pdu.Varbind) bool {
			return len(index) != 5 || bind(addressOf(1, index[1:]), v.Bytes)
		}},
		column{oidNetToPhys, func(index []uint64, v *pdu.Varbind) bool {
			return len(index) < 4 || bind(addressOf(index[1], index[3:]), v.Bytes)
		}},
	)
	for b := range seen {
		r.f.ARP = append(r.f.ARP, b)
	}
	slices.SortFunc(r.f.ARP, func(a, b Binding) int {
		if c := a.IP.Compare(b.IP); c != 0 {
			return c
		}
		return slices.Compare(a.MAC[:], b.MAC[:])
	})
}
