package config

import (
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/trap"
)

// Settings are what applies to one device, after the defaults.
type Settings struct {
	Interval    time.Duration
	Timeout     time.Duration
	Retries     int
	Credentials []snmp.Credential // to be tried in this order; none: the device is not asked by SNMP
}

// DeviceSettings returns what applies to d. A device that is pinged and names no
// credentials of its own is only pinged.
func (s *Site) DeviceSettings(d Device) Settings {
	out := Settings{Interval: d.Interval, Timeout: d.Timeout, Retries: s.Defaults.Retries}
	if out.Interval == 0 {
		out.Interval = s.Defaults.Interval
	}
	if out.Timeout == 0 {
		out.Timeout = s.Defaults.Timeout
	}
	if d.Retries != nil {
		out.Retries = *d.Retries
	}
	names := d.Credentials
	if len(names) == 0 && !d.Ping {
		names = s.Defaults.Credentials
	}
	for _, name := range names {
		if c, ok := s.Credential(name); ok && c.SNMP != nil {
			out.Credentials = append(out.Credentials, snmp.Credential{Name: c.Name, Auth: *c.SNMP})
		}
	}
	return out
}

// TrapSettings returns the traps section with the credentials that are believed: all
// of the site.
func (s *Site) TrapSettings() trap.Config {
	out := s.Traps
	for _, c := range s.Credentials {
		if c.SNMP != nil {
			out.Credentials = append(out.Credentials, snmp.Credential{Name: c.Name, Auth: *c.SNMP})
		}
	}
	return out
}

// DiscoverySettings returns the discovery section with the credentials that are tried,
// and whether it sweeps by itself: not at a site without a line to the outside, unless
// that is asked for. Sweeps upset machines that nobody can look after from afar.
func (s *Site) DiscoverySettings() discovery.Config {
	out := s.Discovery
	names := out.Credentials
	if len(names) == 0 {
		names = s.Defaults.Credentials
	}
	for _, name := range names {
		if c, ok := s.Credential(name); ok && c.SNMP != nil {
			out.Tried = append(out.Tried, snmp.Credential{Name: c.Name, Auth: *c.SNMP})
		}
	}
	switch {
	case len(out.Networks) == 0:
		out.Off = "the site file names no networks under discovery"
	case out.Enabled != nil && !*out.Enabled:
		out.Off = "the site file has discovery.enabled: false"
	case out.Enabled == nil && s.Info.Internet == InternetNone:
		out.Off = "the site has no internet (site.internet: none); discovery.enabled: true has it swept all the same"
	}
	return out
}

// CheckTimes returns the interval and timeout of a check that sets these two, or
// 0 for the default.
func (s *Site) CheckTimes(interval, timeout time.Duration) (time.Duration, time.Duration) {
	if interval == 0 {
		interval = s.Defaults.Interval
	}
	if timeout == 0 {
		timeout = min(s.Defaults.Timeout, interval)
	}
	return interval, timeout
}

// Credential returns the credential of a name.
func (s *Site) Credential(name string) (Credential, bool) {
	for _, c := range s.Credentials {
		if c.Name == name {
			return c, true
		}
	}
	return Credential{}, false
}

// Device returns the device of a name.
func (s *Site) Device(name string) (Device, bool) {
	for _, d := range s.Devices {
		if d.Name == name {
			return d, true
		}
	}
	return Device{}, false
}

// Host is the device's address without its port. IPv6 addresses come without
// brackets.
func (d Device) Host() string {
	host, _ := splitAddress(d.Address)
	return host
}

// splitAddress takes host or host:port apart. A bare IPv6 address is a host.
func splitAddress(s string) (host, port string) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, ""
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		return host, port
	}
	return strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), ""
}
