package diagnosis

import "net/netip"

// Gateway is the address of this box's IPv4 gateway as the kernel has it; ok is false
// where there is none.
func Gateway() (a netip.Addr, ok bool) {
	r, ok, err := defaultRoute(false)
	return r.gateway, ok && err == nil
}
