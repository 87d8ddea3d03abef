package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Banner reads the greeting of a server: of SSH the versions are exchanged, nothing
// else. It is up when the greeting is that of the protocol, and matches.
type Banner struct {
	Protocol   string `yaml:"protocol"`    // smtp, imap, pop3, ftp or ssh
	Address    string `yaml:"address"`     // host:port
	Expect     string `yaml:"expect"`      // regular expression that the first line, without its code, has to match
	StartTLS   bool   `yaml:"starttls"`    // it must offer TLS, with a valid certificate
	TLS        bool   `yaml:"tls"`         // the port is for TLS from the beginning: smtps, imaps, pop3s
	ServerName string `yaml:"server_name"` // that the certificate must be of; empty: the host of the address
	CA         string `yaml:"ca"`          // PEM file of the CAs to trust instead of the system's
}

// Validate reports the first setting that cannot work. It does no I/O.
func (c Banner) Validate() error {
	p, ok := protocols()[c.Protocol]
	if !ok {
		return fmt.Errorf("protocol: %q is none of %s", collectors.Clip(c.Protocol, 20), names(protocols()))
	}
	if err := validHostPort("address", c.Address); err != nil {
		return err
	}
	if _, err := regexp.Compile(c.Expect); err != nil {
		return fmt.Errorf("expect: not a regular expression: %w", err)
	}
	switch {
	case c.TLS && c.StartTLS:
		return errors.New("starttls: has no use together with tls")
	case p.starttls == nil && (c.TLS || c.StartTLS):
		return fmt.Errorf("starttls: there is none in %s", c.Protocol)
	case !c.TLS && !c.StartTLS && (c.CA != "" || c.ServerName != ""):
		return errors.New("ca and server_name have no use without tls or starttls")
	case c.ServerName != "":
		return validHost("server_name", c.ServerName)
	}
	return nil
}

func (c Banner) targets() (string, []string) { return "address", []string{c.Address} }

func bannerMetrics() []metric {
	ms := append(commonMetrics(), metric{name: "probe_failed_due_to_regex", kind: collectors.State})
	ms = append(ms, certificateMetrics()...)
	return append(ms, sessionPhases("probe_banner_duration_seconds", "greeting", "starttls")...)
}

// newBanner makes the probe that reads a greeting. cfg is valid.
func newBanner(cfg Banner, dialer Dialer, now func() time.Time) probe {
	p := protocols()[cfg.Protocol]
	var want *regexp.Regexp
	if cfg.Expect != "" {
		want = regexp.MustCompile(cfg.Expect)
	}
	return func(ctx context.Context, r *reading) error {
		h, err := newHandshake(cfg.Address, cfg.ServerName, cfg.CA, cfg.TLS || cfg.StartTLS, now)
		if err != nil {
			return err
		}
		s, err := openSession(ctx, dialer, cfg.Address, r, "probe_banner_duration_seconds")
		if err != nil {
			return err
		}
		defer s.close()
		if cfg.TLS {
			if err := s.secure(h); err != nil {
				return err
			}
		}
		var text string
		err = s.timed("greeting", func() error { text, err = p.greet(s); return err })
		if err != nil {
			return err
		}
		if want != nil {
			match := want.MatchString(text)
			r.set("probe_failed_due_to_regex", "", flag(!match))
			if !match {
				return because("greeting does not match")
			}
		}
		if cfg.StartTLS {
			if err := s.timed("starttls", func() error { return p.starttls(s) }); err != nil {
				return err
			}
			if err := s.secure(h); err != nil {
				return err
			}
		}
		_ = s.say("bye", p.bye) // it has done what is asked of it already
		return nil
	}
}

// newHandshake prepares a handshake with the host of an address, or with a name. CAs
// are read only if they will be needed.
func newHandshake(address, name, ca string, needed bool, now func() time.Time) (*handshake, error) {
	if !needed {
		return nil, nil
	}
	roots, err := readRoots(ca)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name, _, _ = net.SplitHostPort(address) // it was checked
	}
	return &handshake{name: name, roots: roots, now: now}, nil
}
