// Package sitetest is a customer's site for tests: LAN, gateway, provider, internet
// and the MSP's broker as network namespaces of the machine, with faults on request.
//
// It takes root, and the programs ip, nft, dnsmasq and mosquitto; [New] skips the test
// without. All traffic is in namespaces that the lab has made: no interface, route or
// rule of the machine is touched, and no namespace has a way to one of them. Any
// number of labs exist at once; all have the same addresses.
//
//	box ──┐                     backup WAN ── ispb ──┐
//	server├─ lan ─ gateway ═╡                        ├─ inet: anchors, resolvers, NTP,
//	NVR ──┤                     WAN ── isp1 ── isp2 ─┘        portal check, broker
//	rogue ┤
//	core ─┴─ devices (Options.Devices)
//
// The gateway does NAT, DHCP and DNS (dnsmasq) and answers SNMP about its real ports.
// A packet with TTL 1 ends there, with TTL 2 at isp1, with TTL 3 at isp2. Addresses
// and names are in [Plan]. IPv6 is beside IPv4 everywhere, without NAT.
//
// # In the box
//
//	s := sitetest.New(t, sitetest.Options{})
//	cmd := s.Box().Command("siteprobe", "diagnose")      // a program
//	cmd, err := s.Box().Role("judge", "now")             // this test's own program, see Main
//	err := s.Box().Do(func() error { ... net.Dial ... }) // a function without goroutines
//
// # Faults
//
// Each method that returns an undo function breaks one thing: s.AccessDown(),
// s.DNSHijack(). What it does holds when it returns, but that the kernel tells of a
// carrier that comes or goes up to a second later. Faults may be in force together,
// also the same one several times; [Site.Flap] repeats one, [Site.Reset] undoes all and
// waits until the site is healthy.
//
//	defer s.BrokerBlocked()()
//	undo := s.Flap((*sitetest.Site).UnplugBox, 3*time.Second, 5*time.Second)
//
// # What is left behind
//
// Nothing after Close, which the test's end calls, also after a panic. The programs end
// with the test's process even when it is killed; its namespaces and files, whose names
// carry its process id, are removed by the next New of any process.
//
// The box's clock is the machine's, so [Site.ClockWrong] lets the NTP servers lie
// instead. What a veth pair cannot have is missing: duplex, speed, frame errors.
package sitetest
