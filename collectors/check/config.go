package check

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/miekg/dns"

	"github.com/siteprobe/siteprobe/collectors"
)

// Config is one entry of the site file's checks. Exactly one of its kinds (ICMP,
// TCP, ...) is set.
type Config struct {
	Name     string            `yaml:"name"`     // unique among the checks; its source is "check/NAME"
	Device   string            `yaml:"device"`   // the device that the service runs on, if any
	Interval time.Duration     `yaml:"interval"` // 0: the site file's default
	Timeout  time.Duration     `yaml:"timeout"`  // of the whole check; 0: DefaultTimeout
	Labels   map[string]string `yaml:"labels"`

	ICMP *ICMP `yaml:"icmp"`
	TCP  *TCP  `yaml:"tcp"`
	HTTP *HTTP `yaml:"http"`
	DNS  *DNS  `yaml:"dns"`

	TLS        *TLS        `yaml:"tls"`
	NTP        *NTP        `yaml:"ntp"`
	Banner     *Banner     `yaml:"banner"`
	LDAP       *LDAP       `yaml:"ldap"`
	Prometheus *Prometheus `yaml:"prometheus"`
	Systemd    *Systemd    `yaml:"systemd"`
	Path       *Path       `yaml:"path"`
	Service    string      `yaml:"service"` // the name of a preset; see Services
}

// kind is what the settings of each kind of check can say.
type kind interface {
	Validate() error
	// targets lists what is contacted, in that order, as "host" or "host:port", and
	// the key of the site file that says so; empty for what is on this box.
	targets() (key string, addresses []string)
}

// entry is a kind by its key in the site file; the kind is nil where it is not set.
type entry struct {
	key string
	kind
}

func entryOf[K kind](key string, set *K) entry {
	if set == nil {
		return entry{key: key}
	}
	return entry{key, *set}
}

// kinds lists all there are.
func (c Config) kinds() []entry {
	s := entry{key: "service"}
	if c.Service != "" {
		s.kind = service(c.Service)
	}
	return []entry{
		entryOf("icmp", c.ICMP), entryOf("tcp", c.TCP), entryOf("http", c.HTTP), entryOf("dns", c.DNS),
		entryOf("tls", c.TLS), entryOf("ntp", c.NTP), entryOf("banner", c.Banner), entryOf("ldap", c.LDAP),
		entryOf("prometheus", c.Prometheus), entryOf("systemd", c.Systemd), entryOf("path", c.Path), s,
	}
}

// ICMP pings a host. It is up when at least one reply comes.
type ICMP struct {
	Address string `yaml:"address"` // name or IP address
	Count   int    `yaml:"count"`   // echo requests; 0: DefaultCount
}

// TCP connects to a port and closes the connection again.
type TCP struct {
	Address string `yaml:"address"` // host:port
}

// HTTP fetches a URL. It is up when the last response has an expected status and
// a body that matches, and the certificates are valid.
type HTTP struct {
	URL             string                       `yaml:"url"`
	Method          string                       `yaml:"method"`           // GET (the default), HEAD or OPTIONS: a check changes nothing
	Status          []int                        `yaml:"status"`           // expected status codes; empty: 200 to 299
	Body            string                       `yaml:"body"`             // regular expression that the first MiB has to match
	Headers         map[string]collectors.Secret `yaml:"headers"`          // not sent to another host after a redirect
	BasicAuth       *BasicAuth                   `yaml:"basic_auth"`       // likewise
	CA              string                       `yaml:"ca"`               // PEM file of the CAs to trust instead of the system's, read for each check
	Insecure        bool                         `yaml:"insecure"`         // accept any certificate, and TLS before 1.2
	FollowRedirects *bool                        `yaml:"follow_redirects"` // nil: true
}

// BasicAuth is a user and password for an HTTP check.
type BasicAuth struct {
	Username string            `yaml:"username"`
	Password collectors.Secret `yaml:"password"`
}

// DNS asks a server for a name. It is up when the response code is the expected
// one and the answer holds all expected values; it may hold more. Without
// expected values, a NOERROR must come with at least one record of the type.
type DNS struct {
	Server string   `yaml:"server"` // host or host:port
	Name   string   `yaml:"name"`   // for a PTR it may be an IP address
	Type   string   `yaml:"type"`   // A (the default), AAAA, CNAME, MX, NS, PTR, SOA, SRV or TXT
	Expect []string `yaml:"expect"` // the data of records, as in a zone file: 10.0.0.1, "10 mail.example.com."
	Rcode  string   `yaml:"rcode"`  // NOERROR (the default), NXDOMAIN, REFUSED, ...

	DNSSEC   bool   `yaml:"dnssec"`   // the answer must be validated (AD) or come with signatures
	Bogus    string `yaml:"bogus"`    // a name signed wrongly on purpose: it must be SERVFAIL
	NXDomain bool   `yaml:"nxdomain"` // a random name below Name must be NXDOMAIN: nobody rewrites
}

