package discovery

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// Scope is the contract's dialer, as package scope makes it.
type Scope interface {
	snmp.Resolver
	Allowed(addr netip.Addr, port uint16) error
	Managed(addr netip.Addr) bool
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// lan is the network as a sweep sees it.
type lan struct {
	scope  Scope
	pinger *check.Pinger
	port   uint16
	snmp   []snmp.Option
}

// looked is what a look at a device brought.
type looked struct {
	credential string
	facts      Facts
	address    netip.Addr
	neighbours []neighbour // out of its ARP table
}

func (l *lan) neighbours() ([]neighbour, error) { return kernelNeighbours() }

func (l *lan) ping(ctx context.Context, to []netip.Addr, wait func(context.Context) error) (map[netip.Addr]bool, error) {
	return l.pinger.Echoes(ctx, to, wait, pingPatience)
}

// try asks a device with one credential, once, who it is. What it returns has the
// credential's name if that was answered, also with an error.
func (l *lan) try(ctx context.Context, a netip.Addr, c snmp.Credential) (looked, error) {
	cfg := snmp.Config{Device: "discovery", Address: l.at(a), Credentials: []snmp.Credential{c}, Timeout: probePatience}
	client, err := snmp.Dial(ctx, cfg, l.scope, append(l.snmp[:len(l.snmp):len(l.snmp)], snmp.OneAttempt())...)
	if err != nil {
		return looked{}, err
	}
	defer client.Close()
	return l.study(ctx, client, a)
}

// visit looks at a device that is polled anyway, as its polls do.
func (l *lan) visit(ctx context.Context, cfg snmp.Config) (looked, error) {
	to, err := l.scope.Resolve(ctx, hostOf(cfg.Address), l.port)
	if err != nil {
		return looked{}, err
	}
	client, err := snmp.Dial(ctx, cfg, l.scope, l.snmp...)
	if err != nil {
		return looked{address: to.Addr().Unmap()}, err
	}
	defer client.Close()
	return l.study(ctx, client, to.Addr().Unmap())
}

// hostOf is an address without its port.
func hostOf(s string) string {
	if _, err := netip.ParseAddr(s); err == nil {
		return s
	}
	if h, _, err := net.SplitHostPort(s); err == nil {
		return h
	}
	return s
}

// study reads who a device is, that has answered. What of it cannot be read is left
// out: the device has answered all the same.
func (l *lan) study(ctx context.Context, c *snmp.Client, a netip.Addr) (looked, error) {
	out := looked{credential: c.Credential(), address: a}
	d, err := c.Identify(ctx)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil && d.SysObjectID == "" && d.SysName == "" {
		return out, err
	}
	out.facts = Facts{
		SysName: d.SysName, SysObjectID: d.SysObjectID, SysDescr: d.SysDescr, Profile: d.Profile, Class: d.Class, Vendor: d.Vendor,
		Model: d.Model, Serial: d.Serial, Firmware: d.Firmware, Location: d.Location, EngineID: d.EngineID,
	}
	out.facts.MAC, _ = baseMAC(ctx, c)
	out.facts.Modules, _ = modules(ctx, c)
	out.facts.fromChassis()
	if at, up, err := configChanged(ctx, c, d.SysObjectID); err == nil && at > 0 {
		out.facts.ConfigTicks, out.facts.ConfigChanged = at, time.Now().Add(-ticks(up-at)).Truncate(time.Second).UTC()
	}
	out.neighbours, _ = arpTable(ctx, c)
	out.facts.tidy()
	return out, ctx.Err()
}

// The tables and scalars that discovery reads besides what profiles name.
var (
	ifPhysAddress = pdu.MustOID("1.3.6.1.2.1.2.2.1.6")         // IF-MIB (RFC 2863)
	ipNetToMedia  = pdu.MustOID("1.3.6.1.2.1.4.22.1.2")        // RFC 4293, ipNetToMediaPhysAddress
	sysUpTime     = pdu.MustOID("1.3.6.1.2.1.1.3.0")           // SNMPv2-MIB
	ccmRunning    = pdu.MustOID("1.3.6.1.4.1.9.9.43.1.1.1.0")  // CISCO-CONFIG-MAN-MIB, ccmHistoryRunningLastChanged
	jnxCfgChange  = pdu.MustOID("1.3.6.1.4.1.2636.3.18.1.2.0") // JUNIPER-CFGMGMT-MIB, jnxCmCfgChgLatestTime
)

// baseMAC is the lowest MAC address of a device's interfaces that is its own.
func baseMAC(ctx context.Context, c *snmp.Client) (mac string, err error) {
	err = c.Walk(ctx, snmp.Limits{Variables: 4096, Requests: 400}, func(v pdu.Varbind) bool {
		if k := macKey(net.HardwareAddr(v.Bytes).String()); k != "" && (mac == "" || k < mac) {
			mac = k
		}
		return true
	}, ifPhysAddress)
	return mac, err
}

// arpTable is whom a device has as neighbours.
func arpTable(ctx context.Context, c *snmp.Client) (out []neighbour, err error) {
	err = c.Walk(ctx, snmp.Limits{Variables: maxNeighbours, Requests: 1000}, func(v pdu.Varbind) bool {
		index, ok := pdu.Below(v.OID, ipNetToMedia)
		if !ok || len(v.Bytes) != 6 {
			return true
		}
		_, index = pdu.ReadArc(index) // ifIndex
		var ip [4]byte
		for i := range ip {
			if len(index) == 0 {
				return true
			}
			var arc uint64
			if arc, index = pdu.ReadArc(index); arc > 255 {
				return true
			}
			ip[i] = byte(arc)
		}
		if len(index) == 0 {
			out = append(out, neighbour{netip.AddrFrom4(ip), net.HardwareAddr(v.Bytes).String()})
		}
		return true
	}, ipNetToMedia)
	return out, err
}

// configChanged is when the running configuration was last changed, of devices that
// tell, and what time it is now, both as values of sysUpTime. One that has not been
// changed since the device started, or since sysUpTime began anew, tells nothing: at is 0.
func configChanged(ctx context.Context, c *snmp.Client, sysObjectID string) (at, up uint64, err error) {
	var of []byte
	switch {
	case hasArcs(sysObjectID, "1.3.6.1.4.1.9."):
		of = ccmRunning
	case hasArcs(sysObjectID, "1.3.6.1.4.1.2636."):
		of = jnxCfgChange
	default:
		return 0, 0, nil
	}
	got, err := c.Get(ctx, sysUpTime, of)
	if err != nil {
		return 0, 0, err
	}
	for _, v := range got {
		switch {
		case v.Tag != pdu.TagTimeTicks:
		case string(v.OID) == string(sysUpTime):
			up = v.Num
		case string(v.OID) == string(of):
			at = v.Num
		}
	}
	if at > up {
		at = 0
	}
	return at, up, nil
}

// ticks is a difference of TimeTicks.
func ticks(n uint64) time.Duration { return time.Duration(n) * 10 * time.Millisecond }

func hasArcs(oid, prefix string) bool { return len(oid) > len(prefix) && oid[:len(prefix)] == prefix }
