package diagnosis

import (
	"maps"
	"slices"
)

// acceptance is how many good diagnoses make the acceptance test: what failed in all of
// them is the site's policy.
const acceptance = 3

// Learn gives the baseline after a diagnosis of all stages. It learns of what is
// certainly fine, and at first, while the site is being accepted, of whatever works as
// far as the MSP: what fails then is how the site is meant to be.
func (b Baseline) Learn(facts []Fact, v Verdict) Baseline {
	switch {
	case b.Good < acceptance && acceptable(facts, v):
		b.accept(facts)
	case b.Good >= acceptance && v.Code == OK && v.Confidence == Certain:
	default:
		return b
	}
	b.Good = min(b.Good+1, 1<<20)
	b.Hops, b.BrokerSPKI = maps.Clone(b.Hops), slices.Clone(b.BrokerSPKI)
	for _, f := range facts {
		b.learn(f)
	}
	return b
}

// acceptable tells whether a site may be accepted as it is: its uplink works, and what
// is wrong besides may be on purpose.
func acceptable(facts []Fact, v Verdict) bool {
	works := slices.ContainsFunc(facts, func(f Fact) bool { return f.Name == Connected && f.Result == Works })
	switch v.Code {
	case OK:
		return works || v.Confidence == Certain
	case DNS53Blocked, DNSHijack, MTUBlackhole, Partial, WANPortDown:
		return works
	}
	return false
}

func (b *Baseline) accept(facts []Fact) {
	var policy []string
	for _, f := range facts {
		if f.Result == Fails && mayBePolicy(f) && (b.Good == 0 || slices.Contains(b.Policy, f.key())) && len(policy) < maxPolicy {
			policy = append(policy, f.key())
		}
	}
	slices.Sort(policy)
	b.Policy = slices.Compact(policy)
}

func (b *Baseline) learn(f Fact) {
	works := f.Result == Works
	switch f.Name {
	case Hop:
		if b.Hops == nil {
			b.Hops = map[int]string{}
		}
		if ttl := int(f.number("ttl")); works && ttl >= 1 && ttl <= maxHops {
			b.Hops[ttl] = f.Detail
		} else {
			delete(b.Hops, ttl) // it cannot be counted on
		}
	case AnchorICMP, AnchorTCP, AnchorDNS:
		b.IPv4, b.IPv6 = b.IPv4 || works && f.Family == 4, b.IPv6 || works && f.Family == 6
	case GatewayICMP:
		b.GatewayICMP = works
	case GatewayARP:
		if works && len(f.Detail) == len("00:00:00:00:00:00") {
			b.GatewayMAC = f.Detail
		}
	case MTUPath:
		if works {
			b.MTU = max(b.MTU, int(f.number("mtu")))
		}
	case DHCPServers:
		if works {
			b.DHCPServers = int(f.number("servers"))
		}
	case BrokerPin:
		if f.Detail != "" && !slices.Contains(b.BrokerSPKI, f.Detail) {
			b.BrokerSPKI = append(b.BrokerSPKI, f.Detail)
			b.BrokerSPKI = b.BrokerSPKI[max(0, len(b.BrokerSPKI)-maxSPKI):]
		}
	case WANAddress:
		if works || b.WANAddress == "" {
			b.WANAddress = f.Detail
		}
	}
}
