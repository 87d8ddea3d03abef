package notify

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/collectors/runbook"
)

// Config is one notice of the site file: one way, to one target.
type Config struct {
	Name     string   `yaml:"name"`
	SMTP     *SMTP    `yaml:"smtp"`
	Syslog   *Syslog  `yaml:"syslog"`
	Webhook  *Webhook `yaml:"webhook"`
	Only     Only     `yaml:"only"`
	Language string   `yaml:"language"` // empty: the site's
	// MaxPerHour bounds the messages of an hour; 0: 12 mails, 600 of the others.
	MaxPerHour int `yaml:"max_per_hour"`
}

// Only chooses which incidents are told; what is empty chooses all.
type Only struct {
	Severity string   `yaml:"severity"` // this severe and worse: info, warning or error
	Owner    []string `yaml:"owner"`    // customer, isp, msp, undetermined
	Kinds    []string `yaml:"kinds"`    // kinds of incidents, such as line_down
}

// SMTP is a mail server.
type SMTP struct {
	Server   string            `yaml:"server"`   // host or host:port; without one 465 for tls, 587 with a username, else 25
	From     string            `yaml:"from"`     // empty: siteprobe at the domain of the first recipient
	To       []string          `yaml:"to"`       // at most 20
	Security string            `yaml:"security"` // starttls (unless set), tls, or none: in plain on the LAN
	Username string            `yaml:"username"`
	Password collectors.Secret `yaml:"password"`
	TLS      TLS               `yaml:"tls"`
}

// Syslog is a log server.
type Syslog struct {
	Server    string `yaml:"server"`    // host or host:port; without one 514, for tls 6514
	Transport string `yaml:"transport"` // udp (unless set), tcp or tls
	Facility  string `yaml:"facility"`  // empty: daemon
	TLS       TLS    `yaml:"tls"`
}

// Webhook is where JSON is posted.
type Webhook struct {
	URL    string            `yaml:"url"`
	Secret collectors.Secret `yaml:"secret"` // that both sides have, for the signature
	TLS    TLS               `yaml:"tls"`
}

// TLS is how a target's certificate is verified.
type TLS struct {
	CA   string `yaml:"ca"`   // a PEM file, absolute; empty: the system's
	Name string `yaml:"name"` // that the certificate is of; empty: the host
}

// What SMTP's Security and Syslog's Transport may be.
const (
	StartTLS = "starttls"
	UseTLS   = "tls"
	Plain    = "none"
	UDP      = "udp"
	TCP      = "tcp"
)

// maxRecipients and maxPerHour bound a Config.
const (
	maxRecipients = 20
	maxPerHour    = 10_000
	// MaxNotices bounds the notices of a site.
	MaxNotices = 16
)

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	ways := 0
	for _, has := range []bool{c.SMTP != nil, c.Syslog != nil, c.Webhook != nil} {
		if has {
			ways++
		}
	}
	switch {
	case ways != 1:
		return errors.New("needs one of smtp, syslog or webhook")
	case c.Language != "" && !runbook.ValidLang(c.Language):
		return fmt.Errorf("language: %q is no language such as en or de", collectors.Clip(c.Language, 32))
	case c.MaxPerHour < 0 || c.MaxPerHour > maxPerHour:
		return fmt.Errorf("max_per_hour: must be between 1 and %d", maxPerHour)
	}
	if err := c.Only.Validate(); err != nil {
		return fmt.Errorf("only: %w", err)
	}
	switch {
	case c.SMTP != nil:
		return within("smtp", c.SMTP.Validate())
	case c.Syslog != nil:
		return within("syslog", c.Syslog.Validate())
	}
	return within("webhook", c.Webhook.Validate())
}

