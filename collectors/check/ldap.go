package check

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// LDAP binds and reads what a directory says of itself (the root DSE, RFC 4512 5.1).
// It is up when both are granted.
//
// The protocol is written out here, in ber.go and this file: a client library buffers
// whatever length a server announces, and brings three more modules along.
type LDAP struct {
	Address    string            `yaml:"address"`     // host or host:port; without one 389, with tls 636
	BindDN     string            `yaml:"bind_dn"`     // a name such as cn=probe,dc=acme,dc=example, or user@acme.example at AD; empty: anonymous
	Password   collectors.Secret `yaml:"password"`    // only over TLS
	Base       string            `yaml:"base"`        // a naming context that the directory must hold
	TLS        bool              `yaml:"tls"`         // ldaps
	StartTLS   bool              `yaml:"starttls"`    // ask for TLS first
	ServerName string            `yaml:"server_name"` // that the certificate must be of; empty: the host of the address
	CA         string            `yaml:"ca"`          // PEM file of the CAs to trust instead of the system's
}

func (c LDAP) address() string {
	if c.TLS {
		return withPort(c.Address, "636")
	}
	return withPort(c.Address, "389")
}

// Validate reports the first setting that cannot work. It does no I/O.
func (c LDAP) Validate() error {
	if c.Address == "" {
		return errors.New("address: is missing; name or IP address of the directory")
	}
	if err := validHostPort("address", c.address()); err != nil {
		return err
	}
	secured := c.TLS || c.StartTLS
	switch {
	case c.TLS && c.StartTLS:
		return errors.New("starttls: has no use together with tls")
	case !secured && (c.CA != "" || c.ServerName != ""):
		return errors.New("ca and server_name have no use without tls or starttls")
	case (c.BindDN == "") != (c.Password == ""):
		return errors.New("bind_dn: goes together with a password")
	case c.Password != "" && !secured:
		return errors.New("password: would be sent in the clear; add starttls: true or tls: true")
	case len(c.BindDN) > 1024 || len(c.Base) > 1024:
		return errors.New("bind_dn: and base must be at most 1024 bytes")
	case c.ServerName != "":
		return validHost("server_name", c.ServerName)
	}
	return nil
}

func (c LDAP) targets() (string, []string) { return "address", []string{c.address()} }

func ldapMetrics() []metric {
	ms := append(commonMetrics(), metric{name: "probe_ldap_result_code", kind: collectors.State})
	ms = append(ms, certificateMetrics()...)
	return append(ms, sessionPhases("probe_ldap_duration_seconds", "starttls", "bind", "search")...)
}

// newLDAP makes the probe that asks a directory. cfg is valid.
func newLDAP(cfg LDAP, dialer Dialer, now func() time.Time) probe {
	return func(ctx context.Context, r *reading) error {
		h, err := newHandshake(cfg.address(), cfg.ServerName, cfg.CA, cfg.TLS || cfg.StartTLS, now)
		if err != nil {
			return err
		}
		s, err := openSession(ctx, dialer, cfg.address(), r, "probe_ldap_duration_seconds")
		if err != nil {
			return err
		}
		defer s.close()
		if cfg.StartTLS {
			if err := s.timed("starttls", func() error { return startLDAP(s, 1) }); err != nil {
				return err
			}
		}
		if h != nil {
			if err := s.secure(h); err != nil {
				return err
			}
		}
		if err := s.timed("bind", func() error { return bindLDAP(s, 2, cfg) }); err != nil {
			return err
		}
		if err := s.timed("search", func() error { return rootDSE(s, 3, cfg.Base) }); err != nil {
			return err
		}
		_ = s.say("bye", string(ldapMessage(4, berElement(ldapUnbind)))) // it has done what is asked of it already
		return nil
	}
}

// Tags of RFC 4511's operations, and of the simple types in them.
const (
	ldapBind, ldapBindDone         = 0x60, 0x61
	ldapUnbind                     = 0x42
	ldapSearch, ldapEntry          = 0x63, 0x64
	ldapSearchDone                 = 0x65
	ldapReference                  = 0x73
	ldapExtended, ldapExtendedDone = 0x77, 0x78

	berBoolean, berInteger, berOctets, berEnumerated = 0x01, 0x02, 0x04, 0x0a
	berSequence, berSet, berContext0, berContext7    = 0x30, 0x31, 0x80, 0x87
)

func ldapMessage(id byte, op []byte) []byte {
	return berElement(berSequence, berSmall(berInteger, id), op)
}

var errLDAP = because("ldap: malformed answer")

// ldapAsk sends a request and returns the operation that answers it.
func ldapAsk(s *session, doing string, id byte, op []byte) (tag byte, value berReader, err error) {
	if err := s.say(doing, string(ldapMessage(id, op))); err != nil {
		return 0, nil, err
	}
	return ldapAnswer(s, doing, id)
}

