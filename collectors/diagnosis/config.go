package diagnosis

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config is the site file's diagnosis section: what is asked to find out what broke.
// A list that the site file gives takes the place of the default one.
type Config struct {
	Heartbeat time.Duration `yaml:"heartbeat"` // between two light looks; 0: the daemon never looks
	Survey    time.Duration `yaml:"survey"`    // between two looks at everything while nothing seems wrong

	Anchors   []Anchor `yaml:"anchors"`
	Resolvers []string `yaml:"resolvers"` // addresses of public ones
	NTP       []string `yaml:"ntp"`       // host or host:port; three at least, or the clock is not judged with certainty
	Portal    []Page   `yaml:"portal"`
	Names     Names    `yaml:"names"`
}

// Anchor is something on the internet that always answers. Those of one provider count
// as one.
type Anchor struct {
	Provider string `yaml:"provider"`
	Address4 string `yaml:"address4"`
	Address6 string `yaml:"address6"`
	TCP      int    `yaml:"tcp"` // a port that it accepts connections at; 0: not asked
	DNS      bool   `yaml:"dns"` // it answers DNS at port 53
}

// Page is one whose content is known: another one comes from a login page.
type Page struct {
	URL  string `yaml:"url"` // http only: an encrypted one cannot be replaced
	Body string `yaml:"body"`
}

// Names are those that resolvers are asked for. An empty one is not.
type Names struct {
	Canary    string   `yaml:"canary"`    // its IPv4 addresses are known
	Addresses []string `yaml:"addresses"` // of the canary; one of them is enough
	Signed    string   `yaml:"signed"`    // signed
	Bogus     string   `yaml:"bogus"`     // its signature is wrong on purpose
	Random    string   `yaml:"random"`    // names that do not exist are made up under it
}

// DefaultConfig is what applies where the site file says nothing.
func DefaultConfig() Config {
	return Config{
		Heartbeat: 30 * time.Second, Survey: 5 * time.Minute,
		Anchors: []Anchor{
			{Provider: "Cloudflare", Address4: "1.1.1.1", Address6: "2606:4700:4700::1111", TCP: 443, DNS: true},
			{Provider: "Google", Address4: "8.8.8.8", Address6: "2001:4860:4860::8888", TCP: 443, DNS: true},
			{Provider: "Quad9", Address4: "9.9.9.9", Address6: "2620:fe::fe", TCP: 443, DNS: true},
		},
		Resolvers: []string{"1.1.1.1", "8.8.8.8", "9.9.9.9"},
		NTP:       []string{"time.cloudflare.com", "time.google.com", "time.apple.com"},
		Portal: []Page{
			{URL: "http://detectportal.firefox.com/success.txt", Body: "success\n"},
			{URL: "http://www.msftconnecttest.com/connecttest.txt", Body: "Microsoft Connect Test"},
		},
		Names: Names{Canary: "one.one.one.one", Addresses: []string{"1.1.1.1", "1.0.0.1"}, Signed: "cloudflare.com", Bogus: "dnssec-failed.org", Random: "com"},
	}
}

// Resolution is how much later than it happened a change of the line may be seen at most,
// when it is seen: between two light looks, or two of them while the line is down.
func (c Config) Resolution() time.Duration { return max(c.Heartbeat, whileDown) }

const maxTargets = 8

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Heartbeat != 0 && (c.Heartbeat < 5*time.Second || c.Heartbeat > time.Hour):
		return errors.New("heartbeat: must be between 5s and 1h, or 0s for never")
	case c.Heartbeat != 0 && (c.Survey < time.Minute || c.Survey > 24*time.Hour):
		return errors.New("survey: must be between 1m and 24h")
	}
	for name, n := range map[string]int{"anchors": len(c.Anchors), "resolvers": len(c.Resolvers), "ntp": len(c.NTP), "portal": len(c.Portal), "names.addresses": len(c.Names.Addresses)} {
		if n > maxTargets {
			return fmt.Errorf("%s: at most %d", name, maxTargets)
		}
	}
	for i, a := range c.Anchors {
		if err := a.validate(); err != nil {
			return fmt.Errorf("anchors: number %d: %w", i+1, err)
		}
	}
	for _, s := range append(append([]string{}, c.Resolvers...), c.Names.Addresses...) {
		if !usable(s) {
			return fmt.Errorf("resolvers, names.addresses: %.60q is not an address such as 192.0.2.53", s)
		}
	}
	for _, s := range c.NTP {
		if host, _, ok := hostPort(s, 123); !ok || !validName(host) {
			return fmt.Errorf("ntp: %.80q is not a server such as ntp.acme.example", s)
		}
	}
	for _, p := range c.Portal {
		u, err := url.Parse(p.URL)
		if err != nil || u.Scheme != "http" || u.User != nil || !validName(u.Hostname()) {
			return fmt.Errorf("portal: %.80q is not a page such as http://portal.acme.example/check (http, no user in it)", p.URL)
		}
		if len(p.Body) > maxBody {
			return fmt.Errorf("portal: the body of %.80q is longer than %d octets", p.URL, maxBody)
		}
	}
	return c.Names.validate()
}

func (a Anchor) validate() error {
	switch {
	case strings.TrimSpace(a.Provider) == "" || len(a.Provider) > 40:
		return errors.New("provider: is missing, or longer than 40 octets; anchors of one provider count as one")
	case a.Address4 == "" && a.Address6 == "":
		return errors.New("needs an address4 or an address6")
	case a.Address4 != "" && (!usable(a.Address4) || !netip.MustParseAddr(a.Address4).Is4()):
		return fmt.Errorf("address4: %.60q is not an IPv4 address", a.Address4)
	case a.Address6 != "" && (!usable(a.Address6) || !netip.MustParseAddr(a.Address6).Is6()):
		return fmt.Errorf("address6: %.60q is not an IPv6 address", a.Address6)
	case a.TCP < 0 || a.TCP > 65535:
		return errors.New("tcp: must be a port, or 0")
	}
	return nil
}

func (n Names) validate() error {
	for key, name := range map[string]string{"canary": n.Canary, "signed": n.Signed, "bogus": n.Bogus, "random": n.Random} {
		if name != "" && !validName(name) {
			return fmt.Errorf("names.%s: %.80q is not a name", key, name)
		}
	}
	if n.Canary != "" && len(n.Addresses) == 0 {
		return errors.New("names.addresses: are missing; which are the canary's?")
	}
	return nil
}

// providers counts those of anchors.
func (c Config) providers() int {
	seen := map[string]bool{}
	for _, a := range c.Anchors {
		seen[a.Provider] = true
	}
	return len(seen)
}

func usable(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() && !a.Is4In6()
}

func validName(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return usable(s)
	}
	return s != "" && len(s) <= 253 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}

// hostPort takes an address apart that may lack a port.
func hostPort(s string, port uint16) (host string, _ uint16, ok bool) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, port, true
	}
	h, p, err := net.SplitHostPort(s)
	if err != nil {
		return s, port, !strings.Contains(s, ":")
	}
	n, err := strconv.ParseUint(p, 10, 16)
	return h, uint16(n), err == nil && n > 0
}
