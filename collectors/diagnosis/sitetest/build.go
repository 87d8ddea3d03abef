package sitetest

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
)

// The namespaces. inet is the whole internet; switches has the bridges and nothing
// that has an address.
const (
	nsBox, nsGateway, nsAccess, nsISP, nsBackup, nsInternet = "box", "gw", "isp1", "isp2", "ispb", "inet"
	nsSwitches, nsServer, nsNVR, nsRogue, nsCore            = "switches", "server", "nvr", "rogue", "core"
)

func deviceNS(i int) string { return fmt.Sprintf("dev%d", i) }

// cable is a veth pair between two namespaces.
type cable struct{ ns1, if1, ns2, if2 string }

// network is what is built: the namespaces, the cables, and what ip is told in each
// namespace.
type network struct {
	names  []string
	cables []cable
	lines  map[string][]string
}

func (n *network) ns(name string, lines ...string) {
	if n.lines[name] == nil {
		n.names = append(n.names, name)
		n.lines[name] = []string{"link set lo up"}
	}
	n.lines[name] = append(n.lines[name], lines...)
}

func (n *network) cable(ns1, if1, ns2, if2 string) {
	n.cables = append(n.cables, cable{ns1, if1, ns2, if2})
}

// address gives an interface its addresses and brings it up.
func address(dev string, h Host, v4bits int) []string {
	return []string{
		fmt.Sprintf("addr add %s/%d dev %s", h.V4, v4bits, dev),
		fmt.Sprintf("addr add %s/64 dev %s nodad", h.V6, dev),
		"link set " + dev + " up",
	}
}

// onLoopback gives a namespace the addresses of one more host.
func onLoopback(h Host) []string {
	return []string{fmt.Sprintf("addr add %s/32 dev lo", h.V4), fmt.Sprintf("addr add %s/128 dev lo nodad", h.V6)}
}

// defaultVia adds the routes to everywhere else.
func defaultVia(h Host) []string {
	return []string{"route replace default via " + h.V4.String(), "route replace default via " + h.V6.String()}
}

// onBridge plugs an interface of a namespace into a bridge.
func (n *network) onBridge(bridge, port, ns, dev string) {
	n.cable(ns, dev, nsSwitches, port)
	n.ns(nsSwitches, "link set "+port+" master "+bridge+" up")
}

// lanHost makes a host on one of the LAN's switches.
func (n *network) lanHost(bridge, name string, h, gateway Host) {
	n.ns(name, address("eth0", h, 24)...)
	n.ns(name, defaultVia(gateway)...)
	n.onBridge(bridge, "p-"+name, name, "eth0")
}

// layout is the network of a plan.
func layout(p *Plan) *network {
	n := &network{lines: map[string][]string{}}
	n.ns(nsSwitches)
	for _, bridge := range []string{"lan", "wan", "core"} {
		n.ns(nsSwitches, "link add "+bridge+" type bridge forward_delay 0 mcast_snooping 0", "link set "+bridge+" up")
	}
	n.customer(p)
	n.access(p)

	n.ns(nsInternet,
		"addr add 203.0.113.10/30 dev isp0", "addr add 2001:db8:f3::2/64 dev isp0 nodad", "link set isp0 up",
		"addr add 203.0.113.134/30 dev ispb0", "addr add 2001:db8:fc::2/64 dev ispb0 nodad", "link set ispb0 up",
		"route add 203.0.113.0/25 via 203.0.113.9", "route add 2001:db8::/32 via 2001:db8:f3::1",
		"route add 203.0.113.128/26 via 203.0.113.133", "route add 2001:db8:fb::/64 via 2001:db8:fc::1")
	for _, h := range p.internet() {
		n.ns(nsInternet, onLoopback(h)...)
	}
	return n
}

func (n *network) customer(p *Plan) {
	n.ns(nsBox, "link set eth0 address "+probeMAC,
		fmt.Sprintf("addr add %s/64 dev eth0 nodad", p.Probe.V6), "link set eth0 up", "route add default via "+p.Gateway.V6.String())
	n.onBridge("lan", "p-box", nsBox, "eth0")

	n.ns(nsGateway, address("lan0", p.Gateway, 24)...)
	n.onBridge("lan", "p-gw", nsGateway, "lan0")
	n.ns(nsGateway, address("wan0", p.WAN, 30)...)
	n.onBridge("wan", "w-gw", nsGateway, "wan0")
	n.cable(nsGateway, "wan1", nsBackup, "cust0")
	n.ns(nsGateway, address("wan1", p.BackupWAN, 30)...)
	n.ns(nsGateway, defaultVia(p.Access)...)

	n.lanHost("lan", nsServer, p.Server, p.Gateway)
	n.lanHost("lan", nsNVR, p.NVR, p.Gateway)
	n.lanHost("lan", nsRogue, host("", "192.168.77.66", "2001:db8:77::66"), p.Gateway)
	if len(p.Devices) == 0 {
		return
	}
	n.ns(nsSwitches, "link add lan-core type veth peer name core-lan",
		"link set lan-core master lan up", "link set core-lan master core up")
	n.lanHost("core", nsCore, p.Core, p.Gateway)
	for i, d := range p.Devices {
		n.lanHost("core", deviceNS(i), d, p.Gateway)
	}
}

