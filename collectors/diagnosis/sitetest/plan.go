package sitetest

import (
	"net/netip"
)

// A Host is one machine of the site, its access or its internet.
type Host struct {
	Name   string // as the lab's resolvers know it; empty: it has none
	V4, V6 netip.Addr
}

// Plan says where everything is, so that a site file can be written. Every lab has
// the same addresses, each in namespaces of its own.
type Plan struct {
	// The customer's LAN, 192.168.77.0/24 and 2001:db8:77::/64.
	Probe   Host // the box; its IPv4 address is by DHCP, from a reservation
	Gateway Host // NAT, DHCP, DNS, SNMP (community "public"); the first hop
	Server  Host // answers ping, HTTP at 80 and SNMP
	NVR     Host // answers ping, HTTP at 80 and SNMP
	Core    Host // management of the switch that Devices hang on; with Options.Devices
	Devices []Host

	// The way out: what answers a packet whose TTL is 2 and 3; TTL 4 reaches the
	// anchors. On the backup WAN Backup answers TTL 2 and TTL 3 reaches them.
	Access, ISP, Backup Host
	// WAN and BackupWAN are the gateway's own addresses there: what the internet sees.
	WAN, BackupWAN Host

	// The internet.
	ISPResolver    Host    // what the gateway's DNS forwards to; stands at the second ISP hop, and at the backup's
	PublicResolver Host    // validates
	Anchors        [3]Host // three providers: ICMP, TCP 80 and 443, and a DNS that validates
	NTP            [3]Host
	Portal         Host // the captive portal check
	Broker         Host // MQTT over TLS, port 8883
}

// What is asked for, and where.
const (
	Zone       = "lab.test."        // signed; all names are in it, and every other name is NXDOMAIN
	SignedName = "signed.lab.test." // A 192.0.2.80, validates
	BogusName  = "bogus.lab.test."  // its signature is wrong: who validates says SERVFAIL

	PortalURL  = "http://portal.lab.test/check"
	PortalBody = "siteprobe lab: no portal here\n"
	// WhoamiURL answers the IPv4 address that the request came from.
	WhoamiURL = "http://192.0.2.80/ip"
	// PortalPage is where a captive portal sends people, and DHCP option 114 says so.
	PortalPage = "http://192.168.77.1:8080/login"

	BrokerURL = "mqtts://broker.lab.test:8883"
	SiteName  = "lab/site" // TENANT/SITE, common name of the box's client certificate

	probeMAC   = "02:00:00:77:00:64"
	brokerPort = 8883
)

func host(name, v4, v6 string) Host {
	h := Host{V4: netip.MustParseAddr(v4), V6: netip.MustParseAddr(v6)}
	if name != "" {
		h.Name = name + "." + Zone
	}
	return h
}

func plan(devices int) Plan {
	p := Plan{
		Probe:   host("", "192.168.77.100", "2001:db8:77::100"),
		Gateway: host("gateway", "192.168.77.1", "2001:db8:77::1"),
		Server:  host("server", "192.168.77.10", "2001:db8:77::10"),
		NVR:     host("nvr", "192.168.77.11", "2001:db8:77::11"),
		Core:    host("core", "192.168.77.2", "2001:db8:77::2"),

		WAN:       host("", "203.0.113.2", "2001:db8:f1::2"),
		Access:    host("", "203.0.113.1", "2001:db8:f1::1"),
		ISP:       host("", "203.0.113.6", "2001:db8:f2::2"),
		BackupWAN: host("", "203.0.113.130", "2001:db8:fb::2"),
		Backup:    host("", "203.0.113.129", "2001:db8:fb::1"),

		ISPResolver:    host("dns.isp", "203.0.113.53", "2001:db8:f0::53"),
		PublicResolver: host("dns", "192.0.2.53", "2001:db8:53::53"),
		Anchors: [3]Host{
			host("anchor1", "192.0.2.10", "2001:db8:a1::10"),
			host("anchor2", "198.51.100.10", "2001:db8:a2::10"),
			host("anchor3", "203.0.113.210", "2001:db8:a3::10"),
		},
		NTP: [3]Host{
			host("ntp1", "198.51.100.121", "2001:db8:123::1"),
			host("ntp2", "198.51.100.122", "2001:db8:123::2"),
			host("ntp3", "198.51.100.123", "2001:db8:123::3"),
		},
		Portal: host("portal", "192.0.2.80", "2001:db8:80::80"),
		Broker: host("broker", "198.51.100.88", "2001:db8:88::88"),
	}
	for i := range devices {
		v4, v6 := p.Core.V4.As4(), p.Core.V6.As16()
		v4[3], v6[15] = byte(200+i), byte(200+i)
		p.Devices = append(p.Devices, Host{V4: netip.AddrFrom4(v4), V6: netip.AddrFrom16(v6)})
	}
	return p
}

// internet lists the hosts that the internet's namespace is.
func (p *Plan) internet() []Host {
	hosts := []Host{p.PublicResolver, p.Portal, p.Broker}
	return append(append(hosts, p.Anchors[:]...), p.NTP[:]...)
}

// named lists the hosts that the resolvers know.
func (p *Plan) named() []Host {
	signed := p.Portal
	signed.Name = SignedName
	bogus := p.Portal
	bogus.Name = BogusName
	return append(p.internet(), p.ISPResolver, p.Gateway, p.Server, p.NVR, p.Core, signed, bogus)
}
