package scope

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Config is the site file's scope section: the contract.
type Config struct {
	Managed  []string `yaml:"managed"`  // networks or addresses of the site
	Excluded []string `yaml:"excluded"` // networks or addresses that are never contacted
	External []string `yaml:"external"` // services outside: name, name:port, address or address:port
}

// Validate reports the first entry that is wrong.
func (c Config) Validate() error {
	_, err := c.rules()
	return err
}

// rules parses the contract.
func (c Config) rules() (rules, error) {
	var r rules
	for _, s := range c.Managed {
		p, err := parsePrefix(s)
		if err == nil {
			err = manageable(p)
		}
		if err != nil {
			return rules{}, fmt.Errorf("managed: %q: %w", s, err)
		}
		r.managed = append(r.managed, p)
	}
	for _, s := range c.Excluded {
		p, err := parsePrefix(s)
		if err != nil {
			return rules{}, fmt.Errorf("excluded: %q: %w", s, err)
		}
		r.excluded = append(r.excluded, p)
	}
	for _, s := range c.External {
		e, err := parseExternal(s)
		if err != nil {
			return rules{}, fmt.Errorf("external: %q: %w", s, err)
		}
		r.external = append(r.external, e)
	}
	return r, nil
}

// parsePrefix reads a network or an address.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			return netip.Prefix{}, errors.New("is neither a network such as 192.168.10.0/24 nor an address")
		case a.Zone() != "":
			return netip.Prefix{}, errors.New("addresses with a zone cannot be used")
		case a.Is4In6():
			return netip.Prefix{}, fmt.Errorf("write it as %v", a.Unmap())
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New("is neither a network such as 192.168.10.0/24 nor an address")
	case p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("write the network in its IPv4 form")
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("has bits set behind its mask: write %v for the network or %v for the address", p.Masked(), p.Addr())
	}
	return p, nil
}

// manageable refuses what cannot be somebody's network.
func manageable(p netip.Prefix) error {
	a := p.Addr()
	if never(a) != "" {
		return errors.New("can never be contacted")
	}
	if a.Is4() && p.Bits() < 8 || a.Is6() && p.Bits() < 7 {
		return errors.New("is too wide for a site: at most a /8, for IPv6 a /7")
	}
	return nil
}

// parseExternal reads one service outside.
func parseExternal(s string) (external, error) {
	if strings.Contains(s, "/") {
		return external{}, errors.New("is not a name or an address with or without a port (no scheme, path or network)")
	}
	host, port := s, uint16(0)
	if _, err := netip.ParseAddr(s); err != nil { // an IPv6 address has colons too
		if h, p, found := cutLast(s, ':'); found {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil || n == 0 {
				return external{}, errors.New("its port is not a number from 1 to 65535")
			}
			host, port = h, uint16(n)
			if inner, ok := strings.CutPrefix(host, "["); ok {
				host, ok = strings.CutSuffix(inner, "]")
				if !ok {
					return external{}, errors.New("a bracket is open")
				}
			}
		}
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a = a.Unmap(); a.Zone() != "" || !public(a) {
			return external{}, errors.New("is not a public address: what is inside belongs under managed")
		}
		return external{addr: a, port: port}, nil
	}
	name, ok := canonical(host)
	if !ok {
		return external{}, errors.New("is not a name or an address with or without a port")
	}
	return external{name: name, port: port}, nil
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// canonical returns a host name in lower case and without its final dot. What
// could be taken for a number, as some resolvers read "127.1" and "0x7f000001", is
// no name.
func canonical(host string) (name string, ok bool) {
	name = strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "" || len(name) > 253 {
		return "", false
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return "", false
		}
		for i := range len(l) {
			if c := l[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return "", false
			}
		}
	}
	last := labels[len(labels)-1]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return "", false
	}
	return name, true
}