// Ping is a device that is only pinged: ping: true in the site file.
type Ping struct {
	Device  string
	Address string // name or IP address; a port is left aside
	Count   int    // echo requests; 0: DefaultCount
	Timeout time.Duration
	Labels  map[string]string
}

// Validate reports the first setting that cannot work, beginning with its key. It
// does no I/O.
func (c Config) Validate() error {
	if err := validName("name", c.Name); err != nil {
		return err
	}
	if c.Device != "" {
		if err := validName("device", c.Device); err != nil {
			return err
		}
	}
	if err := validTimes(c.Interval, c.Timeout); err != nil {
		return err
	}
	if err := validLabels(c.Labels); err != nil {
		return err
	}
	n := 0
	var err error
	var keys []string
	for _, k := range c.kinds() {
		keys = append(keys, k.key)
		if k.kind != nil {
			n, err = n+1, within(k.key, k.Validate())
		}
	}
	if n != 1 {
		return fmt.Errorf("exactly one of %s is needed, not %d of them", strings.Join(keys, ", "), n)
	}
	return err
}

// Validate reports the first setting that cannot work. It does no I/O.
func (p Ping) Validate() error {
	if err := validName("device", p.Device); err != nil {
		return err
	}
	if err := validTimes(0, p.Timeout); err != nil {
		return err
	}
	if err := validLabels(p.Labels); err != nil {
		return err
	}
	return p.check().ICMP.Validate()
}

// check is the ping as a check, without a port that the address may carry.
func (p Ping) check() Config {
	address := p.Address
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	return Config{Timeout: p.Timeout, Labels: p.Labels, ICMP: &ICMP{Address: address, Count: p.Count}}
}

// Target is something that a check contacts.
type Target struct {
	Kind, Key string // where in the check the site file says so; Key may be empty
	Address   string // "host" or "host:port"
}

// Targets lists what a valid check contacts, but for where a server redirects it.
func (c Config) Targets() (out []Target) {
	for _, k := range c.kinds() {
		if k.kind == nil {
			continue
		}
		key, addresses := k.targets()
		for _, a := range addresses {
			out = append(out, Target{k.key, key, a})
		}
	}
	return out
}

// Target is what a valid check contacts first, as "host" or "host:port"; empty where
// it contacts nothing.
func (c Config) Target() string {
	if ts := c.Targets(); len(ts) > 0 {
		return ts[0].Address
	}
	return ""
}

func (c ICMP) targets() (string, []string) { return "address", []string{c.Address} }
func (c TCP) targets() (string, []string)  { return "address", []string{c.Address} }
func (c DNS) targets() (string, []string)  { return "server", []string{c.address()} }
func (c HTTP) targets() (string, []string) { return "url", urlTargets(c.URL) }

func urlTargets(s string) []string {
	u, err := url.Parse(s)
	if err != nil {
		return nil // not of a valid check
	}
	return []string{hostPort(u)}
}

// Validate reports the first setting that cannot work. It does no I/O.
func (c ICMP) Validate() error {
	if err := validHost("address", c.Address); err != nil {
		return err
	}
	if c.Count < 0 || c.Count > 100 {
		return fmt.Errorf("count: %d is not between 1 and 100", c.Count)
	}
	return nil
}

// Validate reports the first setting that cannot work. It does no I/O.
func (c TCP) Validate() error { return validHostPort("address", c.Address) }

// Validate reports the first setting that cannot work. It does no I/O. The
// messages do not repeat the URL, whose query may hold a token.
func (c HTTP) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return errors.New("url: must be like https://intranet.example.com/health")
	case u.User != nil:
		return errors.New("url: must hold no user or password; use basic_auth")
	}
	if err := validHostPort("url", hostPort(u)); err != nil {
		return err
	}
	switch c.Method {
	case "", "GET", "HEAD", "OPTIONS":
	default:
		return fmt.Errorf("method: %q is none of GET, HEAD, OPTIONS (a check changes nothing)", collectors.Clip(c.Method, 20))
	}
	for _, s := range c.Status {
		if s < 100 || s > 599 {
			return fmt.Errorf("status: %d is not between 100 and 599", s)
		}
	}
	if _, err := regexp.Compile(c.Body); err != nil {
		return fmt.Errorf("body: not a regular expression: %w", err)
	}
	for name, value := range c.Headers {
		if !headerName(name) || strings.ContainsFunc(value.Reveal(), unicode.IsControl) {
			return fmt.Errorf("headers: name or value of %q has characters that a header cannot have", collectors.Clip(name, 40))
		}
	}
	switch {
	case c.BasicAuth != nil && c.BasicAuth.Username == "":
		return errors.New("basic_auth: needs a username")
	case c.CA != "" && c.Insecure:
		return errors.New("ca: has no use together with insecure")
	case c.Body != "" && c.Method == "HEAD":
		return errors.New("body: a HEAD response has none")
	}
	return nil
}

