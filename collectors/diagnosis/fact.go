package diagnosis

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// Stage is a layer that is looked at, from the box outwards: 0 to 13.
type Stage int

// The stages. Their numbers are part of evidence.
const (
	StageSelf Stage = iota
	StageLink
	StageAddress
	StageGateway
	StagePath
	StageAnchors
	StageNames
	StagePortal
	StageMTU
	StageClock
	StageBroker
	StageSession
	StageHub
	StagePower
	stages // how many there are
)

var stageNames = [stages]string{"self", "link", "address", "gateway", "path", "anchors", "names", "portal", "mtu", "clock", "broker", "session", "hub", "power"}

func (s Stage) String() string {
	if s < 0 || s >= stages {
		return "unknown"
	}
	return stageNames[s]
}

// Result is what came of looking at one thing. Not being able to look, or not being
// allowed to, is never a failure.
type Result string

// The results.
const (
	Works   Result = "ok"
	Fails   Result = "failed"
	Skipped Result = "skipped" // not looked at, by the contract or because the layer below is missing
	Unknown Result = "unknown" // looked at, or wanted to, without an answer either way
)

// What facts are called. A name belongs to one stage; what a failure of it means is
// said in the comment.
const (
	SelfDisk    = "self_disk"        // the data folder's file system is full, or cannot be written
	SelfMemory  = "self_memory"      // next to no memory is left
	SelfSockets = "self_sockets"     // next to no file descriptors are left
	SelfStalled = "self_stalled"     // a stage of the program stands still
	SelfHeat    = "self_temperature" // the box is too hot

	LinkCarrier = "link_carrier" // no carrier; Target is the port
	LinkDuplex  = "link_duplex"  // half duplex
	LinkErrors  = "link_errors"  // frames with errors came while it was looked at

	Address       = "address"        // no address but link-local ones
	AddressUnique = "address_unique" // somebody else answers for it (RFC 5227); "times": how often
	Route         = "default_route"  // there is none
	DHCPAnswers   = "dhcp_answers"   // no DHCP server offers anything
	DHCPServers   = "dhcp_servers"   // more of them do than one, or than usual; "servers": how many

	GatewayARP  = "gateway_arp"     // it does not answer for its address
	GatewayICMP = "gateway_icmp"    // no reply to an echo request; normal for many
	GatewaySame = "gateway_same"    // it is another one than usual
	GatewayWAN  = "gateway_wan"     // it says by SNMP that its port to the provider is down
	LANPeers    = "gateway_besides" // no other device of the site answers either

	Hop      = "path_hop"  // nothing answers at this distance; "ttl": 1 to 4
	PathSame = "path_same" // the routers are others than usual

	AnchorICMP = "anchor_icmp" // Target is the provider, for all three
	AnchorTCP  = "anchor_tcp"
	AnchorDNS  = "anchor_dns"

	ResolverLocal  = "resolver_local" // the site's; "private": 1 where it stands in the site, "gateway": 1 where it is the gateway
	ResolverTCP    = "resolver_local_tcp"
	ResolverPublic = "resolver_public"
	NamesRandom    = "names_nxdomain" // a name that cannot exist got an address
	NamesCanary    = "names_canary"   // a name whose address is known got another one
	NamesBogus     = "names_bogus"    // a name whose signature is wrong on purpose got an address
	NamesSigned    = "names_signed"   // a signed name was not answered as such

	PortalHTTP = "portal_http" // a page whose content is known has another one
	PortalAPI  = "portal_api"  // the network says itself that it holds us back (RFC 8910)

	MTUPath  = "mtu_path"       // large packets vanish without a word, small ones do not; "mtu": the largest that pass
	MTUWrite = "mtu_large_send" // TCP's large segments are never acknowledged

	ClockNTP = "clock_ntp" // Target is the server; "offset_ms": how far the box's clock is behind it

	BrokerResolve = "broker_resolve"
	BrokerTCP     = "broker_tcp"
	BrokerChain   = "broker_chain"  // it does not lead to a trusted authority, or has another name
	BrokerExpiry  = "broker_expiry" // not valid at this time, the clock being corrected
	BrokerPin     = "broker_pin"    // another key than the one learned
	BoxExpiry     = "broker_box_certificate"

	Connected    = "session_connected" // the sender has no session
	SessionAuth  = "session_auth"      // refused for who the box is; "times"
	SessionBusy  = "session_busy"      // the broker says it cannot now; "times"
	SessionTaken = "session_taken"     // sessions end shortly after they began, again and again; "times"

	HubAck = "hub_ack" // what the broker took is not stored by the hub; "times": in how many spans of half a minute

	PowerBoot  = "power_boot"  // the box was without power a short while ago
	PowerUPS   = "power_ups"   // a UPS runs on battery
	WANAddress = "wan_address" // the hub sees another address than usual
)

