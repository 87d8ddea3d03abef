package sitetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// UnplugBox takes the carrier from the box's port.
func (s *Site) UnplugBox() (undo func()) { return s.downs("UnplugBox", nsSwitches, "p-box") }

// StopDHCP stops the DHCP server, and the box's lease has run out: it has nothing but
// a link-local IPv4 address.
func (s *Site) StopDHCP() (undo func()) {
	return s.counts("StopDHCP", "dhcp",
		func() error {
			s.dhcp.stop()
			return s.loseLease()
		},
		func() error {
			if err := s.dhcp.start(); err != nil {
				return err
			}
			err := s.renew()
			if s.held[nsSwitches+"/p-box"] > 0 || s.held[nsSwitches+"/p-gw"] > 0 {
				// Nobody can be asked now. The address is a reservation: it would be the same.
				err = s.ns[nsBox].ip("addr flush dev eth0 to "+linkLocal, fmt.Sprintf("addr replace %s/24 dev eth0", s.Probe.V4),
					fmt.Sprintf("route replace default via %s dev eth0 proto dhcp src %s metric 100", s.Gateway.V4, s.Probe.V4))
			}
			return err
		})
}

// RogueDHCP starts a second DHCP server, at 192.168.77.66, which offers addresses from
// .220 and itself as the router. The box keeps the lease that it has.
func (s *Site) RogueDHCP() (undo func()) {
	return s.counts("RogueDHCP", "rogue",
		func() (err error) {
			if s.rogue, err = s.newDHCPD(nsRogue, "eth0", "192.168.77.220", "192.168.77.230", "192.168.77.66"); err != nil {
				return err
			}
			return s.rogue.start()
		},
		func() error {
			s.rogue.stop()
			return nil
		})
}

// DuplicateIP gives the NVR the box's IPv4 address, beside its own, and the NVR says
// so to the LAN.
func (s *Site) DuplicateIP() (undo func()) {
	addr := s.Probe.V4
	return s.counts("DuplicateIP", "dup",
		func() error {
			if err := s.ns[nsNVR].ip(fmt.Sprintf("addr add %s/24 dev eth0", addr)); err != nil {
				return err
			}
			return s.announce(nsNVR, addr)
		},
		func() error {
			if err := s.ns[nsNVR].ip(fmt.Sprintf("addr del %s/24 dev eth0", addr)); err != nil {
				return err
			}
			return s.announce(nsBox, addr)
		})
}

// HostDown cuts a host of the LAN off: "server" or "nvr".
func (s *Site) HostDown(name string) (undo func()) {
	return s.downs("HostDown", nsSwitches, "p-"+name)
}

// DeviceDown cuts device i of [Plan.Devices] off.
func (s *Site) DeviceDown(i int) (undo func()) {
	return s.downs("DeviceDown", nsSwitches, "p-"+deviceNS(i))
}

// CoreSwitchDown cuts off the switch that all Devices hang on, and itself.
func (s *Site) CoreSwitchDown() (undo func()) {
	return s.downs("CoreSwitchDown", nsSwitches, "lan-core", "p-core")
}

// GatewayDead is a gateway without power: nothing of it answers, at either side.
func (s *Site) GatewayDead() (undo func()) { return s.downs("GatewayDead", nsSwitches, "p-gw", "w-gw") }

// WANPortDown takes the carrier from the gateway's WAN port; its SNMP says so.
func (s *Site) WANPortDown() (undo func()) { return s.downs("WANPortDown", nsSwitches, "w-gw") }

// AccessDown is the provider's first router without power. The gateway's port has
// its carrier still, from the modem in between.
func (s *Site) AccessDown() (undo func()) { return s.downs("AccessDown", nsSwitches, "w-isp") }

// ISPPathBroken loses everything behind the provider's first router, without a word.
func (s *Site) ISPPathBroken() (undo func()) {
	return s.filters("ISPPathBroken", nsAccess, chain("forward", "drop")...)
}

// InternetDown loses everything behind the provider's second router, which answers
// still; the provider's resolver knows no names then.
func (s *Site) InternetDown() (undo func()) {
	cut := s.filters("InternetDown", nsISP, chain("forward", "drop")...)
	names := s.flag("InternetDown, its names", "lost", &s.isp.lost)
	return func() { names(); cut() }
}

