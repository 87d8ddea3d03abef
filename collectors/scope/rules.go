package scope

import "net/netip"

// rules is the contract, parsed. It does no I/O: who is asked for is a matter of
// the dialer.
type rules struct {
	managed, excluded []netip.Prefix
	external          []external
}

// external is a service outside: a name or an address, and a port (0: any).
type external struct {
	name string
	addr netip.Addr
	port uint16
}

// verdict judges an address, of a name or (with an empty name) by itself. It is
// empty when the address may be contacted and says why where it may not.
func (r *rules) verdict(addr netip.Addr, port uint16, name string) string {
	switch {
	case !addr.IsValid():
		return "it is no address"
	case addr.Zone() != "":
		return "addresses with a zone are not contacted"
	}
	addr = addr.Unmap()
	if why := never(addr); why != "" {
		return why
	}
	if r.isExcluded(addr) {
		return "it is under scope.excluded"
	}
	if inner, ok := embedded(addr); ok && (r.isExcluded(inner) || never(inner) != "") {
		return "the address that is embedded in it may not be contacted"
	}
	managed, why := r.isManaged(addr)
	if managed {
		return ""
	}
	for _, e := range r.external {
		if e.port != 0 && e.port != port {
			continue
		}
		if e.addr == addr && e.addr.IsValid() {
			return ""
		}
		if e.name != "" && e.name == name {
			if public(addr) {
				return ""
			}
			return "an external name that leads to an address which is not public"
		}
	}
	if why != "" {
		return why
	}
	return "it is neither under scope.managed nor under scope.external"
}

func (r *rules) isExcluded(a netip.Addr) bool { return anyContains(r.excluded, a) }

// isManaged tells whether managed covers the address; why says what stands
// against it where a network of it does but that is not enough.
func (r *rules) isManaged(a netip.Addr) (ok bool, why string) {
	for _, p := range r.managed {
		if !p.Contains(a) {
			continue
		}
		switch {
		case p.IsSingleIP():
			return true, "" // named itself
		case anyContains(metadata, a):
			why = "a metadata address, which scope.managed must name by itself"
		case !explicit(p, a):
			why = "a loopback or link-local address, which scope.managed must name as such"
		case a.Is4() && p.Bits() < 31 && (a == p.Addr() || a == lastOf(p)):
			why = "the broadcast or base address of a managed network"
		default:
			return true, ""
		}
	}
	return false, why
}

// explicit tells whether p names a by intent: for an address in one of the local
// ranges p must lie within that range.
func explicit(p netip.Prefix, a netip.Addr) bool {
	for _, l := range local {
		if l.Contains(a) {
			return l.Bits() <= p.Bits()
		}
	}
	return true
}

// never says why an address is not contacted under any contract.
func never(a netip.Addr) string {
	switch {
	case a.IsUnspecified() || thisNetwork.Contains(a):
		return "it is unspecified"
	case a.IsMulticast():
		return "it is a multicast address"
	case a == limitedBroadcast:
		return "it is the broadcast address"
	}
	return ""
}

// public tells whether an address is one of the internet's: where an external
// service may be.
func public(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" || never(a) != "" || anyContains(inside, a) {
		return false
	}
	if inner, ok := embedded(a); ok {
		return public(inner)
	}
	return a.Is4() || globalUnicast.Contains(a) || nat64.Contains(a)
}

// embedded returns the IPv4 address to which a translator or a tunnel would lead
// an IPv6 one (NAT64, 6to4).
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return netip.Addr{}, false
	}
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// lastOf is the last address of an IPv4 network: its broadcast address.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

func anyContains(ps []netip.Prefix, a netip.Addr) bool {
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func prefixes(ss ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(ss))
	for i, s := range ss {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// The ranges of IANA's special-purpose registries that matter here.
var (
	thisNetwork      = netip.MustParsePrefix("0.0.0.0/8")
	limitedBroadcast = netip.MustParseAddr("255.255.255.255")
	nat64            = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour        = netip.MustParsePrefix("2002::/16")
	globalUnicast    = netip.MustParsePrefix("2000::/3")

	local = prefixes("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10")
	// metadata is where clouds tell a machine its secrets.
	metadata = prefixes("169.254.169.254/32", "169.254.170.2/32", "fd00:ec2::254/128", "100.100.100.200/32")
	// inside is what is not the internet's: private, shared, reserved.
	inside = prefixes("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "240.0.0.0/4", "2001::/32")
)