// ldapAnswer reads the next message, which must be of the id.
func ldapAnswer(s *session, doing string, id byte) (tag byte, value berReader, err error) {
	head, err := s.octets(doing, 2)
	if err != nil {
		return 0, nil, err
	}
	n := int(head[1])
	if head[0] != berSequence {
		return 0, nil, errLDAP
	}
	if n >= 0x80 {
		if n &= 0x7f; n < 1 || n > 4 {
			return 0, nil, errLDAP
		}
		length, err := s.octets(doing, n)
		if err != nil {
			return 0, nil, err
		}
		n = berLength(length)
	}
	body, err := s.octets(doing, n)
	if err != nil {
		return 0, nil, err
	}
	in := berReader(body)
	got, ok := in.want(berInteger)
	if !ok || len(got) == 0 || len(got) > 4 || berLength(got) != int(id) {
		return 0, nil, errLDAP
	}
	if tag, value, ok = in.next(); !ok {
		return 0, nil, errLDAP
	}
	return tag, value, nil
}

// ldapResult reads an LDAPResult (RFC 4511 4.1.9): nil for success.
func ldapResult(tag byte, value berReader, want byte) (code int, err error) {
	got, ok := value.want(berEnumerated)
	if tag != want || !ok || len(got) < 1 || len(got) > 2 {
		return 0, errLDAP
	}
	code = berLength(got)
	switch code {
	case 0:
		return 0, nil
	case 8, 13: // strongerAuthRequired, confidentialityRequired
		return code, because("ldap: it wants TLS")
	case 49:
		return code, because("ldap: invalid credentials")
	case 50:
		return code, because("ldap: insufficient access rights")
	case 51, 52:
		return code, because("ldap: busy or unavailable")
	}
	return code, because("ldap: result " + strconv.Itoa(code))
}

func startLDAP(s *session, id byte) error {
	tag, value, err := ldapAsk(s, "starttls", id, berElement(ldapExtended, berText(berContext0, "1.3.6.1.4.1.1466.20037")))
	if err != nil {
		return err
	}
	code, err := ldapResult(tag, value, ldapExtendedDone)
	switch {
	case code == 2: // protocolError: it knows no such operation
		return errNoTLS
	case code != 0:
		return errTLSNo
	}
	return err
}

// bindLDAP binds by a simple password, or anonymously.
func bindLDAP(s *session, id byte, cfg LDAP) error {
	tag, value, err := ldapAsk(s, "bind", id, berElement(ldapBind, berSmall(berInteger, 3),
		berText(berOctets, cfg.BindDN), berText(berContext0, cfg.Password.Reveal())))
	if err != nil {
		return err
	}
	return s.recordLDAP(ldapResult(tag, value, ldapBindDone))
}

func (s *session) recordLDAP(code int, err error) error {
	if !errors.Is(err, errLDAP) {
		s.r.set("probe_ldap_result_code", "", collectors.StateValue(int64(code)))
	}
	return err
}

// rootDSE reads the entry without a name, and looks for a naming context.
func rootDSE(s *session, id byte, base string) error {
	request := berElement(ldapSearch, berText(berOctets, ""),
		berSmall(berEnumerated, 0), berSmall(berEnumerated, 0), // that entry alone; aliases are not followed
		berSmall(berInteger, 1), berSmall(berInteger, 30), berSmall(berBoolean, 0), // 1 entry, 30 s, with values
		berText(berContext7, "objectClass"), berElement(berSequence, berText(berOctets, "namingContexts")))
	tag, value, err := ldapAsk(s, "search", id, request)
	var contexts []string
	entries := 0
	for range maxLines {
		if err != nil {
			return err
		}
		switch tag {
		case ldapEntry:
			entries++
			contexts = append(contexts, namingContexts(value)...)
		case ldapReference:
		default:
			if err := s.recordLDAP(ldapResult(tag, value, ldapSearchDone)); err != nil {
				return err
			}
			holds := func(c string) bool { return strings.EqualFold(c, base) }
			switch {
			case entries == 0:
				return because("ldap: no root DSE")
			case base != "" && !slices.ContainsFunc(contexts, holds):
				return because("ldap: expected naming context is missing")
			}
			return nil
		}
		tag, value, err = ldapAnswer(s, "search", id)
	}
	return errTooMany
}

// namingContexts reads the values of that attribute out of an entry.
func namingContexts(entry berReader) (out []string) {
	_, ok := entry.want(berOctets)
	attributes, ok2 := entry.want(berSequence)
	if !ok || !ok2 {
		return nil
	}
	for {
		attribute, ok := attributes.want(berSequence)
		if !ok {
			return out
		}
		name, ok := attribute.want(berOctets)
		values, ok2 := attribute.want(berSet)
		if !ok || !ok2 || !strings.EqualFold(string(name), "namingContexts") {
			continue
		}
		for {
			v, ok := values.want(berOctets)
			if !ok {
				break
			}
			out = append(out, string(v))
		}
	}
}
