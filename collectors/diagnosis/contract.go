package diagnosis

import (
	"errors"
	"fmt"
	"slices"
)

// The words of the site file's site.internet.
const (
	InternetFull    = "full"
	InternetLimited = "limited" // only the uplink goes out: nothing else is asked
	InternetNone    = "none"    // nothing goes out
)

// Contract says whose what is at a site, and how its line is called. It is part of
// evidence: the same facts under another contract have another owner.
type Contract struct {
	Gateway  Owner  `json:"gateway"`
	WAN      Owner  `json:"wan"` // the line, and what is behind it
	LAN      Owner  `json:"lan"`
	Broker   Owner  `json:"broker"`
	Internet string `json:"internet"`

	ISP     string `json:"isp,omitempty"`
	Circuit string `json:"circuit,omitempty"`
	Hotline string `json:"hotline,omitempty"`

	Providers int `json:"providers,omitempty"` // of how many an anchor is configured; 0: not known
}

// DefaultContract is that of most sites.
func DefaultContract() Contract {
	return Contract{Gateway: Customer, WAN: ISP, LAN: Customer, Broker: MSP, Internet: InternetFull}
}

// skips tells whether the contract says that something is not to be asked.
func (c Contract) skips(f Fact) bool {
	switch c.Internet {
	case InternetNone:
		return f.Stage >= StagePath && f.Stage <= StageClock
	case InternetLimited:
		return f.Stage == StageAnchors || f.Stage == StagePortal || f.Name == ResolverPublic
	}
	return false
}

// Baseline is what is usual at a site, learned in good times. The zero Baseline knows
// nothing.
type Baseline struct {
	Hops        map[int]string `json:"hops,omitempty"`         // who answers at which distance
	IPv4        bool           `json:"ipv4,omitempty"`         // it works
	IPv6        bool           `json:"ipv6,omitempty"`         // likewise
	GatewayICMP bool           `json:"gateway_icmp,omitempty"` // the gateway answers echo requests
	GatewayMAC  string         `json:"gateway_mac,omitempty"`
	MTU         int            `json:"mtu,omitempty"`
	DHCPServers int            `json:"dhcp_servers,omitempty"`
	BrokerSPKI  []string       `json:"broker_spki,omitempty"` // SHA-256, hexadecimal
	WANAddress  string         `json:"wan_address,omitempty"` // as the hub sees it
	Policy      []string       `json:"policy,omitempty"`      // keys of what failed at the acceptance test already
	Good        int            `json:"good,omitempty"`        // diagnoses that were certainly fine
}

// The bounds of a baseline.
const (
	maxHops   = 4
	maxSPKI   = 4
	maxPolicy = 64
)

// Validate tells whether the baseline is within its bounds.
func (b Baseline) Validate() error {
	switch {
	case len(b.Hops) > maxHops, len(b.BrokerSPKI) > maxSPKI, len(b.Policy) > maxPolicy:
		return errors.New("the baseline has too many entries")
	case b.MTU < 0 || b.MTU > 1<<16 || b.DHCPServers < 0 || b.DHCPServers > 64 || b.Good < 0:
		return errors.New("a number of the baseline is out of bounds")
	}
	for ttl, a := range b.Hops {
		if ttl < 1 || ttl > maxHops || len(a) > maxTarget {
			return fmt.Errorf("the baseline's hop %d is out of bounds", ttl)
		}
	}
	for _, s := range slices.Concat(b.BrokerSPKI, b.Policy, []string{b.GatewayMAC, b.WANAddress}) {
		if len(s) > 2*maxTarget {
			return errors.New("a text of the baseline is out of bounds")
		}
	}
	return nil
}

// isPolicy tells whether a failure is how the site is meant to be. The box, its link,
// its address, its clock and its broker are never meant to fail.
func (b Baseline) isPolicy(f Fact) bool {
	return f.Result == Fails && mayBePolicy(f) && slices.Contains(b.Policy, f.key())
}

func mayBePolicy(f Fact) bool {
	switch f.Name {
	case GatewayICMP, GatewayWAN, NamesBogus, NamesSigned, PortalHTTP, DHCPServers:
		return true
	}
	return f.Stage == StagePath || f.Stage == StageAnchors || f.Stage == StageNames || f.Stage == StageMTU
}
