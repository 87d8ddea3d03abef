// Package diagnosis finds out what broke between this site and the MSP, and whose it
// is.
//
// It has three parts, apart from one another: stages gather facts, each within a
// deadline of its own, and never stop at the first one that fails; [Judge] makes a
// verdict of facts, without a clock, without I/O, so that the same facts give the same
// verdict years later; evidence keeps facts and verdict so that any edit is found.
//
// # What is contacted
//
// The targets of [Config] (anchors, resolvers, NTP servers, pages), the box's own
// gateway and resolvers, whoever answers on the way to the first anchor, and the
// uplink's servers; by broadcast on the box's own network, DHCP servers are asked for an
// offer that is not taken, and the box's own address is probed for. Nothing else is:
// gate.go refuses it. This is apart from the contract of package scope, which is about
// the customer's devices. A site of `internet: none` asks nothing outside but the
// uplink's servers, one of `limited` those and NTP servers.
//
// # What it may not see
//
// Without CAP_NET_RAW, as the daemon's unit has none, nobody is asked by ARP or DHCP:
// duplicate addresses and rogue DHCP servers are unknown then, and a gateway that does
// not answer echo requests is known to be gone only when the kernel says so. `siteprobe
// diagnose` by root sees all. Light looks do not see blocked resolvers, large packets,
// the clock and pages; those are found by surveys.
//
// # Whose it is
//
// A verdict names an owner: who has to act. That is not a matter of technology but of
// the contract: the gateway is the customer's at one site and the provider's at the
// next. [Contract] says so for a site.
//
// # How sure
//
// [Certain] means: the layer below was shown to work, and at least two independent
// things failed here. [Probable] is all else that has a name. Nothing is blamed for
// one anchor that does not answer.
package diagnosis

// Code is what broke: one of the fixed words below. They are part of events, evidence
// and runbooks, and never change their meaning.
type Code string

// The verdicts, from the box outwards.
const (
	OK            Code = "OK"
	SelfFault     Code = "SELF_FAULT"      // the box itself: disk, memory, temperature, a stage that stands still
	PowerLost     Code = "POWER_LOST"      // the box was without power, or a UPS runs on battery
	LinkDown      Code = "LINK_DOWN"       // no carrier at the box's own port
	NoLease       Code = "NO_LEASE"        // no address from DHCP
	DupIP         Code = "DUP_IP"          // somebody else has the box's address
	RogueDHCP     Code = "ROGUE_DHCP"      // a second DHCP server hands out other addresses
	GatewayDown   Code = "GW_DOWN"         // the gateway answers neither ARP nor anything else
	WANPortDown   Code = "WAN_PORT_DOWN"   // the gateway works, its port to the provider is down
	AccessDown    Code = "ACCESS_DOWN"     // nothing behind the gateway answers, not even the provider's first router
	ISPPath       Code = "ISP_PATH"        // the provider's first routers answer, nothing behind them does
	InternetDown  Code = "INTERNET_DOWN"   // the learned path answers and no anchor of any provider does
	Partial       Code = "PARTIAL"         // some of the internet is reachable and some is not
	V6OnlyDown    Code = "V6_ONLY_DOWN"    // IPv4 works, IPv6, which worked, does not
	ResolverDown  Code = "RESOLVER_DOWN"   // the site's resolver does not answer, names resolve elsewhere
	DNSHijack     Code = "DNS_HIJACK"      // names that do not exist, or bogus ones, get an answer
	DNS53Blocked  Code = "DNS53_BLOCKED"   // other resolvers than the site's cannot be asked
	CaptivePortal Code = "CAPTIVE_PORTAL"  // the way out leads to a login page
	MTUBlackhole  Code = "MTU_BLACKHOLE"   // large packets vanish without a word
	ClockWrong    Code = "CLOCK_WRONG"     // the box's clock is not that of a quorum of NTP servers
	BrokerBlocked Code = "BROKER_BLOCKED"  // the internet works, the MSP's broker cannot be connected to
	CertExpired   Code = "CERT_EXPIRED"    // the broker's certificate, or the box's, is not valid at this time
	Intercepted   Code = "TLS_INTERCEPTED" // somebody in between speaks TLS in the broker's place
	AuthRefused   Code = "AUTH_REFUSED"    // the broker does not let this box in
	BrokerBusy    Code = "BROKER_BUSY"     // the broker says that it cannot serve now
	IDTaken       Code = "ID_TAKEN"        // another client takes the box's place again and again
	HubStall      Code = "HUB_STALL"       // the broker takes messages, the hub does not store them
	OnBackupWAN   Code = "ON_BACKUP_WAN"   // it works, over another line than usual
	Undetermined  Code = "UNDETERMINED"
)

// Owner is who has to act.
type Owner string

// The owners. They are the columns of a service level.
const (
	Customer Owner = "customer"
	ISP      Owner = "isp"
	MSP      Owner = "msp"
	Nobody   Owner = "undetermined"
)

// Confidence is how sure a verdict is; see the package comment.
type Confidence string

// The confidences.
const (
	Certain  Confidence = "certain"
	Probable Confidence = "probable"
	Unsure   Confidence = "unsure" // of OK while little could be looked at, and of Undetermined
)

// Verdict is what facts come to.
type Verdict struct {
	Code       Code       `json:"verdict"`
	Owner      Owner      `json:"owner"`
	Confidence Confidence `json:"confidence"`
	Sentence   string     `json:"sentence"`       // for a customer: what is broken, and who is looking after it
	Why        []string   `json:"why"`            // names of the facts it rests on, in the order of the stages
	Also       []Code     `json:"also,omitempty"` // what else is broken, or would be once this is mended
}

// Bad tells whether something is broken that keeps the site from its MSP or the
// internet. What only stands out, as a backup line does, is not.
func (v Verdict) Bad() bool { return v.Code != OK && v.Code != OnBackupWAN && v.Code != "" }
