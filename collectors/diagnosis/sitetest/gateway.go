package sitetest

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// startGateway starts NAT, DNS, DHCP, the portal's page and SNMP.
func (s *Site) startGateway() (err error) {
	gw := s.ns[nsGateway]
	err = gw.nft("table inet nat {",
		"chain post { type nat hook postrouting priority srcnat;",
		`oifname "wan0" meta nfproto ipv4 masquerade`,
		`oifname "wan1" masquerade`,
		"}", "}")
	if err != nil {
		return err
	}
	s.dns, err = gw.start(s.log, "dnsmasq", append(dnsmasqArgs("lan0"), "--port=53", "--cache-size=0", "--server="+s.ISPResolver.V4.String())...)
	if err != nil {
		return err
	}
	s.closing(s.dns.stop)
	s.dhcp, err = s.newDHCPD(nsGateway, "lan0", "192.168.77.100", "192.168.77.150", s.Gateway.V4.String(),
		"--dhcp-host="+probeMAC+","+s.Probe.V4.String())
	if err != nil {
		return err
	}
	if err := s.dhcp.start(); err != nil {
		return err
	}
	s.closing(s.dhcp.stop)
	s.gwMIB = snmptest.Switch(0)
	ports := []string{"lan0", "wan0", "wan1"}
	s.gwMIB.Set("1.3.6.1.2.1.1.5.0", snmptest.Octets("gateway"))
	s.gwMIB.Set("1.3.6.1.2.1.2.1.0", snmptest.Integer(int32(len(ports))))
	for i, dev := range ports {
		s.port(i+1, dev)
	}
	return gw.do(func() error {
		if err := s.serveHTTP(":8080", nil, portalHandler()); err != nil {
			return err
		}
		return s.serveSNMP(s.Gateway, s.gwMIB)
	})
}

// port serves a port of the gateway as it really is.
func (s *Site) port(index int, dev string) {
	const ifs, ifx = "1.3.6.1.2.1.2.2.1.", "1.3.6.1.2.1.31.1.1.1."
	set := func(table string, column int, v snmptest.Value) {
		s.gwMIB.Set(fmt.Sprintf("%s%d.%d", table, column, index), v)
	}
	set(ifs, 1, snmptest.Integer(int32(index)))
	set(ifs, 2, snmptest.Octets(dev))
	set(ifs, 3, snmptest.Integer(6)) // ethernetCsmacd
	set(ifs, 7, snmptest.Integer(1)) // nobody takes it down by hand
	s.gwMIB.SetFunc(fmt.Sprintf("%s8.%d", ifs, index), func() snmptest.Value {
		status := int32(2)
		_ = s.ns[nsGateway].do(func() error { // an error means down
			if i, err := net.InterfaceByName(dev); err == nil && i.Flags&net.FlagRunning != 0 {
				status = 1
			}
			return nil
		})
		return snmptest.Integer(status)
	})
	set(ifx, 1, snmptest.Octets(dev))
	set(ifx, 15, snmptest.Gauge32(1000))
	set(ifx, 18, snmptest.Octets(map[string]string{"lan0": "LAN", "wan0": "WAN", "wan1": "backup WAN"}[dev]))
	for column, field := range map[int]int{6: 0, 7: 1, 10: 8, 11: 9} { // ifHCInOctets, InUcastPkts, OutOctets, OutUcastPkts
		s.gwMIB.SetFunc(fmt.Sprintf("%s%d.%d", ifx, column, index), func() snmptest.Value {
			return snmptest.Counter64(s.ns[nsGateway].counter(dev, field))
		})
	}
}

// counter reads a field of an interface's line in /proc/net/dev; 0 where it cannot.
func (n *netns) counter(dev string, field int) (count uint64) {
	_ = n.do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/dev")
		for line := range strings.Lines(string(text)) {
			name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
			if fields := strings.Fields(rest); name == dev && field < len(fields) {
				count, err = strconv.ParseUint(fields[field], 10, 64)
			}
		}
		return err
	})
	return count
}

func (s *Site) serveSNMP(h Host, mib *snmptest.MIB) error {
	agent, err := snmptest.Listen(net.JoinHostPort(h.V4.String(), "161"), snmptest.Config{MIB: mib})
	if err != nil {
		return err
	}
	s.closeWith(agent)
	return nil
}

// startHosts starts what the LAN's other hosts serve.
func (s *Site) startHosts() error {
	type device struct {
		ns   string
		host Host
		name string
	}
	all := []device{{nsServer, s.Server, "server"}, {nsNVR, s.NVR, "nvr"}}
	if len(s.Devices) > 0 {
		all = append(all, device{nsCore, s.Core, "core"})
	}
	for i, d := range s.Devices {
		all = append(all, device{deviceNS(i), d, fmt.Sprintf("device%d", i+1)})
	}
	for _, d := range all {
		mib := snmptest.Switch(2)
		mib.Set("1.3.6.1.2.1.1.5.0", snmptest.Octets(d.name))
		err := s.ns[d.ns].do(func() error {
			if err := s.serveSNMP(d.host, mib); err != nil {
				return err
			}
			return s.serveHTTP(":80", nil, internetHandler())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// AwaitHealthy waits until the site works as far as Healthy can tell, and fails the
// test when that takes too long.
func (s *Site) AwaitHealthy(patience time.Duration) {
	s.t.Helper()
	if err := eventually(patience, s.Healthy); err != nil {
		s.t.Fatalf("the lab is not healthy after %v: %v", patience, err)
	}
}