func within(key string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

var (
	kinds = []string{string(incident.KindDevice), string(incident.KindCheck), string(incident.KindPort), string(incident.KindLine), string(incident.KindThreshold),
		string(incident.KindAbsence), string(incident.KindHeartbeat), string(incident.KindSelf), string(incident.KindFlapping)}
	owners     = []string{string(diagnosis.Customer), string(diagnosis.ISP), string(diagnosis.MSP), string(diagnosis.Nobody)}
	severities = []string{collectors.Info.String(), collectors.Warning.String(), collectors.Error.String()}
)

// Validate reports the first setting that cannot work.
func (o Only) Validate() error {
	if o.Severity != "" && !slices.Contains(severities, o.Severity) {
		return noneOf("severity", o.Severity, severities)
	}
	for _, s := range o.Owner {
		if !slices.Contains(owners, s) {
			return noneOf("owner", s, owners)
		}
	}
	for _, s := range o.Kinds {
		if !slices.Contains(kinds, s) {
			return noneOf("kinds", s, kinds)
		}
	}
	return nil
}

func noneOf(key, got string, all []string) error {
	return fmt.Errorf("%s: %q is none of %s", key, collectors.Clip(got, 32), strings.Join(all, ", "))
}

// takes tells whether an incident is chosen.
func (o Only) takes(n *Note) bool {
	return int(n.Severity) >= slices.Index(severities, o.Severity) && // -1 of none
		(len(o.Owner) == 0 || slices.Contains(o.Owner, string(n.Owner))) &&
		(len(o.Kinds) == 0 || slices.Contains(o.Kinds, string(n.Kind)))
}

// Validate reports the first setting that cannot work.
func (s SMTP) Validate() error {
	if err := validServer(s.Server); err != nil {
		return err
	}
	switch s.Security {
	case "", StartTLS, UseTLS, Plain:
	default:
		return noneOf("security", s.Security, []string{StartTLS, UseTLS, Plain})
	}
	switch {
	case len(s.To) == 0:
		return errors.New("to: is missing: whom to write to")
	case len(s.To) > maxRecipients:
		return fmt.Errorf("to: has more than %d recipients; use a list of the mail server's", maxRecipients)
	case (s.Username == "") != (s.Password == ""):
		return errors.New("username and password go together")
	case s.Password != "" && s.Security == Plain:
		return errors.New("security: a password is not sent in plain; use starttls or tls")
	case s.Security == Plain && s.TLS != TLS{}:
		return errors.New("tls: has no use where security is none")
	case strings.ContainsFunc(s.Username, control) || len(s.Username) > 255:
		return errors.New("username: is too long or has control characters")
	}
	for _, a := range s.To {
		if !plainAddress(a) {
			return fmt.Errorf("to: %q is no address such as it@acme.example", collectors.Clip(a, 64))
		}
	}
	if s.From != "" && !plainAddress(s.From) {
		return fmt.Errorf("from: %q is no address such as siteprobe@acme.example", collectors.Clip(s.From, 64))
	}
	return within("tls", s.TLS.Validate())
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// plainAddress accepts local@domain of ASCII, without a name or quotes.
func plainAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > 254 || strings.ContainsAny(s, "\"<>[]") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// from is the address that mails come from.
func (s SMTP) from() string {
	if s.From != "" {
		return s.From
	}
	return "siteprobe@" + domainOf(s.To[0])
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// Validate reports the first setting that cannot work.
func (s Syslog) Validate() error {
	if err := validServer(s.Server); err != nil {
		return err
	}
	switch s.Transport {
	case "", UDP, TCP, UseTLS:
	default:
		return noneOf("transport", s.Transport, []string{UDP, TCP, UseTLS})
	}
	if s.Transport != UseTLS && s.TLS != (TLS{}) {
		return errors.New("tls: has no use where transport is not tls")
	}
	if s.Facility != "" && !slices.Contains(facilities, s.Facility) {
		return noneOf("facility", s.Facility, facilities)
	}
	return within("tls", s.TLS.Validate())
}

// Validate reports the first setting that cannot work. The URL is not repeated: some
// hold a token.
func (w Webhook) Validate() error {
	u, err := url.Parse(w.URL)
	switch {
	case w.URL == "":
		return errors.New("url: is missing")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || len(w.URL) > 2048:
		return errors.New("url: must be such as https://host/path, or http on a LAN that you trust")
	case u.User != nil:
		return errors.New("url: must not hold a user or a password; the message is signed by the secret")
	case u.Fragment != "":
		return errors.New("url: a fragment (#) is not sent")
	case w.Secret == "":
		return errors.New("secret: is missing: what the message is signed with, such as {file: /etc/siteprobe/webhook}")
	case u.Scheme == "http" && w.TLS != TLS{}:
		return errors.New("tls: has no use for http")
	}
	if err := validServer(u.Host); err != nil {
		return errors.New("url: its host is neither a name nor an address, or its port no number")
	}
	return within("tls", w.TLS.Validate())
}

// Validate reports the first setting that cannot work.
func (t TLS) Validate() error {
	if t.CA != "" && !filepath.IsAbs(t.CA) {
		return errors.New("ca: must be an absolute path")
	}
	if t.Name != "" && !validHost(t.Name) {
		return errors.New("name: must be a host's name or address")
	}
	return nil
}

func validServer(s string) error {
	host, port := split(s)
	if s == "" {
		return errors.New("server: is missing; a host or host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); !validHost(host) || port != "" && (err != nil || n == 0) {
		return fmt.Errorf("server: %q is not host or host:port", collectors.Clip(s, 64))
	}
	return nil
}

func validHost(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Zone() == ""
	}
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	})
}

// split takes host or host:port apart; a bare IPv6 address is a host.
func split(s string) (host, port string) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, ""
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		return host, port
	}
	return strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), ""
}

// target is the host and port that is contacted.
func (c Config) target() (host string, port uint16) {
	var text string
	switch {
	case c.SMTP != nil:
		host, text = split(c.SMTP.Server)
		switch {
		case c.SMTP.Security == UseTLS:
			port = 465
		case c.SMTP.Username != "":
			port = 587
		default:
			port = 25
		}
	case c.Syslog != nil:
		host, text = split(c.Syslog.Server)
		if port = 514; c.Syslog.Transport == UseTLS {
			port = 6514
		}
	case c.Webhook != nil:
		u, err := url.Parse(c.Webhook.URL)
		if err != nil { // it was validated
			return "", 0
		}
		host, text = u.Hostname(), u.Port()
		if port = 80; u.Scheme == "https" {
			port = 443
		}
	}
	if n, err := strconv.ParseUint(text, 10, 16); err == nil {
		port = uint16(n)
	}
	return host, port
}

// perHour is how many messages go out in an hour.
func (c Config) perHour() int {
	switch {
	case c.MaxPerHour > 0:
		return c.MaxPerHour
	case c.SMTP != nil:
		return 12
	}
	return 600
}
