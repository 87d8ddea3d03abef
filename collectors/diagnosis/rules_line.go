package diagnosis

import (
	"slices"
)

// The rules for the line, what is behind it, and names.

// rulePortal: one page with another content, while all else goes through, may be that
// page's fault.
func rulePortal(v *view) *finding {
	bad := v.failed(PortalHTTP, PortalAPI)
	if !v.addressed() || len(bad) == 0 {
		return nil
	}
	if independent(bad) < 2 && v.is(BrokerChain, Connected) {
		return nil
	}
	if v.is(PortalHTTP) && !v.fails(PortalAPI) {
		return nil
	}
	below := slices.Concat(v.ok(LinkCarrier, Address), v.gatewayWorks())
	more := v.onlyFailed(AnchorICMP, AnchorTCP, NamesRandom, NamesCanary, BrokerChain, BrokerPin, Connected)
	return &finding{code: CaptivePortal, owner: v.contract.LAN, failed: append(bad, more...), below: below}
}

// hops sorts the provider's routers, those behind the gateway that are known to
// answer, into answering and silent ones. learned is false where none is known: then
// all that were asked count.
func (v *view) hops() (ok, silent []Fact, learned bool) {
	for ttl := range v.base.Hops {
		learned = learned || ttl >= 2
	}
	for _, f := range v.facts {
		ttl := int(f.number("ttl"))
		if f.Name != Hop || ttl < 2 {
			continue
		}
		if f.Result == Works {
			ok = append(ok, f)
		} else if v.base.Hops[ttl] != "" || !learned {
			silent = append(silent, f)
		}
	}
	return ok, silent, learned
}

// cut gives what shows that the line is cut somewhere behind a gateway that works;
// nil: it is not, or something nearer is to blame.
func (v *view) cut() []Fact {
	if !v.addressed() || len(v.gatewayWorks())+len(v.ok(Hop)) == 0 || v.fails(GatewayWAN) || v.failed(PortalHTTP, PortalAPI) != nil {
		return nil
	}
	return v.outside()
}

func ruleAccess(v *view) *finding {
	out := v.cut()
	ok, silent, learned := v.hops()
	if len(out) == 0 || len(ok) > 0 {
		return nil
	}
	failed := slices.Concat(silent, out, v.failed(Connected))
	return &finding{code: AccessDown, owner: v.contract.WAN, failed: failed, below: v.gatewayWorks(), weak: !learned || len(silent) == 0}
}

func rulePath(v *view) *finding {
	out := v.cut()
	ok, silent, learned := v.hops()
	if len(out) == 0 || len(ok) == 0 || len(silent) == 0 {
		return nil
	}
	return &finding{code: ISPPath, owner: v.contract.WAN, failed: slices.Concat(silent, out, v.failed(Connected)), below: ok, weak: !learned}
}

// ruleInternet wants every provider's anchors to be silent, and three of them at
// least: never is the internet down because of one anchor.
func ruleInternet(v *view) *finding {
	out := v.cut()
	ok, silent, learned := v.hops()
	if len(out) == 0 || len(ok) == 0 || len(silent) > 0 || v.contract.Internet == InternetLimited {
		return nil
	}
	_, failed := v.providers(4)
	_, failed6 := v.providers(6)
	if n := max(len(failed), len(failed6)); n < 3 || n < v.contract.Providers-v.policyProviders() {
		return nil
	}
	return &finding{code: InternetDown, owner: v.contract.WAN, failed: append(out, v.failed(Connected)...), below: ok, weak: !learned}
}

// policyProviders counts the providers none of whose anchors may be asked at this site.
func (v *view) policyProviders() int {
	seen := map[string]bool{}
	for _, k := range v.base.Policy {
		if name, target, ok := splitKey(k); ok && stageOf[name] == StageAnchors {
			seen[target] = true
		}
	}
	for _, f := range v.facts {
		if f.Stage == StageAnchors {
			delete(seen, f.Target)
		}
	}
	return len(seen)
}

func rulePartial(v *view) *finding {
	if !v.addressed() {
		return nil
	}
	ok, failed := v.providers(4)
	below := slices.Concat(v.gatewayWorks(), v.ok(Hop))
	if len(ok) > 0 && len(failed) >= 2 {
		return &finding{code: Partial, owner: v.contract.WAN, failed: ofTargets(v.anchors(4), failed), below: below}
	}
	// Echoes pass and connections do not.
	if tcp := v.onlyFailed(AnchorTCP); v.is(AnchorICMP) && targets(tcp) >= 2 && !v.is(BrokerTCP) && v.failed(PortalHTTP, PortalAPI) == nil {
		return &finding{code: Partial, owner: v.contract.WAN, failed: slices.Concat(tcp, v.failed(Connected)), below: below}
	}
	return nil
}

