package diagnosis

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"
)

// healthy are the facts of a site at which everything works, in a form that is easily
// changed.
func healthy() []Fact {
	fs := []Fact{
		NewFact(SelfDisk, "", 0, Works, ""), NewFact(SelfMemory, "", 0, Works, ""), NewFact(SelfSockets, "", 0, Works, ""),
		NewFact(LinkCarrier, "eth0", 0, Works, ""), NewFact(Address, "", 4, Works, ""), NewFact(AddressUnique, "", 4, Works, ""), NewFact(Route, "", 4, Works, ""),
		NewFact(DHCPServers, "", 4, Works, "").With("servers", 1),
		NewFact(GatewayARP, "192.0.2.1", 4, Works, ""), NewFact(GatewayICMP, "192.0.2.1", 4, Works, ""), NewFact(GatewayWAN, "192.0.2.1", 0, Works, ""),
		NewFact(ResolverLocal, "192.0.2.1", 4, Works, "").With("private", 1), NewFact(ResolverTCP, "192.0.2.1", 4, Works, ""),
		NewFact(NamesRandom, "192.0.2.1", 4, Works, ""), NewFact(NamesCanary, "192.0.2.1", 4, Works, ""), NewFact(NamesBogus, "192.0.2.1", 4, Works, ""),
		NewFact(PortalHTTP, "portal.example", 0, Works, ""),
		NewFact(MTUPath, "a", 4, Works, "").With("mtu", 1500), NewFact(MTUWrite, "broker", 4, Works, ""),
		NewFact(BrokerResolve, "broker", 0, Works, ""), NewFact(BrokerTCP, "broker", 4, Works, ""), NewFact(BrokerChain, "broker", 0, Works, ""),
		NewFact(BrokerExpiry, "broker", 0, Works, ""), NewFact(BrokerPin, "broker", 0, Works, ""),
		NewFact(Connected, "", 0, Works, ""), NewFact(HubAck, "", 0, Works, ""), NewFact(PowerUPS, "", 0, Works, ""), NewFact(WANAddress, "", 0, Works, ""),
	}
	for ttl := 1; ttl <= 4; ttl++ {
		fs = append(fs, NewFact(Hop, fmt.Sprint("ttl ", ttl), 4, Works, fmt.Sprint("h", ttl)).With("ttl", float64(ttl)))
	}
	for _, p := range []string{"a", "b", "c"} {
		for _, n := range []string{AnchorICMP, AnchorTCP, AnchorDNS} {
			fs = append(fs, NewFact(n, p, 4, Works, ""), NewFact(n, p, 6, Works, ""))
		}
		fs = append(fs, NewFact(ResolverPublic, p, 4, Works, ""), NewFact(ClockNTP, "ntp "+p, 0, Works, "").With("offset_ms", 3))
	}
	return fs
}

// change is what differs from a healthy site: the facts of a name (and a target, if
// given after a slash, or of a whole stage, if it is one's name) get a result.
type change struct {
	what string
	to   Result
}

func fail(what ...string) (cs []change) {
	for _, w := range what {
		cs = append(cs, change{w, Fails})
	}
	return cs
}

func with(fs []Fact, cs ...change) []Fact {
	fs = slices.Clone(fs)
	for _, c := range cs {
		hit := false
		_, named := stageOf[c.what]
		for i := range fs {
			if f := &fs[i]; c.what == f.Name || c.what == f.Name+"/"+f.Target || c.what == fmt.Sprintf("%s/%d", f.Name, f.Family) || !named && c.what == f.Stage.String() {
				f.Result, hit = c.to, true
			}
		}
		if !hit {
			fs = append(fs, NewFact(c.what, "", 0, c.to, ""))
		}
	}
	return fs
}

