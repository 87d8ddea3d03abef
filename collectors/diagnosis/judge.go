package diagnosis

import (
	"slices"
)

// JudgeVersion changes whenever the same facts may give another verdict. Evidence
// bears it.
const JudgeVersion = 1

// Judge makes a verdict of facts. It has no clock and does no I/O, and the order of
// the facts does not matter.
//
// Every rule that has something to say is asked, from the box outwards, and the first
// one's verdict is it; what the others found is in Also. A rule looks at its own layer
// only while nothing speaks against the one below, so that what merely follows is not
// told as another fault.
func Judge(facts []Fact, base Baseline, contract Contract) Verdict {
	v := newView(facts, base, contract)
	var found []*finding
	for _, r := range rules {
		if f := r(v); f != nil {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return v.noFinding()
	}
	first := found[0]
	out := Verdict{Code: first.code, Owner: first.owner, Confidence: first.confidence(), Why: first.why()}
	for _, f := range found[1:] {
		if f.code != out.Code && !slices.Contains(out.Also, f.code) {
			out.Also = append(out.Also, f.code)
		}
	}
	out.Sentence = sentence(out, contract)
	return out
}

// rules in the order of precedence. What blinds the box comes first; a login page
// comes before the line that it seems to cut; what merely stands out comes last.
var rules = []func(*view) *finding{
	ruleBlind, rulePowerDown, ruleLink, ruleLease, ruleDuplicate, ruleRogue, ruleGateway, ruleWANPort,
	rulePortal, ruleAccess, rulePath, ruleInternet,
	ruleResolver, ruleHijack, ruleMTU, ruleClock, rulePartial,
	ruleIntercepted, ruleExpired, ruleBroker, ruleAuth, ruleTaken, ruleBusy, ruleHub,
	ruleSelf, ruleDNS53, ruleV6, rulePower, ruleBackup,
}

// finding is what one rule found.
type finding struct {
	code   Code
	owner  Owner
	failed []Fact // what speaks for it
	below  []Fact // what shows that the layer below works
	bottom bool   // there is no layer below
	weak   bool   // never certain: what would tell it from something else is missing
}

func (f *finding) confidence() Confidence {
	if !f.weak && (f.bottom || len(f.below) > 0) && independent(f.failed) >= 2 {
		return Certain
	}
	return Probable
}

// independent counts failures that do not just say the same: of other names or
// targets, or the same again at another time.
func independent(fs []Fact) int {
	seen, n := map[string]bool{}, 0
	for _, f := range fs {
		if k := f.Name + "|" + f.Target; !seen[k] {
			seen[k] = true
			n += max(1, min(2, int(f.number("times"))))
		}
	}
	return n
}

func (f *finding) why() (out []string) {
	all := slices.Concat(f.below, f.failed)
	slices.SortStableFunc(all, compare)
	for _, x := range all {
		if !slices.Contains(out, x.Name) {
			out = append(out, x.Name)
		}
	}
	return out
}

// view is what rules look at: the facts in their order, without what the contract
// skips and what is the site's policy.
type view struct {
	facts    []Fact
	base     Baseline
	contract Contract
}

func newView(facts []Fact, base Baseline, contract Contract) *view {
	v := &view{base: base, contract: contract}
	for _, f := range facts {
		if (f.Result == Works || f.Result == Fails) && f.Stage == stageOf[f.Name] && !contract.skips(f) && !base.isPolicy(f) {
			v.facts = append(v.facts, f)
		}
	}
	slices.SortStableFunc(v.facts, compare)
	return v
}

func (v *view) pick(r Result, names ...string) (out []Fact) {
	for _, f := range v.facts {
		if f.Result == r && slices.Contains(names, f.Name) {
			out = append(out, f)
		}
	}
	return out
}

func (v *view) ok(names ...string) []Fact     { return v.pick(Works, names...) }
func (v *view) failed(names ...string) []Fact { return v.pick(Fails, names...) }

// is tells whether one of the names works; fails whether one fails and none of the
// same name works.
func (v *view) is(names ...string) bool { return len(v.ok(names...)) > 0 }
func (v *view) fails(name string) bool  { return len(v.failed(name)) > 0 && !v.is(name) }

// onlyFailed gives failures of those names of which nothing works.
func (v *view) onlyFailed(names ...string) (out []Fact) {
	for _, n := range names {
		if v.fails(n) {
			out = append(out, v.failed(n)...)
		}
	}
	return out
}

// reach is what shows that something outside is reached right now. That the sender
// believes to have a session does not: it takes it a while to notice.
func (v *view) reach() []Fact {
	return v.ok(AnchorICMP, AnchorTCP, AnchorDNS, ResolverPublic, BrokerTCP, ClockNTP)
}

// self is what shows that the box itself works.
func (v *view) self() []Fact { return v.ok(SelfDisk, SelfMemory, SelfSockets, SelfStalled) }

// gatewayWorks is what shows that the gateway is there.
func (v *view) gatewayWorks() []Fact {
	out := v.ok(GatewayARP, GatewayICMP)
	for _, f := range v.ok(Hop) {
		if f.number("ttl") == 1 {
			out = append(out, f)
		}
	}
	return out
}

// providers sorts the anchors of a family into those of which something answers and
// those of which nothing does.
func (v *view) providers(family int) (ok, failed []string) {
	answers := map[string]bool{}
	for _, f := range v.facts {
		if f.Stage == StageAnchors && f.Family == family {
			answers[f.Target] = answers[f.Target] || f.Result == Works
		}
	}
	for p, a := range answers {
		if a {
			ok = append(ok, p)
		} else {
			failed = append(failed, p)
		}
	}
	return ok, failed
}

// anchors gives the failed facts of anchors of a family.
func (v *view) anchors(family int) (out []Fact) {
	for _, f := range v.failed(AnchorICMP, AnchorTCP, AnchorDNS) {
		if f.Family == family {
			out = append(out, f)
		}
	}
	return out
}

// outside gives the failures that show that nothing outside answers: those of anchors
// of two providers at least, or of the uplink where only that goes out.
func (v *view) outside() []Fact {
	if len(v.reach()) > 0 {
		return nil
	}
	if v.contract.Internet != InternetFull && v.contract.Internet != "" {
		return v.failed(BrokerTCP)
	}
	ok, failed := v.providers(4)
	ok6, failed6 := v.providers(6)
	if len(ok)+len(ok6) > 0 || max(len(failed), len(failed6)) < 2 {
		return nil
	}
	return v.failed(AnchorICMP, AnchorTCP, AnchorDNS)
}

// noFinding tells that all is well from that something is wrong that has no name.
func (v *view) noFinding() Verdict {
	_, none := v.providers(4)
	some, _ := v.providers(4)
	wrong := v.onlyFailed(Connected, BrokerTCP, BrokerResolve, Address, Route, ResolverLocal, ClockNTP)
	if len(some) == 0 && len(none) > 0 {
		wrong = append(wrong, v.anchors(4)...)
	}
	out := Verdict{Code: OK, Owner: Nobody, Confidence: Unsure}
	if len(wrong) > 0 {
		out.Code = Undetermined
		out.Why = (&finding{failed: wrong}).why()
	} else {
		good := slices.Concat(v.ok(Connected), v.gatewayWorks(), v.reach())
		out.Why = (&finding{below: good}).why()
		switch {
		case independent(good) >= 3 && len(v.reach())+len(v.ok(Connected)) >= 2:
			out.Confidence = Certain
		case len(good) > 0:
			out.Confidence = Probable
		}
	}
	out.Sentence = sentence(out, v.contract)
	return out
}
