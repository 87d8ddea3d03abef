package config

import (
	"errors"
	"net"
	"net/netip"
	"strconv"

	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/collectors/scope"
)

// snmpPort is where a device is asked that names no port.
const snmpPort = 161

// inScope checks every address that is written out against the contract. Names
// are judged when they are resolved, by the dialer, which has the last word
// anyway; this is so that a mistake shows before the technician leaves.
func (p *parsing) inScope(s *Site, devices, checks named) {
	if !p.sound(p.root.get("scope")) {
		return
	}
	contract, err := scope.New(s.Scope, nil)
	if err != nil {
		return // reported with the section
	}
	judge := func(n *node, path, host string, port uint16) {
		addr, err := netip.ParseAddr(host)
		if err != nil || !p.sound(n) {
			return
		}
		var refused *scope.RefusedError
		if err := contract.Allowed(addr, port); errors.As(err, &refused) {
			p.errorAt(n, path, "%s must not be contacted: %s", addr, refused.Why)
		}
	}
	for i, text := range s.Discovery.Networks {
		n, err := discovery.ParseNetwork(text)
		at := p.root.get("discovery").get("networks").item(i)
		if err == nil && p.sound(at) && !contract.ManagesSome(n) {
			p.errorAt(at, "discovery.networks", "%s: nothing of it is under scope.managed", n)
		}
	}
	for i, d := range s.Devices {
		host, port := splitAddress(d.Address)
		at := uint16(snmpPort)
		if len(s.DeviceSettings(d).Credentials) == 0 {
			at = 0 // no port at all: only pinged
		} else if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			at = uint16(n)
		}
		judge(devices.node.item(i).get("address"), join(devices.path(i), "address"), host, at)
	}
	for i, c := range s.Checks {
		n, path := target(checks.node.item(i), checks.path(i))
		host, port, err := net.SplitHostPort(c.Target())
		if err != nil {
			host = c.Target() // an echo request has no port
		}
		at, _ := strconv.ParseUint(port, 10, 16) // 0 without one
		judge(n, path, host, uint16(at))
	}
}

// target finds where in the check at n the address that it contacts is written.
func target(n *node, path string) (*node, string) {
	for _, way := range [][2]string{{"icmp", "address"}, {"tcp", "address"}, {"http", "url"}, {"dns", "server"}} {
		if inner := n.get(way[0]).get(way[1]); inner != nil {
			return inner, join(join(path, way[0]), way[1])
		}
	}
	return n, path
}