// dead makes those facts failed and leaves unknown what could not be looked at then.
func dead(more ...string) (cs []change) {
	cs = []change{{"names", Unknown}, {"portal", Unknown}, {"mtu", Unknown}, {"clock", Unknown}, {"broker", Unknown}, {"hub", Unknown}, {WANAddress, Unknown}}
	return append(cs, fail(append([]string{"anchors", ResolverPublic, BrokerTCP, Connected}, more...)...)...)
}

func base() Baseline {
	return Baseline{Hops: map[int]string{1: "192.0.2.1", 2: "h2", 3: "h3", 4: "h4"}, IPv6: true, GatewayICMP: true, MTU: 1500, DHCPServers: 1}
}

func contract() Contract {
	c := DefaultContract()
	c.ISP, c.Circuit, c.Hotline, c.Providers = "Telekom", "49-30", "0800 1", 3
	return c
}

type verdictCase struct {
	name  string
	facts []Fact
	code  Code
	owner Owner
	conf  Confidence
	also  []Code
}

func times(fs []Fact, name string, n float64) []Fact {
	fs = slices.Clone(fs)
	for i := range fs {
		if fs[i].Name == name {
			fs[i] = fs[i].With("times", n)
		}
	}
	return fs
}

func clockOff(fs []Fact, ms float64, servers ...string) []Fact {
	fs = slices.Clone(fs)
	for i := range fs {
		if fs[i].Name == ClockNTP && slices.Contains(servers, fs[i].Target) {
			fs[i].Result = Fails
			fs[i] = fs[i].With("offset_ms", ms)
		}
	}
	return fs
}

