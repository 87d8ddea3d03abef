package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// TLS makes a handshake and looks at the certificates. It is up when they lead to an
// authority that is trusted, are of the name, have not ended, and the version is new
// enough.
type TLS struct {
	Address    string `yaml:"address"`     // host:port
	ServerName string `yaml:"server_name"` // that the server is asked for; empty: the host of the address
	Name       string `yaml:"name"`        // that the certificate must be of; empty: server_name
	CA         string `yaml:"ca"`          // PEM file of the CAs to trust instead of the system's, read for each check
	MinDays    int    `yaml:"min_days"`    // down when a certificate ends sooner; 0: only when it has ended
	MinVersion string `yaml:"min_version"` // "1.0" to "1.3"; empty: 1.2
	StartTLS   string `yaml:"starttls"`    // ftp, imap, ldap, pop3, postgres or smtp; empty: TLS from the beginning
}

// version is the least that is accepted.
func (c TLS) version() (uint16, bool) {
	v, ok := map[string]uint16{"": tls.VersionTLS12, "1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11,
		"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[c.MinVersion]
	return v, ok
}

// Validate reports the first setting that cannot work. It does no I/O.
func (c TLS) Validate() error {
	if err := validHostPort("address", c.Address); err != nil {
		return err
	}
	for _, n := range [][2]string{{"server_name", c.ServerName}, {"name", c.Name}} {
		if n[1] == "" {
			continue
		}
		if err := validHost(n[0], n[1]); err != nil {
			return err
		}
	}
	if c.MinDays < 0 || c.MinDays > 3650 {
		return fmt.Errorf("min_days: %d is not between 0 and 3650", c.MinDays)
	}
	if _, ok := c.version(); !ok {
		return fmt.Errorf("min_version: %q is none of 1.0, 1.1, 1.2, 1.3", collectors.Clip(c.MinVersion, 20))
	}
	if _, ok := starters()[c.StartTLS]; !ok && c.StartTLS != "" {
		return fmt.Errorf("starttls: %q is none of %s", collectors.Clip(c.StartTLS, 20), names(starters()))
	}
	return nil
}

func (c TLS) targets() (string, []string) { return "address", []string{c.Address} }

func tlsMetrics() []metric {
	ms := append(commonMetrics(), certificateMetrics()...)
	ms = append(ms,
		metric{name: "probe_ssl_chain_valid", kind: collectors.State},
		metric{name: "probe_ssl_name_matches", kind: collectors.State})
	return append(ms, sessionPhases("probe_tls_duration_seconds", "starttls")...)
}

// newTLS makes the probe that looks at certificates. cfg is valid.
func newTLS(cfg TLS, dialer Dialer, now func() time.Time) probe {
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(cfg.Address)
	}
	if cfg.Name == "" {
		cfg.Name = cfg.ServerName
	}
	start := starters()[cfg.StartTLS]
	return func(ctx context.Context, r *reading) error {
		h, err := newHandshake(cfg.Address, cfg.ServerName, cfg.CA, true, now)
		if err != nil {
			return err
		}
		h.insecure = true // judged here, each fault by itself; nothing is sent to whoever it is
		s, err := openSession(ctx, dialer, cfg.Address, r, "probe_tls_duration_seconds")
		if err != nil {
			return err
		}
		defer s.close()
		if start != nil {
			if err := s.timed("starttls", func() error { return start(s) }); err != nil {
				return err
			}
		}
		if err := s.secure(h); err != nil {
			return err
		}
		return cfg.judge(r, h)
	}
}

// judge compares what a handshake has shown with what is expected. What is worst is
// the reason.
func (c TLS) judge(r *reading, h *handshake) error {
	chain := h.verify()
	name := h.certs[0].VerifyHostname(c.Name)
	r.set("probe_ssl_chain_valid", "", flag(chain == nil))
	r.set("probe_ssl_name_matches", "", flag(name == nil))
	h.record(r) // now with the chains
	least, _ := c.version()
	switch {
	case chain != nil:
		return certificateFailure(c.Address, h.certs, h.now(), chain)
	case name != nil:
		return judge("tls", c.Address, name)
	case h.version < least:
		return because("tls: version too old")
	case c.MinDays > 0 && lastChainExpiry(h.chains).Before(h.now().AddDate(0, 0, c.MinDays)):
		return because("certificate expires soon")
	}
	return nil
}

// verify follows the certificates to an authority that is trusted, without regard to
// names. crypto/x509 bounds how many ways it tries.
func (h *handshake) verify() error {
	opts := x509.VerifyOptions{Roots: h.roots, CurrentTime: h.now(), Intermediates: x509.NewCertPool()}
	for _, c := range h.certs[1:] {
		opts.Intermediates.AddCert(c)
	}
	var err error
	h.chains, err = h.certs[0].Verify(opts)
	return err
}