// flag is a fault that is a flag of a server's.
func (s *Site) flag(name, key string, f *atomic.Bool) (undo func()) {
	return s.counts(name, key,
		func() error { f.Store(true); return nil },
		func() error { f.Store(false); return nil })
}

// AnchorDown takes anchor i away, in IPv4 and IPv6.
func (s *Site) AnchorDown(i int) (undo func()) {
	a := s.Anchors[i]
	return s.filters("AnchorDown", nsInternet, chain("input",
		fmt.Sprintf("ip daddr %s drop", a.V4), fmt.Sprintf("ip6 daddr %s drop", a.V6))...)
}

// V6Down loses IPv6 behind the provider's first router.
func (s *Site) V6Down() (undo func()) {
	return s.filters("V6Down", nsAccess, chain("forward", "meta nfproto ipv6 drop")...)
}

const port53 = "meta l4proto { tcp, udp } th dport 53"

// ResolverDown silences the gateway's DNS.
func (s *Site) ResolverDown() (undo func()) {
	return s.filters("ResolverDown", nsGateway, chain("input", `iifname "lan0" `+port53+" drop")...)
}

// PublicDNSDown silences all resolvers on the internet; the gateway's works on, by
// the provider's.
func (s *Site) PublicDNSDown() (undo func()) {
	return s.filters("PublicDNSDown", nsInternet, chain("input", port53+" drop")...)
}

// DNSHijack is a provider that answers all DNS itself, and names that do not exist
// with 203.0.113.99. It does not validate.
func (s *Site) DNSHijack() (undo func()) {
	redirect := s.filters("DNSHijack", nsAccess,
		"chain prerouting { type nat hook prerouting priority dstnat;",
		fmt.Sprintf(`iifname "cust0" meta nfproto ipv4 %s dnat ip to %s`, port53, s.ISPResolver.V4),
		fmt.Sprintf(`iifname "cust0" meta nfproto ipv6 %s dnat ip6 to %s`, port53, s.ISPResolver.V6),
		"}")
	answers := s.flag("DNSHijack, its answers", "hijack", &s.isp.hijacks)
	return func() { answers(); redirect() }
}

// DNS53Blocked is a gateway that lets nobody but itself ask resolvers.
func (s *Site) DNS53Blocked() (undo func()) {
	return s.filters("DNS53Blocked", nsGateway, chain("forward", port53+" drop")...)
}

// CaptivePortal is a gateway that leads all HTTP to its login page and lets nothing
// else out; its resolver works. DHCP has option 114 meanwhile.
func (s *Site) CaptivePortal() (undo func()) {
	lines := []string{"chain prerouting { type nat hook prerouting priority dstnat;",
		fmt.Sprintf(`iifname "lan0" ip daddr != %s tcp dport 80 redirect to :8080`, s.Gateway.V4),
		fmt.Sprintf(`iifname "lan0" ip6 daddr != %s tcp dport 80 redirect to :8080`, s.Gateway.V6), "}"}
	cut := s.filters("CaptivePortal", nsGateway, append(lines, chain("forward", `iifname "lan0" drop`)...)...)
	option := s.counts("CaptivePortal, its DHCP option", "option114",
		func() error { return s.dhcp.options("114," + PortalPage + "\n") },
		func() error { return s.dhcp.options("") })
	return func() { option(); cut() }
}

// MTUBlackhole is a path of 1300 octets whose routers do not say so.
func (s *Site) MTUBlackhole() (undo func()) {
	silent := chain("output", "icmp type destination-unreachable drop", "icmpv6 type packet-too-big drop")
	a, b := s.filters("MTUBlackhole", nsAccess, silent...), s.filters("MTUBlackhole", nsISP, silent...)
	mtu := s.counts("MTUBlackhole, its MTU", "mtu", func() error { return s.pathMTU(1300) }, func() error { return s.pathMTU(1500) })
	return func() { mtu(); b(); a() }
}

func (s *Site) pathMTU(mtu int) error {
	return errors.Join(
		s.ns[nsAccess].ip(fmt.Sprintf("link set up0 mtu %d", mtu)),
		s.ns[nsISP].ip(fmt.Sprintf("link set down0 mtu %d", mtu)))
}