func verdictCases() []verdictCase {
	ok := healthy()
	expired := append(fail(BrokerExpiry, Connected), change{BrokerChain, Works})
	return []verdictCase{
		{"all is well", ok, OK, Nobody, Certain, nil},
		{"nothing known", nil, OK, Nobody, Unsure, nil},
		{"memory", with(ok, fail(SelfMemory)...), SelfFault, MSP, Probable, nil},
		{"memory and sockets", with(ok, fail(SelfMemory, SelfSockets)...), SelfFault, MSP, Certain, nil},
		{"disk", with(ok, fail(SelfDisk)...), SelfFault, MSP, Probable, nil},
		{"disk while the line is down", with(ok, dead(SelfDisk, "path_hop/ttl 2", "path_hop/ttl 3", "path_hop/ttl 4")...), AccessDown, ISP, Certain, []Code{SelfFault}},
		{"on battery", with(ok, fail(PowerUPS)...), PowerLost, Customer, Probable, nil},
		{"on battery after a cut", with(ok, fail(PowerUPS, PowerBoot)...), PowerLost, Customer, Certain, nil},
		{"on battery, the switch is out", with(ok, dead(PowerUPS, LinkCarrier, "gateway", "path")...), PowerLost, Customer, Certain, []Code{LinkDown}},
		{"carrier", with(ok, dead(LinkCarrier, "gateway", "path", Route)...), LinkDown, Customer, Certain, nil},
		{"carrier alone", []Fact{NewFact(LinkCarrier, "eth0", 0, Fails, "")}, LinkDown, Customer, Probable, nil},
		{"carrier of another port", with(ok, fail(LinkCarrier)...), OK, Nobody, Certain, nil},
		{"no lease", with(ok, dead(Address, DHCPAnswers, Route, "gateway", "path")...), NoLease, Customer, Certain, nil},
		{"no lease, the link unknown", with(ok, append(dead(Address, DHCPAnswers, Route, "gateway", "path"), change{LinkCarrier, Unknown})...), NoLease, Customer, Probable, nil},
		{"address taken", times(with(ok, fail(AddressUnique)...), AddressUnique, 3), DupIP, Customer, Certain, nil},
		{"address taken, seen once", with(ok, fail(AddressUnique)...), DupIP, Customer, Probable, nil},
		{"rogue server", with(ok, fail(DHCPServers)...), RogueDHCP, Customer, Probable, nil},
		{"rogue server with its own gateway", with(ok, fail(DHCPServers, GatewaySame)...), RogueDHCP, Customer, Certain, nil},
		{"gateway", with(ok, append(dead(GatewayARP, GatewayICMP, "path"), change{GatewayWAN, Unknown})...), GatewayDown, Customer, Certain, nil},
		{"gateway, unprivileged", with(ok, append(dead(GatewayICMP, "path"), change{GatewayARP, Unknown}, change{GatewayWAN, Unknown})...), GatewayDown, Customer, Probable, nil},
		{"gateway and all besides", with(ok, append(dead(GatewayARP, GatewayICMP, "path", LANPeers), change{GatewayWAN, Unknown})...), GatewayDown, Customer, Probable, nil},
		{"gateway without ICMP is normal", with(ok, fail(GatewayICMP)...), OK, Nobody, Certain, nil},
		{"WAN port", with(ok, dead(GatewayWAN, "path_hop/ttl 2", "path_hop/ttl 3", "path_hop/ttl 4")...), WANPortDown, Customer, Certain, nil},
		{"access", with(ok, dead("path_hop/ttl 2", "path_hop/ttl 3", "path_hop/ttl 4")...), AccessDown, ISP, Certain, nil},
		{"access, no path known", slices.DeleteFunc(with(ok, dead()...), func(f Fact) bool { return f.Stage == StagePath }), AccessDown, ISP, Probable, nil},
		{"within the provider", with(ok, dead("path_hop/ttl 3", "path_hop/ttl 4")...), ISPPath, ISP, Certain, nil},
		{"internet", with(ok, dead()...), InternetDown, ISP, Certain, nil},
		{"two providers of three", with(ok, fail("anchor_icmp/a", "anchor_tcp/a", "anchor_dns/a", "anchor_icmp/b", "anchor_tcp/b", "anchor_dns/b", Connected, BrokerTCP)...), Partial, ISP, Certain, []Code{BrokerBlocked}},
		{"one provider of three", with(ok, fail("anchor_icmp/a", "anchor_tcp/a", "anchor_dns/a")...), OK, Nobody, Certain, nil},
		{"echoes pass, connections do not", with(ok, fail(AnchorTCP, BrokerTCP, Connected)...), Partial, ISP, Certain, []Code{BrokerBlocked}},
		{"IPv6", with(ok, fail("anchor_icmp/6", "anchor_tcp/6", "anchor_dns/6")...), V6OnlyDown, ISP, Certain, nil},
		{"resolver", with(ok, append(fail(ResolverLocal, ResolverTCP), change{NamesRandom, Unknown}, change{NamesCanary, Unknown}, change{NamesBogus, Unknown})...), ResolverDown, Customer, Certain, nil},
		{"resolver over UDP only", with(ok, fail(ResolverLocal)...), Undetermined, Nobody, Unsure, nil},
		{"names that cannot exist", with(ok, fail(NamesRandom, NamesCanary)...), DNSHijack, Customer, Certain, nil},
		{"one false name", with(ok, fail(NamesRandom)...), DNSHijack, Customer, Probable, nil},
		{"a resolver that does not validate", with(ok, fail(NamesBogus)...), OK, Nobody, Certain, nil},
		{"port 53", with(ok, fail(ResolverPublic, AnchorDNS)...), DNS53Blocked, Customer, Certain, nil},
		{"portal", with(ok, append(dead(PortalHTTP, NamesRandom, "path_hop/ttl 2"), change{BrokerTCP, Unknown})...), CaptivePortal, Customer, Certain, nil},
		{"portal tells", with(ok, append(dead(PortalHTTP, PortalAPI), change{BrokerTCP, Unknown})...), CaptivePortal, Customer, Certain, nil},
		{"a page was changed", with(ok, fail(PortalHTTP)...), OK, Nobody, Certain, nil},
		{"large packets", with(ok, append(fail(MTUPath, MTUWrite, Connected), change{BrokerChain, Unknown}, change{BrokerExpiry, Unknown}, change{BrokerPin, Unknown})...), MTUBlackhole, ISP, Certain, nil},
		{"large echoes alone", with(ok, fail(MTUPath)...), OK, Nobody, Certain, nil},
		{"clock", clockOff(ok, 3.6e6, "ntp a", "ntp b", "ntp c"), ClockWrong, MSP, Certain, nil},
		{"clock, two of three", clockOff(ok, 3.6e6, "ntp a", "ntp b"), ClockWrong, MSP, Probable, nil},
		{"one wrong server", clockOff(ok, 3.6e6, "ntp a"), OK, Nobody, Certain, nil},
		{"wrong servers that disagree", clockOff(clockOff(ok, 3.6e6, "ntp a"), -9e6, "ntp b"), OK, Nobody, Certain, nil},
		{"clock and certificate", clockOff(with(ok, expired...), 3.6e6, "ntp a", "ntp b", "ntp c"), ClockWrong, MSP, Certain, []Code{CertExpired}},
		{"broker", times(with(ok, append(fail(BrokerTCP, Connected), change{BrokerChain, Unknown}, change{BrokerExpiry, Unknown}, change{MTUWrite, Unknown})...), BrokerTCP, 2), BrokerBlocked, MSP, Certain, nil},
		{"broker, still a session", with(ok, change{BrokerTCP, Fails}), BrokerBlocked, MSP, Probable, nil},
		{"certificate", with(ok, expired...), CertExpired, MSP, Certain, nil},
		{"certificate, the clock unknown", with(ok, append(expired, change{"clock", Unknown})...), CertExpired, MSP, Probable, nil},
		{"the box's certificate", with(ok, fail(BoxExpiry, Connected)...), CertExpired, MSP, Certain, nil},
		{"intercepted", with(ok, fail(BrokerChain, BrokerPin, Connected)...), Intercepted, Customer, Certain, nil},
		{"a chain of somebody", with(ok, append(fail(BrokerChain, Connected), change{BrokerPin, Unknown})...), Intercepted, Customer, Probable, nil},
		{"a new key", with(ok, fail(BrokerPin)...), OK, Nobody, Certain, nil},
		{"refused", times(with(ok, fail(SessionAuth, Connected)...), SessionAuth, 2), AuthRefused, MSP, Certain, nil},
		{"busy", with(ok, fail(SessionBusy, Connected)...), BrokerBusy, MSP, Certain, nil},
		{"identity taken", times(with(ok, fail(SessionTaken)...), SessionTaken, 4), IDTaken, MSP, Certain, nil},
		{"hub", times(with(ok, fail(HubAck)...), HubAck, 3), HubStall, MSP, Certain, nil},
		{"hub, for a moment", with(ok, fail(HubAck)...), HubStall, MSP, Probable, nil},
		{"backup line", with(ok, fail(WANAddress)...), OnBackupWAN, ISP, Probable, nil},
		{"backup line, the port is down", with(ok, fail(WANAddress, GatewayWAN, PathSame)...), OnBackupWAN, ISP, Certain, nil},
		{"no session, and no reason", with(ok, fail(Connected)...), Undetermined, Nobody, Unsure, nil},
		{"two anchors, no more", []Fact{NewFact(AnchorICMP, "a", 4, Fails, ""), NewFact(AnchorICMP, "b", 4, Fails, "")}, Undetermined, Nobody, Unsure, nil},
	}
}

