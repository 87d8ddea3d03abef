package diagnosis

import (
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// what says of each code what is broken, for somebody who has never heard of TCP.
// %provider% is the provider's name and circuit, where they are known.
var what = map[Code]string{
	OK:            "Everything works.",
	SelfFault:     "The monitoring box itself has a fault.",
	PowerLost:     "The power failed at this site.",
	LinkDown:      "The monitoring box's network cable or the switch port behind it is dead.",
	NoLease:       "The network gives the monitoring box no address (DHCP).",
	DupIP:         "Another device on the local network uses the monitoring box's address.",
	RogueDHCP:     "A second device on the local network hands out addresses (DHCP).",
	GatewayDown:   "The router of this site does not answer.",
	WANPortDown:   "The router works, but its port to %provider% is down.",
	AccessDown:    "The line of %provider% is down: the router works, nothing behind it answers.",
	ISPPath:       "The internet does not work: within the network of %provider% the way ends.",
	InternetDown:  "The internet does not work: the network of %provider% answers, nothing beyond it does.",
	Partial:       "Parts of the internet cannot be reached over %provider%.",
	V6OnlyDown:    "IPv6 over %provider% has stopped working; IPv4 works.",
	ResolverDown:  "The internet works, but the name server (DNS) of this site does not answer.",
	DNSHijack:     "The name server (DNS) gives false answers.",
	DNS53Blocked:  "Other name servers (DNS) than the site's own are blocked.",
	CaptivePortal: "The internet is held back by a login page.",
	MTUBlackhole:  "Large packets get lost on the line of %provider%: some things work, others hang.",
	ClockWrong:    "The monitoring box's clock is wrong.",
	BrokerBlocked: "The internet works, but the monitoring service cannot be connected to.",
	CertExpired:   "A certificate of the monitoring service is not valid at this time.",
	Intercepted:   "Something on the way opens encrypted connections.",
	AuthRefused:   "The monitoring service refuses this box.",
	BrokerBusy:    "The monitoring service is overloaded.",
	IDTaken:       "Two boxes use this box's identity.",
	HubStall:      "The monitoring service takes readings but does not store them.",
	OnBackupWAN:   "It works over the backup line: the line of %provider% is not used.",
	Undetermined:  "Something is wrong, and it cannot be told what.",
}

// sentence writes what broke and who looks after it.
func sentence(v Verdict, c Contract) string {
	text := strings.ReplaceAll(what[v.Code], "%provider%", c.provider())
	if v.Code == OK {
		if v.Confidence == Unsure {
			return "Nothing seems to be broken, but little could be looked at."
		}
		return text
	}
	if v.Confidence == Probable {
		text += " This is probable, not certain."
	}
	return text + " " + c.who(v.Owner)
}

// provider is how the line is called.
func (c Contract) provider() string {
	name := clean(c.ISP)
	if name == "" {
		name = "the internet provider"
	}
	if c.Circuit != "" {
		name += " (circuit " + clean(c.Circuit) + ")"
	}
	return name
}

// who says who has to act.
func (c Contract) who(o Owner) string {
	switch o {
	case Customer:
		return "It is for somebody at this site to look after."
	case ISP:
		s := "It is for " + c.provider() + " to mend"
		if c.Hotline != "" {
			s += ", hotline " + clean(c.Hotline)
		}
		return s + "."
	case MSP:
		return "Your service provider for the monitoring looks after it."
	}
	return "Please call your service provider for the monitoring."
}

func clean(s string) string { return collectors.Printable(collectors.Clip(s, maxTarget)) }
