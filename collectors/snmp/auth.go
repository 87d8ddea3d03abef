package snmp

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// Auth is what stands under snmp in a credential of the site file.
type Auth struct {
	Version       string            `yaml:"version"`        // "1", "2c" or "3"
	Community     collectors.Secret `yaml:"community"`      // v1, v2c
	Username      string            `yaml:"username"`       // v3, and all below
	SecurityLevel string            `yaml:"security_level"` // noAuthNoPriv, authNoPriv, authPriv; empty: what the passwords allow
	AuthProtocol  string            `yaml:"auth_protocol"`  // MD5, SHA, SHA224, SHA256, SHA384, SHA512
	AuthPassword  collectors.Secret `yaml:"auth_password"`
	PrivProtocol  string            `yaml:"priv_protocol"` // DES, AES, AES192, AES256; Cisco's way: AES192C, AES256C
	PrivPassword  collectors.Secret `yaml:"priv_password"`
	Context       string            `yaml:"context"`
}

// Credential is an [Auth] under the name that devices refer to it by.
type Credential struct {
	Name string
	Auth Auth
}

const (
	noAuthNoPriv = "noAuthNoPriv"
	authNoPriv   = "authNoPriv"
	authPriv     = "authPriv"

	minPassphrase = 8   // RFC 3414, 11.2
	maxCommunity  = 127 // gosnmp writes its length in one octet
	maxUsername   = 32  // RFC 3414, SnmpAdminString of usmUserName
)

// level is the security level, worked out where it is not given.
func (a *Auth) level() string {
	switch {
	case a.SecurityLevel != "":
		return a.SecurityLevel
	case a.PrivPassword != "" || a.PrivProtocol != "":
		return authPriv
	case a.AuthPassword != "" || a.AuthProtocol != "":
		return authNoPriv
	}
	return noAuthNoPriv
}

// Validate reports everything that cannot work. No text of a secret is in it.
func (a Auth) Validate() error {
	switch a.Version {
	case "1", "2c":
		return a.validateCommunity()
	case "3":
		return a.validateUser()
	case "":
		return errors.New(`version is missing: "1", "2c" or "3"`)
	case "2":
		return errors.New(`version: 2 is unknown; community-based SNMPv2 is "2c"`)
	}
	return fmt.Errorf(`version: %q is unknown (known: "1", "2c", "3")`, collectors.Clip(a.Version, 16))
}

func (a *Auth) validateCommunity() error {
	var errs []error
	switch n := len(a.Community); {
	case n == 0:
		errs = append(errs, errors.New("community is missing"))
	case n > maxCommunity:
		errs = append(errs, fmt.Errorf("community: %d bytes (at most %d)", n, maxCommunity))
	}
	for _, f := range []struct {
		key string
		set bool
	}{
		{"username", a.Username != ""}, {"security_level", a.SecurityLevel != ""},
		{"auth_protocol", a.AuthProtocol != ""}, {"auth_password", a.AuthPassword != ""},
		{"priv_protocol", a.PrivProtocol != ""}, {"priv_password", a.PrivPassword != ""},
		{"context", a.Context != ""},
	} {
		if f.set {
			errs = append(errs, fmt.Errorf("%s: only version 3 has it, and this is version %s", f.key, a.Version))
		}
	}
	return errors.Join(errs...)
}

func (a *Auth) validateUser() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case a.Username == "":
		bad("username is missing")
	case len(a.Username) > maxUsername:
		bad("username: %d bytes (at most %d)", len(a.Username), maxUsername)
	}
	if a.Community != "" {
		bad("community: only versions 1 and 2c have one; version 3 has username and passwords")
	}
	if len(a.Context) > 255 {
		bad("context: %d bytes (at most 255)", len(a.Context))
	}
	level := a.level()
	switch level {
	case noAuthNoPriv, authNoPriv, authPriv:
	default:
		bad("security_level: %q is unknown (known: noAuthNoPriv, authNoPriv, authPriv)", collectors.Clip(level, 32))
		return errors.Join(errs...)
	}
	secret := func(what, protocol string, password collectors.Secret, known []string, wanted bool) {
		if !wanted {
			if protocol != "" || password != "" {
				bad("%s_protocol and %s_password: security_level %s has none", what, what, level)
			}
			return
		}
		switch {
		case protocol == "":
			bad("%s_protocol is missing (known: %s)", what, strings.Join(known, ", "))
		case !slices.Contains(known, protocol):
			bad("%s_protocol: %q is unknown (known: %s)", what, collectors.Clip(protocol, 16), strings.Join(known, ", "))
		}
		switch n := len(password); {
		case n == 0:
			bad("%s_password is missing", what)
		case n < minPassphrase:
			bad("%s_password: %d characters (SNMPv3 wants at least %d)", what, n, minPassphrase)
		}
	}
	secret("auth", a.AuthProtocol, a.AuthPassword, authProtocols(), level != noAuthNoPriv)
	secret("priv", a.PrivProtocol, a.PrivPassword, privProtocols(), level == authPriv)
	return errors.Join(errs...)
}

func authProtocols() []string { return []string{"MD5", "SHA", "SHA224", "SHA256", "SHA384", "SHA512"} }

func privProtocols() []string {
	return []string{"DES", "AES", "AES192", "AES256", "AES192C", "AES256C"}
}
