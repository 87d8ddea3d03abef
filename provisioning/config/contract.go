package config

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"

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
		n, path := checks.node.item(i), checks.path(i)
		var missing []string
		for _, t := range c.Targets() {
			host, port, err := net.SplitHostPort(t.Address)
			if err != nil {
				host = t.Address // an echo request has no port
			}
			at, _ := strconv.ParseUint(port, 10, 16) // 0 without one
			if t.Kind == "service" && !contract.NamesExternal(host, uint16(at)) {
				missing = append(missing, strconv.Quote(t.Address))
			}
			inner, innerPath := n.get(t.Kind), join(path, t.Kind)
			if t.Key != "" && inner.get(t.Key) != nil {
				inner, innerPath = inner.get(t.Key), join(innerPath, t.Key)
			}
			judge(inner, innerPath, host, uint16(at))
		}
		if at := n.get("service"); len(missing) > 0 && p.sound(at) {
			p.errorAt(at, join(path, "service"), "add to scope.external what it contacts: %s", strings.Join(missing, ", "))
		}
	}
}