func (n *network) access(p *Plan) {
	n.ns(nsAccess, address("cust0", p.Access, 30)...)
	n.onBridge("wan", "w-isp", nsAccess, "cust0")
	n.cable(nsAccess, "up0", nsISP, "down0")
	n.ns(nsAccess, address("up0", host("", "203.0.113.5", "2001:db8:f2::1"), 30)...)
	n.ns(nsAccess, "route add 2001:db8:77::/64 via "+p.WAN.V6.String())
	n.ns(nsAccess, defaultVia(p.ISP)...)

	n.ns(nsISP, address("down0", p.ISP, 30)...)
	n.cable(nsISP, "up0", nsInternet, "isp0")
	n.ns(nsISP, address("up0", host("", "203.0.113.9", "2001:db8:f3::1"), 30)...)
	n.ns(nsISP, onLoopback(p.ISPResolver)...)
	n.ns(nsISP, "route add 203.0.113.0/30 via 203.0.113.5",
		"route add 2001:db8:77::/64 via 2001:db8:f2::1", "route add 2001:db8:f1::/64 via 2001:db8:f2::1")
	n.ns(nsISP, "route add default via 203.0.113.10", "route add default via 2001:db8:f3::2")

	n.ns(nsBackup, address("cust0", p.Backup, 30)...)
	n.cable(nsBackup, "up0", nsInternet, "ispb0")
	n.ns(nsBackup, address("up0", host("", "203.0.113.133", "2001:db8:fc::1"), 30)...)
	n.ns(nsBackup, onLoopback(p.ISPResolver)...)
	n.ns(nsBackup, "route add default via 203.0.113.134", "route add default via 2001:db8:fc::2")
}

// settings are what each kind of namespace needs of the kernel.
func settings(name string) []string {
	all := []string{
		"net/ipv4/conf/all/rp_filter=0", "net/ipv4/conf/default/rp_filter=0",
		"net/ipv6/conf/default/accept_ra=0", "net/ipv6/conf/default/accept_dad=0", "net/ipv6/conf/default/dad_transmits=0",
		"net/ipv6/conf/all/disable_ipv6=0", "net/ipv6/conf/default/disable_ipv6=0",
		"net/ipv4/icmp_ratelimit=0", "net/ipv4/icmp_msgs_per_sec=10000", "net/ipv6/icmp/ratelimit=0",
		"net/ipv4/ping_group_range=0 2147483647",
	}
	switch name {
	case nsBox: // like any other Linux
	case nsSwitches:
		all = append(all, "net/ipv6/conf/all/disable_ipv6=1", "net/ipv6/conf/default/disable_ipv6=1")
	case nsGateway, nsAccess, nsISP, nsBackup:
		all = append(all, "net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1", "net/ipv6/conf/default/forwarding=1",
			// an IPv6 address outlives its interface's being taken down
			"net/ipv6/conf/default/keep_addr_on_down=1")
		fallthrough
	default: // they find their neighbours again soon after a fault
		all = append(all, "net/ipv4/neigh/default/retrans_time_ms=100", "net/ipv6/neigh/default/retrans_time_ms=100")
	}
	return all
}

// build makes the namespaces and all that is in them, and says how far it came.
func (n *network) build(prefix string) (map[string]*netns, error) {
	made := map[string]*netns{}
	var add, link []string
	for _, name := range n.names {
		add = append(add, "netns add "+prefix+name)
	}
	for _, c := range n.cables {
		link = append(link, fmt.Sprintf("link add %s netns %s type veth peer name %s netns %s", c.if1, prefix+c.ns1, c.if2, prefix+c.ns2))
	}
	if err := batch(add); err != nil {
		return made, err
	}
	for _, name := range n.names {
		ns, err := openNetns(prefix + name)
		if err != nil {
			return made, err
		}
		made[name] = ns
		if err := ns.sysctl(settings(name)...); err != nil {
			return made, err
		}
	}
	if err := batch(link); err != nil {
		return made, err
	}
	return made, n.configure(made)
}

// configure tells ip in every namespace, a few at a time.
func (n *network) configure(made map[string]*netns) error {
	errs := make(chan error, len(n.names))
	places := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for _, name := range n.names {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			errs <- made[name].ip(n.lines[name]...)
		})
	}
	wg.Wait()
	for range n.names {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// batch tells ip outside of the namespaces: only to make them, and cables whose
// both ends are in them.
func batch(lines []string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making the network: %w\n%s", err, out)
	}
	return nil
}
