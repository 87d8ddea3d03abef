package diagnosis

import "net/netip"

// Gateway is the address of this box's IPv4 gateway as the kernel has it; ok is false
// where there is none.
func Gateway() (a netip.Addr, ok bool) {
	r, ok, err := defaultRoute(false)
	return r.gateway, ok && err == nil
}

// Carrier tells whether the port that the box's default route goes by has a link, or the
// likeliest one where there is no such route. It asks the kernel, which is quick. known is
// false where there is no such port.
func Carrier() (up, known bool) {
	var l look
	l.route, l.hasRoute, _ = defaultRoute(false) // without one there is the likeliest
	l.findPort()
	return l.port.up && l.port.carrier, l.hasPort
}