// Validate reports the first setting that cannot work. It does no I/O.
func (c DNS) Validate() error {
	if c.Server == "" {
		return errors.New("server: is missing; name or IP address of the DNS server")
	}
	if err := validHostPort("server", c.address()); err != nil {
		return err
	}
	qtype, err := c.qtype()
	if err != nil {
		return err
	}
	if _, ok := dns.IsDomainName(c.qname()); !ok || c.Name == "" {
		return fmt.Errorf("name: %q is not a domain name", collectors.Clip(c.Name, 80))
	}
	rcode, err := c.rcode()
	if err != nil {
		return err
	}
	if rcode != dns.RcodeSuccess && len(c.Expect) > 0 {
		return fmt.Errorf("expect: a response with rcode %s holds no answer to compare", c.Rcode)
	}
	for _, e := range c.Expect {
		if _, err := canonical(qtype, e); err != nil {
			return fmt.Errorf("expect: %q is not the data of a record of type %s, such as %q",
				collectors.Clip(e, 80), dns.TypeToString[qtype], example(qtype))
		}
	}
	if _, ok := dns.IsDomainName(c.Bogus); c.Bogus != "" && !ok {
		return fmt.Errorf("bogus: %q is not a domain name", collectors.Clip(c.Bogus, 80))
	}
	if len(c.qname()) > 220 && c.NXDomain {
		return errors.New("nxdomain: the name is too long for another below it")
	}
	return nil
}

// hostPort is where a URL leads, with the scheme's port where it names none.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func within(key string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// validName keeps names usable as part of a source, a topic and a label.
func validName(key, s string) error {
	bad := func(r rune) bool { return r == '/' || r == unicode.ReplacementChar || !unicode.IsPrint(r) }
	if s == "" || len(s) > 100 || strings.ContainsFunc(s, bad) || strings.TrimSpace(s) != s {
		return fmt.Errorf("%s: must be 1 to 100 printable characters without a slash", key)
	}
	return nil
}

func validTimes(interval, timeout time.Duration) error {
	switch {
	case interval != 0 && interval < time.Second:
		return errors.New("interval: must be at least 1s")
	case timeout != 0 && timeout < 10*time.Millisecond || timeout > 5*time.Minute:
		return errors.New("timeout: must be between 10ms and 5m")
	case interval != 0 && timeout > interval:
		return errors.New("timeout: must not be longer than the interval")
	}
	return nil
}

func validLabels(labels map[string]string) error {
	if most := collectors.MaxLabels - 3; len(labels) > most { // check, device, phase
		return fmt.Errorf("labels: %d are too many (at most %d)", len(labels), most)
	}
	for _, l := range sorted(labels) {
		word := l.Name != "" && len(l.Name) <= collectors.MaxName
		for i, r := range l.Name {
			word = word && (r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && r >= '0' && r <= '9')
		}
		switch {
		case !word:
			return fmt.Errorf("labels: name %q must be letters, digits and underscores", collectors.Clip(l.Name, 40))
		case l.Name == "check" || l.Name == "device" || l.Name == "phase":
			return fmt.Errorf("labels: %q is one that the probe sets itself", l.Name)
		case l.Value != collectors.Clip(l.Value, collectors.MaxText):
			return fmt.Errorf("labels: value of %q must be at most %d bytes of UTF-8", l.Name, collectors.MaxText)
		}
	}
	return nil
}

// headerName tells whether s is a token of RFC 9110.
func headerName(s string) bool {
	for _, r := range s {
		if r > unicode.MaxASCII || !(unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("!#$%&'*+-.^_`|~", r)) {
			return false
		}
	}
	return s != ""
}

// validHost accepts an IP address or a host name in ASCII (xn--... for others).
func validHost(key, host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	ok := host != "" && len(host) <= 253
	for _, r := range host {
		ok = ok && r <= unicode.MaxASCII && (r == '-' || r == '.' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r))
	}
	if !ok {
		return fmt.Errorf("%s: %q is neither a host name nor an IP address", key, collectors.Clip(host, 80))
	}
	return nil
}

func validHostPort(key, s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%s: %q is not host:port", key, collectors.Clip(s, 80))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%s: port %q is not between 1 and 65535", key, collectors.Clip(port, 20))
	}
	return validHost(key, host)
}
