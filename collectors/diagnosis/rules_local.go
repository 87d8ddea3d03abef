package diagnosis

import "slices"

// The rules for the box, its link, its address and the gateway.

// ruleBlind: what the box lacks spoils whatever else it looks at.
func ruleBlind(v *view) *finding {
	if bad := v.failed(SelfMemory, SelfSockets, SelfStalled); len(bad) > 0 {
		return &finding{code: SelfFault, owner: MSP, failed: slices.Concat(bad, v.failed(SelfDisk, SelfHeat)), bottom: true}
	}
	return nil
}

// ruleSelf: the box works, but not for long.
func ruleSelf(v *view) *finding {
	if bad := v.failed(SelfDisk, SelfHeat); len(bad) > 0 {
		return &finding{code: SelfFault, owner: MSP, failed: bad, bottom: true}
	}
	return nil
}

// rulePowerDown: a site without power has no switch and no gateway either.
func rulePowerDown(v *view) *finding {
	power := v.failed(PowerUPS, PowerBoot)
	dead := v.onlyFailed(LinkCarrier, GatewayARP)
	if len(power) == 0 || len(dead) == 0 || len(v.reach()) > 0 {
		return nil
	}
	return &finding{code: PowerLost, owner: Customer, failed: append(power, dead...), bottom: true}
}

// rulePower: the power was away, or is, and the rest works.
func rulePower(v *view) *finding {
	if bad := v.failed(PowerUPS, PowerBoot); len(bad) > 0 {
		return &finding{code: PowerLost, owner: Customer, failed: bad, bottom: true}
	}
	return nil
}

func ruleLink(v *view) *finding {
	if !v.fails(LinkCarrier) || len(v.reach()) > 0 || v.is(GatewayARP, GatewayICMP) {
		return nil
	}
	more := v.onlyFailed(Address, Route, GatewayARP, GatewayICMP, AnchorICMP, AnchorTCP, Connected)
	return &finding{code: LinkDown, owner: v.contract.LAN, failed: append(v.failed(LinkCarrier), more...), below: v.self()}
}

// linked tells whether nothing speaks against the link.
func (v *view) linked() bool { return !v.fails(LinkCarrier) }

// ruleLease: what IPv6 reaches does not help those who need IPv4.
func ruleLease(v *view) *finding {
	lost := v.failed(Address)
	if !v.linked() || len(lost) == 0 || slices.ContainsFunc(v.reach(), func(f Fact) bool { return f.Family == 4 }) {
		return nil
	}
	more := v.onlyFailed(DHCPAnswers, Route, GatewayARP, GatewayICMP, AnchorICMP, AnchorTCP, Connected)
	return &finding{code: NoLease, owner: v.contract.LAN, failed: append(lost, more...), below: v.ok(LinkCarrier)}
}

func ruleDuplicate(v *view) *finding {
	if !v.linked() || !v.fails(AddressUnique) {
		return nil
	}
	more := v.onlyFailed(GatewayARP, GatewayICMP, AnchorICMP, AnchorTCP, Connected)
	return &finding{code: DupIP, owner: v.contract.LAN, failed: append(v.failed(AddressUnique), more...), below: v.ok(LinkCarrier)}
}

// ruleRogue: who hands out addresses besides also sends people to a gateway of its own.
func ruleRogue(v *view) *finding {
	if !v.linked() || !v.fails(DHCPServers) {
		return nil
	}
	more := v.onlyFailed(GatewaySame, GatewayARP, AnchorICMP, AnchorTCP, Connected)
	return &finding{code: RogueDHCP, owner: v.contract.LAN, failed: append(v.failed(DHCPServers), more...), below: v.ok(LinkCarrier)}
}

// addressed tells whether nothing speaks against link and address.
func (v *view) addressed() bool { return v.linked() && len(v.failed(Address)) == 0 }

// ruleGateway: an answer to ARP without one to ICMP is normal, so silence to ICMP
// counts where it used to answer.
func ruleGateway(v *view) *finding {
	if !v.addressed() || len(v.gatewayWorks()) > 0 || len(v.reach()) > 0 || v.is(Hop) {
		return nil
	}
	arp, icmp := v.failed(GatewayARP), v.failed(GatewayICMP)
	if len(arp) == 0 && (len(icmp) == 0 || !v.base.GatewayICMP || len(v.outside()) == 0) {
		return nil
	}
	f := &finding{code: GatewayDown, owner: v.contract.Gateway, below: v.ok(LinkCarrier, LANPeers), weak: len(arp) == 0}
	f.failed = slices.Concat(arp, icmp, v.onlyFailed(AnchorICMP, AnchorTCP, Connected))
	if v.fails(LANPeers) { // then it may be the switch in between
		f.failed = append(f.failed, v.failed(LANPeers)...)
		f.owner, f.weak = v.contract.LAN, true
	}
	return f
}

func ruleWANPort(v *view) *finding {
	if !v.addressed() || !v.fails(GatewayWAN) || len(v.reach()) > 0 {
		return nil
	}
	more := v.onlyFailed(AnchorICMP, AnchorTCP, BrokerTCP, Connected)
	return &finding{code: WANPortDown, owner: v.contract.Gateway, failed: append(v.failed(GatewayWAN), more...), below: v.gatewayWorks()}
}