// stageOf says which stage a name belongs to.
var stageOf = map[string]Stage{
	SelfDisk: StageSelf, SelfMemory: StageSelf, SelfSockets: StageSelf, SelfStalled: StageSelf, SelfHeat: StageSelf,
	LinkCarrier: StageLink, LinkDuplex: StageLink, LinkErrors: StageLink,
	Address: StageAddress, AddressUnique: StageAddress, Route: StageAddress, DHCPAnswers: StageAddress, DHCPServers: StageAddress,
	GatewayARP: StageGateway, GatewayICMP: StageGateway, GatewaySame: StageGateway, GatewayWAN: StageGateway, LANPeers: StageGateway,
	Hop: StagePath, PathSame: StagePath,
	AnchorICMP: StageAnchors, AnchorTCP: StageAnchors, AnchorDNS: StageAnchors,
	ResolverLocal: StageNames, ResolverTCP: StageNames, ResolverPublic: StageNames, NamesRandom: StageNames, NamesCanary: StageNames, NamesBogus: StageNames, NamesSigned: StageNames,
	PortalHTTP: StagePortal, PortalAPI: StagePortal,
	MTUPath: StageMTU, MTUWrite: StageMTU,
	ClockNTP:      StageClock,
	BrokerResolve: StageBroker, BrokerTCP: StageBroker, BrokerChain: StageBroker, BrokerExpiry: StageBroker, BrokerPin: StageBroker, BoxExpiry: StageBroker,
	Connected: StageSession, SessionAuth: StageSession, SessionBusy: StageSession, SessionTaken: StageSession,
	HubAck:    StageHub,
	PowerBoot: StagePower, PowerUPS: StagePower, WANAddress: StagePower,
}

// Fact is what one look at one thing gave. Its texts are this package's own phrases or
// are cleaned and bounded by [Fact.Clean]; no secret is in them.
type Fact struct {
	Stage   Stage              `json:"stage"`
	Name    string             `json:"name"`
	Target  string             `json:"target,omitempty"` // what was asked: a provider, an address, a port
	Family  int                `json:"family,omitempty"` // 4 or 6; 0: does not matter
	Result  Result             `json:"result"`
	Detail  string             `json:"detail,omitempty"`
	TookMS  int64              `json:"took_ms"`
	Numbers map[string]float64 `json:"numbers,omitempty"`
}

// NewFact makes a fact of a name of this package.
func NewFact(name, target string, family int, r Result, detail string) Fact {
	return Fact{Stage: stageOf[name], Name: name, Target: target, Family: family, Result: r, Detail: detail}.Clean()
}

// With adds a number to a copy of the fact.
func (f Fact) With(key string, n float64) Fact {
	m := make(map[string]float64, len(f.Numbers)+1)
	for k, v := range f.Numbers {
		m[k] = v
	}
	m[key] = n
	f.Numbers = m
	return f
}

// The bounds of a fact and of a set of them.
const (
	MaxFacts   = 512
	maxTarget  = 80
	maxDetail  = 160
	maxNumbers = 8
	maxKey     = 24
)

// Clean bounds the fact's texts and takes from them what could drive a terminal.
func (f Fact) Clean() Fact {
	f.Target = collectors.Printable(collectors.Clip(f.Target, maxTarget))
	f.Detail = collectors.Printable(collectors.Clip(f.Detail, maxDetail))
	return f
}

// Validate tells whether the fact is one of this package's and within its bounds.
func (f Fact) Validate() error {
	stage, ok := stageOf[f.Name]
	switch {
	case !ok:
		return fmt.Errorf("a fact of the unknown name %.40q", f.Name)
	case f.Stage != stage:
		return fmt.Errorf("%s is of stage %d", f.Name, stage)
	case f.Family != 0 && f.Family != 4 && f.Family != 6:
		return fmt.Errorf("%s: family %d", f.Name, f.Family)
	case f.Result != Works && f.Result != Fails && f.Result != Skipped && f.Result != Unknown:
		return fmt.Errorf("%s: result %.20q", f.Name, f.Result)
	case f.TookMS < 0 || len(f.Numbers) > maxNumbers:
		return fmt.Errorf("%s: out of bounds", f.Name)
	case f.Target != f.Clean().Target || f.Detail != f.Clean().Detail:
		return fmt.Errorf("%s: its text is out of bounds", f.Name)
	}
	for k, n := range f.Numbers {
		if k == "" || len(k) > maxKey || strings.Trim(k, "abcdefghijklmnopqrstuvwxyz_0123456789") != "" || math.IsNaN(n) || math.IsInf(n, 0) {
			return fmt.Errorf("%s: a number is out of bounds", f.Name)
		}
	}
	return nil
}

// DecodeFacts reads facts that may come from anybody.
func DecodeFacts(b []byte) ([]Fact, error) {
	var fs []Fact
	if err := json.Unmarshal(b, &fs); err != nil {
		return nil, errors.New("these are not the facts of a diagnosis")
	}
	return fs, validFacts(fs)
}

func validFacts(fs []Fact) error {
	if len(fs) > MaxFacts {
		return fmt.Errorf("%d facts (at most %d)", len(fs), MaxFacts)
	}
	for _, f := range fs {
		if err := f.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// key names what the fact is about, whatever came of it.
func (f Fact) key() string { return fmt.Sprintf("%s|%s|%d", f.Name, f.Target, f.Family) }

// compare is the order of stages, and within one an order that does not depend on
// when something was found.
func compare(a, b Fact) int {
	return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Family, b.Family),
		cmp.Compare(a.Result, b.Result), cmp.Compare(a.Detail, b.Detail), cmp.Compare(a.number("times"), b.number("times")), cmp.Compare(a.number("offset_ms"), b.number("offset_ms")))
}

func (f Fact) number(key string) float64 { return f.Numbers[key] }