func TestJudge(t *testing.T) {
	seen := map[Code]bool{}
	for _, c := range verdictCases() {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(c.facts, base(), contract())
			seen[v.Code] = true
			if v.Code != c.code || v.Owner != c.owner || v.Confidence != c.conf || !slices.Equal(v.Also, c.also) {
				t.Errorf("%s of %s, %s, also %v, for %v; want %s of %s, %s, also %v\n%s", v.Code, v.Owner, v.Confidence, v.Also, v.Why, c.code, c.owner, c.conf, c.also, v.Sentence)
			}
			if v.Sentence == "" {
				t.Error("without a sentence")
			}
		})
	}
	for code := range what {
		if !seen[code] {
			t.Errorf("no case for %s", code)
		}
	}
}

func TestContracts(t *testing.T) {
	access := with(healthy(), dead("path_hop/ttl 2", "path_hop/ttl 3", "path_hop/ttl 4")...)
	for _, c := range []struct {
		name   string
		facts  []Fact
		base   Baseline
		change func(*Contract)
		code   Code
		owner  Owner
		conf   Confidence
	}{
		{"the gateway is the provider's", with(healthy(), append(dead(GatewayARP, GatewayICMP, "path"), change{GatewayWAN, Unknown})...), base(), func(c *Contract) { c.Gateway = ISP }, GatewayDown, ISP, Certain},
		{"the line is the MSP's", access, base(), func(c *Contract) { c.WAN = MSP }, AccessDown, MSP, Certain},
		{"without internet nothing outside is missed", with(access, change{Connected, Unknown}, change{BrokerTCP, Unknown}), base(), func(c *Contract) { c.Internet = InternetNone }, OK, Nobody, Probable},
		{"limited: anchors are not missed", with(healthy(), fail("anchors", ResolverPublic)...), base(), func(c *Contract) { c.Internet = InternetLimited }, OK, Nobody, Certain},
		{"limited: the line is down", access, base(), func(c *Contract) { c.Internet = InternetLimited }, AccessDown, ISP, Certain},
		{"limited: the broker is down", with(healthy(), dead()...), base(), func(c *Contract) { c.Internet = InternetLimited }, BrokerBlocked, MSP, Certain},
		{"never had IPv6", with(healthy(), fail("anchor_icmp/6", "anchor_tcp/6", "anchor_dns/6")...), Baseline{}, func(*Contract) {}, OK, Nobody, Certain},
		{"port 53 was always blocked", with(healthy(), fail(ResolverPublic, AnchorDNS)...), policyOf(with(healthy(), fail(ResolverPublic, AnchorDNS)...)), func(*Contract) {}, OK, Nobody, Certain},
		{"four providers are configured", with(healthy(), dead()...), base(), func(c *Contract) { c.Providers = 4 }, Undetermined, Nobody, Unsure},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := contract()
			c.change(&k)
			v := Judge(c.facts, c.base, k)
			if v.Code != c.code || v.Owner != c.owner || v.Confidence != c.conf {
				t.Errorf("%s of %s, %s, for %v; want %s of %s, %s", v.Code, v.Owner, v.Confidence, v.Why, c.code, c.owner, c.conf)
			}
		})
	}
}

