package diagnosis

import (
	"math"
	"slices"
	"strings"
)

// The rules for the clock, the broker, the session and the hub.

// alike is how far apart two servers' times may be to be the same, in milliseconds.
const alike = 2000

// ruleClock wants a majority of the servers that answer, two at least, that agree with
// one another about how wrong the clock is.
func ruleClock(v *view) *finding {
	bad := v.failed(ClockNTP)
	if len(bad) < 2 || len(bad) <= len(v.ok(ClockNTP)) {
		return nil
	}
	sorted := slices.Clone(bad)
	slices.SortFunc(sorted, func(a, b Fact) int { return int(math.Copysign(1, a.number("offset_ms")-b.number("offset_ms"))) })
	middle := sorted[len(sorted)/2].number("offset_ms")
	var agree []Fact
	for _, f := range bad {
		if math.Abs(f.number("offset_ms")-middle) <= alike {
			agree = append(agree, f)
		}
	}
	if len(agree) < 2 || 2*len(agree) <= len(bad)+len(v.ok(ClockNTP)) {
		return nil
	}
	below := slices.Concat(v.gatewayWorks(), v.internet())
	return &finding{code: ClockWrong, owner: MSP, failed: agree, below: below, weak: len(agree) < 3}
}

// ruleIntercepted: a chain that leads elsewhere, or to another name, and another key
// than ever before. A new key alone is a certificate that was renewed.
func ruleIntercepted(v *view) *finding {
	if !v.fails(BrokerChain) || v.clockDoubtful() || v.failed(PortalHTTP, PortalAPI) != nil {
		return nil
	}
	return &finding{code: Intercepted, owner: v.contract.LAN, failed: slices.Concat(v.failed(BrokerChain, BrokerPin)), below: v.ok(BrokerTCP)}
}

// clockDoubtful tells whether the clock may be the reason.
func (v *view) clockDoubtful() bool { return v.fails(ClockNTP) }

// ruleExpired is certain only where the clock was shown to be right: a certificate
// from the future is a clock from the past.
func ruleExpired(v *view) *finding {
	bad := v.onlyFailed(BrokerExpiry, BoxExpiry)
	if len(bad) == 0 {
		return nil
	}
	f := &finding{code: CertExpired, owner: MSP, failed: append(bad, v.failed(Connected)...), below: v.ok(BrokerTCP)}
	f.weak = !v.is(ClockNTP)
	return f
}

// ruleBroker: the internet works and the broker cannot be connected to. Where only
// the uplink goes out, the provider's routers show that the line works.
func ruleBroker(v *view) *finding {
	bad := v.onlyFailed(BrokerTCP)
	if ok6, failed6 := v.providers(6); len(ok6) == 0 && len(failed6) > 0 {
		bad = slices.DeleteFunc(bad, func(f Fact) bool { return f.Family == 6 })
	}
	if !v.addressed() || len(bad) == 0 {
		return nil
	}
	below := v.internet()
	weak := false
	if len(below) == 0 && v.contract.Internet != InternetFull && len(v.failed(BrokerTCP)) > 0 {
		ok, silent, learned := v.hops()
		if len(silent) > 0 {
			return nil
		}
		below, weak = ok, !learned
		if v.contract.Internet == InternetNone { // then it is on the site's own network
			below, weak = v.gatewayWorks(), false
		}
	}
	if len(below) == 0 {
		return nil
	}
	return &finding{code: BrokerBlocked, owner: v.contract.Broker, failed: append(bad, v.failed(Connected)...), below: below, weak: weak}
}

// refused makes the finding of something that the broker said.
func (v *view) refused(name string, code Code) *finding {
	bad := v.failed(name)
	if len(bad) == 0 {
		return nil
	}
	return &finding{code: code, owner: MSP, failed: append(bad, v.failed(Connected)...), below: v.ok(BrokerTCP, BrokerChain)}
}

func ruleAuth(v *view) *finding  { return v.refused(SessionAuth, AuthRefused) }
func ruleBusy(v *view) *finding  { return v.refused(SessionBusy, BrokerBusy) }
func ruleTaken(v *view) *finding { return v.refused(SessionTaken, IDTaken) }

func ruleHub(v *view) *finding {
	if bad := v.failed(HubAck); len(bad) > 0 && !v.fails(Connected) {
		return &finding{code: HubStall, owner: MSP, failed: bad, below: v.ok(Connected)}
	}
	return nil
}

// splitKey takes a fact's key apart.
func splitKey(key string) (name, target string, ok bool) {
	name, rest, ok := strings.Cut(key, "|")
	i := strings.LastIndexByte(rest, '|')
	if !ok || i < 0 {
		return "", "", false
	}
	return name, rest[:i], true
}
