package discovery

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp"
)

// Config is the site file's discovery section, and what else of the site file
// discovery obeys.
type Config struct {
	// Networks are looked through, as far as scope.managed covers them and nothing of
	// scope.excluded does. None: no sweeps.
	Networks []string `yaml:"networks"`
	// Enabled switches sweeps on at a site whose internet is none, or off anywhere.
	// Commands sweep when they are told to.
	Enabled *bool `yaml:"enabled"`
	// Credentials are tried in this order, by their names; none: those of defaults.
	Credentials []string      `yaml:"credentials"`
	Interval    time.Duration `yaml:"interval"` // from one sweep to the next; 0: 24h
	Adopt       Policy        `yaml:"adopt"`
	// Communities says who hears communities of SNMPv1 and v2c: Careful (unless set)
	// or Pinged.
	Communities string `yaml:"communities"`
	Rate        int    `yaml:"rate"`         // unasked-for packets a second; 0: 20
	MaxHosts    int    `yaml:"max_hosts"`    // addresses in all networks together; 0: 4096
	MaxFailures int    `yaml:"max_failures"` // wrong credentials per device and day; 0: 3
	GoneAfter   int    `yaml:"gone_after"`   // sweeps; 0: 3
	Port        int    `yaml:"port"`         // of SNMP; 0: 161

	// Tried are the credentials by their names, with their secrets.
	Tried []snmp.Credential `yaml:"-"`
	// Off says why there are no sweeps by themselves; empty: there are.
	Off string `yaml:"-"`
}

// Who hears communities.
const (
	// Careful: only who has answered SNMP's engine probe, which has no secret in it.
	Careful = "careful"
	// Pinged: also who answers pings and does not refuse SNMP's port. It finds devices
	// that speak SNMPv1 and v2c only; a community may stand in a stranger's log then.
	Pinged = "pinged"
)

// Defaults of a Config.
const (
	DefaultInterval    = 24 * time.Hour
	DefaultRate        = 20
	DefaultMaxHosts    = 4096
	DefaultMaxFailures = 3
	maxHosts           = maxSightings
)

func (c Config) withDefaults() Config {
	set := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
	}
	set(&c.Rate, DefaultRate)
	set(&c.MaxHosts, DefaultMaxHosts)
	set(&c.MaxFailures, DefaultMaxFailures)
	set(&c.GoneAfter, DefaultGoneAfter)
	set(&c.Port, 161)
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Communities == "" {
		c.Communities = Careful
	}
	return c
}

// Validate reports everything that cannot work.
func (c Config) Validate() error {
	var errs []error
	between := func(key string, n, low, high int) {
		if n != 0 && (n < low || n > high) {
			errs = append(errs, fmt.Errorf("%s: must be between %d and %d", key, low, high))
		}
	}
	between("rate", c.Rate, 1, 1000)
	between("max_hosts", c.MaxHosts, 1, maxHosts)
	between("max_failures", c.MaxFailures, 1, 10)
	between("gone_after", c.GoneAfter, 1, 1000)
	between("port", c.Port, 1, 65535)
	if c.Interval != 0 && (c.Interval < 10*time.Minute || c.Interval > 31*24*time.Hour) {
		errs = append(errs, errors.New("interval: must be between 10m and 31d"))
	}
	switch c.Communities {
	case "", Careful, Pinged:
	default:
		errs = append(errs, fmt.Errorf("communities: %q is neither %s nor %s", clip(c.Communities, 32), Careful, Pinged))
	}
	if err := c.Adopt.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("adopt: %w", err))
	}
	if _, err := c.networks(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// networks reads the networks, and holds that they are not too many addresses to ask
// one by one. Of IPv6 only what is small is asked so; of the rest the neighbours are.
func (c Config) networks() (out []netip.Prefix, err error) {
	c = c.withDefaults()
	total := uint64(0)
	for _, s := range c.Networks {
		p, err := ParseNetwork(s)
		if err != nil {
			return nil, fmt.Errorf("networks: %q: %w", clip(s, 64), err)
		}
		out = append(out, p)
		if n := hosts(p); p.Addr().Is4() || n <= uint64(c.MaxHosts) {
			total += n
		}
	}
	if total > uint64(c.MaxHosts) {
		hint := fmt.Sprintf("write smaller networks, or max_hosts: %d if that is meant", total)
		if total > maxHosts {
			hint = "write smaller networks"
		}
		return nil, fmt.Errorf("networks: %d addresses are more than max_hosts (%d); to ask each takes %s at %d packets a second: %s",
			total, c.MaxHosts, (time.Duration(total) * time.Second / time.Duration(c.Rate)).Round(time.Minute), c.Rate, hint)
	}
	return out, nil
}

// ParseNetwork reads a network such as 192.168.10.0/24, or one address.
func ParseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, errors.New("is neither a network such as 192.168.10.0/24 nor an address")
	case p != p.Masked():
		return p, fmt.Errorf("has bits set behind its mask: write %v", p.Masked())
	case p.Addr().Is4In6():
		return p, errors.New("write the network in its IPv4 form")
	}
	return p, nil
}

// hosts is how many addresses a network has, at most 2^32.
func hosts(p netip.Prefix) uint64 { return 1 << min(p.Addr().BitLen()-p.Bits(), 32) }

// nth is the n-th address of a network of fewer than 2^32.
func nth(p netip.Prefix, n uint64) netip.Addr {
	if p.Addr().Is4() {
		b := p.Addr().As4()
		v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		v += uint32(n)
		return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
	}
	b := p.Addr().As16()
	for i := 15; i >= 0 && n > 0; i-- {
		sum, carry := bits.Add64(uint64(b[i]), n&0xff, 0)
		b[i] = byte(sum)
		n = n>>8 + sum>>8 + carry
	}
	return netip.AddrFrom16(b)
}