func policyOf(fs []Fact) Baseline {
	b := base()
	for _, f := range fs {
		if f.Result == Fails {
			b.Policy = append(b.Policy, f.key())
		}
	}
	return b
}

func TestSentences(t *testing.T) {
	v := Judge(with(healthy(), dead("path_hop/ttl 2", "path_hop/ttl 3", "path_hop/ttl 4")...), base(), contract())
	want := "The line of Telekom (circuit 49-30) is down: the router works, nothing behind it answers. It is for Telekom (circuit 49-30) to mend, hotline 0800 1."
	if v.Sentence != want {
		t.Errorf("%q, want %q", v.Sentence, want)
	}
}

// random changes a healthy site's facts in a way that may or may not make sense.
func random(r *rand.Rand) []Fact {
	fs := healthy()
	for _, n := range []string{SelfStalled, SelfHeat, DHCPAnswers, GatewaySame, LANPeers, PathSame, PortalAPI, BoxExpiry, SessionAuth, SessionBusy, SessionTaken, PowerBoot} {
		fs = append(fs, NewFact(n, "", 0, Works, ""))
	}
	results := []Result{Works, Fails, Skipped, Unknown}
	change := func(f *Fact) {
		f.Result = results[r.IntN(len(results))]
		if r.IntN(3) == 0 {
			*f = f.With("times", float64(r.IntN(4)))
		}
	}
	for range r.IntN(4) { // whole stages
		s, to := Stage(r.IntN(int(stages))), results[r.IntN(len(results))]
		for i := range fs {
			if fs[i].Stage == s {
				fs[i].Result = to
			}
		}
	}
	p := r.Float64() * 0.6
	out := fs[:0]
	for _, f := range fs {
		if r.Float64() < p {
			change(&f)
		}
		if r.IntN(12) > 0 {
			out = append(out, f)
		}
	}
	return out
}

func TestProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	n := 1_000
	if os.Getenv("SITEPROBE_TORTURE") != "" {
		n = 100_000
	}
	certain := map[Code]int{}
	for range n {
		fs, b, c := random(r), base(), contract()
		if r.IntN(3) == 0 {
			b = Baseline{}
		}
		c.Internet = []string{InternetFull, InternetFull, InternetLimited, InternetNone}[r.IntN(4)]
		v := Judge(fs, b, c)

		mixed := slices.Clone(fs)
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if w := Judge(mixed, b, c); !reflect.DeepEqual(v, w) {
			t.Fatalf("the order matters: %+v and %+v", v, w)
		}
		if v.Confidence == Certain {
			certain[v.Code]++
		}
		holdsCertain(t, fs, v)
		holdsSkipped(t, fs, v, b, c)
		if v.Code != InternetDown {
			holdsAnchors(t, fs, b, c)
		}
	}
	t.Log("certain:", certain)
}

// holdsCertain: who is certain has seen two failures, and the layer below work; of
// what is at the bottom there is none.
func holdsCertain(t *testing.T, fs []Fact, v Verdict) {
	t.Helper()
	if v.Confidence != Certain || v.Code == OK {
		return
	}
	failures, works := 0, false
	lowest := stages
	for _, f := range fs {
		if slices.Contains(v.Why, f.Name) && f.Result == Fails {
			failures += max(1, int(f.number("times")))
			lowest = min(lowest, f.Stage)
		}
	}
	for _, f := range fs {
		if slices.Contains(v.Why, f.Name) && f.Result == Works {
			works = true
		}
	}
	if failures < 2 {
		t.Fatalf("%+v is certain of %d failures", v, failures)
	}
	if !works && v.Code != SelfFault && v.Code != PowerLost {
		t.Fatalf("%+v is certain and nothing was shown to work", v)
	}
}

// holdsSkipped: what was skipped, and what is not known, changes nothing and is never a
// reason.
func holdsSkipped(t *testing.T, fs []Fact, v Verdict, b Baseline, c Contract) {
	t.Helper()
	looked := slices.DeleteFunc(slices.Clone(fs), func(f Fact) bool { return f.Result == Skipped || f.Result == Unknown })
	if w := Judge(looked, b, c); !reflect.DeepEqual(v, w) {
		t.Fatalf("what was skipped matters: %+v and %+v", v, w)
	}
	for _, name := range v.Why {
		if !slices.ContainsFunc(looked, func(f Fact) bool { return f.Name == name }) {
			t.Fatalf("%s was not looked at, and is a reason of %+v", name, v)
		}
	}
}

// holdsAnchors: without one anchor the internet is not down, if it was not with it.
func holdsAnchors(t *testing.T, fs []Fact, b Baseline, c Contract) {
	t.Helper()
	for _, p := range []string{"a", "b", "c"} {
		without := slices.DeleteFunc(slices.Clone(fs), func(f Fact) bool { return f.Stage == StageAnchors && f.Target == p })
		if v := Judge(without, b, c); v.Code == InternetDown {
			t.Fatalf("without anchor %s: %+v", p, v)
		}
	}
}