// ClockWrong makes all NTP servers tell a time that is off by so much from the box's
// clock, which is the machine's: to the box it looks as if its own were wrong. With
// several in force the offsets add up.
func (s *Site) ClockWrong(offset time.Duration) (undo func()) {
	return s.breaks("ClockWrong",
		func() error { s.clock.offset.Add(int64(offset)); return nil },
		func() error { s.clock.offset.Add(-int64(offset)); return nil })
}

// NTPDown silences all NTP servers.
func (s *Site) NTPDown() (undo func()) {
	return s.filters("NTPDown", nsInternet, chain("input", "udp dport 123 drop")...)
}

// BrokerBlocked is a gateway that drops what goes to the broker's port or comes from
// there.
func (s *Site) BrokerBlocked() (undo func()) {
	return s.filters("BrokerBlocked", nsGateway, chain("forward",
		fmt.Sprintf("tcp dport %d drop", brokerPort), fmt.Sprintf("tcp sport %d drop", brokerPort))...)
}

// BrokerCertExpired gives the broker a certificate that ended 20 hours ago.
func (s *Site) BrokerCertExpired() (undo func()) {
	return s.impostor("BrokerCertExpired", &impostor{cert: s.broker.expired.tls})
}

// TLSIntercepted has somebody in between, with a certificate of another CA for the
// broker's name.
func (s *Site) TLSIntercepted() (undo func()) {
	return s.impostor("TLSIntercepted", &impostor{cert: s.broker.foreign.tls})
}

// BrokerAuthRefused answers every CONNECT with "not authorized".
func (s *Site) BrokerAuthRefused() (undo func()) {
	return s.impostor("BrokerAuthRefused", &impostor{cert: s.broker.good.tls, connack: connackNotAuthorized})
}

// BrokerBusy answers every CONNECT with "server unavailable".
func (s *Site) BrokerBusy() (undo func()) {
	return s.impostor("BrokerBusy", &impostor{cert: s.broker.good.tls, connack: connackUnavailable})
}

// BrokerIDRejected answers every CONNECT with "identifier rejected".
func (s *Site) BrokerIDRejected() (undo func()) {
	return s.impostor("BrokerIDRejected", &impostor{cert: s.broker.good.tls, connack: connackIDRejected})
}

func (s *Site) impostor(name string, i *impostor) (undo func()) {
	return s.breaks(name, func() error { return s.broker.replace(i) }, func() error { return s.broker.restore(i) })
}

// BrokerDown is a broker that does not run: its host refuses the connection.
func (s *Site) BrokerDown() (undo func()) {
	return s.impostor("BrokerDown", &impostor{absent: true})
}

// IDTaken has another client with the box's name and certificate, which comes back
// half a second after the broker has thrown it out for the box.
func (s *Site) IDTaken() (undo func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.rival(ctx, 500*time.Millisecond)
	}()
	f := &fault{name: "IDTaken", off: func() error { return nil }, halt: func() { cancel(); <-done }}
	s.enter(f)
	return func() { s.undo(f) }
}

// HubStall stops the hub of StartHub where it stands; the broker goes on.
func (s *Site) HubStall() (undo func()) {
	return s.counts("HubStall", heldHub,
		func() error { return s.signalHub(syscall.SIGSTOP) },
		func() error { return s.signalHub(syscall.SIGCONT) })
}

// OnBackupWAN takes the WAN port down and leads everything over the backup WAN, as a
// gateway does by itself that has one.
func (s *Site) OnBackupWAN() (undo func()) {
	cable := s.WANPortDown()
	gw := s.ns[nsGateway]
	// An interface that is taken down takes with it what NAT knows of it, so that no
	// flow keeps the address of the other WAN.
	over := s.counts("OnBackupWAN", "backup",
		func() error {
			return gw.ip(append([]string{"link set wan0 down"}, defaultVia(s.Backup)...)...)
		},
		func() error {
			return gw.ip(append([]string{"link set wan0 up", "link set wan1 down", "link set wan1 up"}, defaultVia(s.Access)...)...)
		})
	return func() { cable(); over() }
}