func ruleV6(v *view) *finding {
	ok4, _ := v.providers(4)
	ok6, failed6 := v.providers(6)
	if !v.base.IPv6 || len(ok4) == 0 || len(ok6) > 0 || len(failed6) < 2 {
		return nil
	}
	return &finding{code: V6OnlyDown, owner: v.contract.WAN, failed: v.anchors(6), below: v.ok(AnchorICMP, AnchorTCP, AnchorDNS)}
}

// internet is what shows, without names, that the internet works.
func (v *view) internet() []Fact {
	return v.ok(AnchorICMP, AnchorTCP, AnchorDNS, ResolverPublic)
}

func ruleResolver(v *view) *finding {
	bad := v.onlyFailed(ResolverLocal)
	if !v.addressed() || len(bad) == 0 || v.is(ResolverTCP) {
		return nil
	}
	below := v.internet()
	if len(below) == 0 && v.contract.Internet != InternetFull {
		below = v.ok(BrokerTCP)
	}
	if len(below) == 0 {
		return nil
	}
	failed := slices.Concat(bad, v.failed(ResolverTCP), v.failed(BrokerResolve))
	return &finding{code: ResolverDown, owner: v.resolverOwner(bad), failed: failed, below: below}
}

// resolverOwner is whose a resolver is, by where it stands.
func (v *view) resolverOwner(rs []Fact) Owner {
	for _, f := range rs {
		switch {
		case f.number("gateway") == 1:
			return v.contract.Gateway
		case f.number("private") == 1:
			return v.contract.LAN
		}
	}
	return v.contract.WAN
}

// ruleHijack: that a resolver does not check signatures is common, and alone means
// nothing.
func ruleHijack(v *view) *finding {
	lies := v.failed(NamesRandom, NamesCanary)
	if !v.addressed() || len(lies) == 0 || v.failed(PortalHTTP, PortalAPI) != nil {
		return nil
	}
	below := slices.Concat(v.ok(ResolverLocal, ResolverPublic), v.internet())
	owner := v.contract.WAN
	if local := v.ok(ResolverLocal); len(local) > 0 && !v.liesElsewhere(lies) {
		owner = v.resolverOwner(local)
	}
	return &finding{code: DNSHijack, owner: owner, failed: slices.Concat(lies, v.failed(NamesBogus)), below: below}
}

// liesElsewhere tells whether another resolver than the site's gives false answers,
// too: then somebody on the way does.
func (v *view) liesElsewhere(lies []Fact) bool {
	for _, f := range lies {
		for _, p := range v.ok(ResolverPublic) {
			if p.Target == f.Target {
				return true
			}
		}
	}
	return false
}

func ruleDNS53(v *view) *finding {
	bad := v.onlyFailed(ResolverPublic)
	below := v.ok(ResolverLocal, ResolverTCP)
	works := v.ok(AnchorICMP, AnchorTCP)
	if targets(bad) < 2 || len(below) == 0 || len(works) == 0 || v.is(AnchorDNS) {
		return nil
	}
	return &finding{code: DNS53Blocked, owner: v.contract.Gateway, failed: append(bad, v.failed(AnchorDNS)...), below: append(below, works...)}
}

// ruleMTU: that small packets pass is shown by whatever is reached.
func ruleMTU(v *view) *finding {
	bad := v.onlyFailed(MTUPath, MTUWrite)
	if !v.addressed() || len(bad) == 0 || len(v.reach()) == 0 {
		return nil
	}
	if independent(bad) < 2 && v.is(MTUPath, MTUWrite) {
		return nil // one way of looking is contradicted by the other
	}
	return &finding{code: MTUBlackhole, owner: v.contract.WAN, failed: bad, below: v.reach()}
}

// ruleBackup: it works over another line, or from another address.
func ruleBackup(v *view) *finding {
	address := v.failed(WANAddress)
	port := v.onlyFailed(GatewayWAN)
	if len(v.reach())+len(v.ok(Connected)) == 0 || len(address)+len(port) == 0 {
		return nil
	}
	below := append(v.reach(), v.ok(Connected)...)
	return &finding{code: OnBackupWAN, owner: v.contract.WAN, failed: slices.Concat(address, port, v.failed(PathSame)), below: below}
}

// targets counts the different targets of facts.
func targets(fs []Fact) int {
	seen := map[string]bool{}
	for _, f := range fs {
		seen[f.Target] = true
	}
	return len(seen)
}

func ofTargets(fs []Fact, names []string) (out []Fact) {
	for _, f := range fs {
		if slices.Contains(names, f.Target) {
			out = append(out, f)
		}
	}
	return out
}
