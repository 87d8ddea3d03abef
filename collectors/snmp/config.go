package snmp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// Config is one device.
type Config struct {
	Device      string       // its name: the source is "device/" and this
	Address     string       // host or host:port; without one, port 161
	Credentials []Credential // tried in turn; the one that works is remembered

	Timeout time.Duration // of one request; 0: 3 s
	Retries int           // how often a request without an answer is sent again

	Labels []collectors.Label // further labels of each series

	// Profile is what the device is asked for; nil: it is chosen by what the device
	// says that it is.
	Profile *profile.Profile

	// MaxRepetitions and MaxColumns bound one request; within them it is found
	// out what the device takes. 0: 25 and 11.
	MaxRepetitions int
	MaxColumns     int

	MaxRows     int           // of a table; what comes after is left out. 0: 4096
	MaxRequests int           // of one poll. 0: 10000
	NamesEvery  time.Duration // how long the names of interfaces hold when nothing hints at a change; 0: 10 minutes
}

const (
	defaultPort        = 161
	defaultTimeout     = 3 * time.Second
	defaultRepetitions = 25
	defaultColumns     = 11
	defaultRows        = 4096
	defaultRequests    = 10000
	defaultNamesEvery  = 10 * time.Minute

	// The collector's own labels: device, an index and up to three names.
	ownLabels = 5
)

func (c Config) withDefaults() Config {
	set := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
	}
	set(&c.MaxRepetitions, defaultRepetitions)
	set(&c.MaxColumns, defaultColumns)
	set(&c.MaxRows, defaultRows)
	set(&c.MaxRequests, defaultRequests)
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.NamesEvery == 0 {
		c.NamesEvery = defaultNamesEvery
	}
	return c
}

// Validate reports everything that cannot work. No text of a secret is in it.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Device == "" || len(c.Device) > collectors.MaxName-len(sourcePrefix) {
		bad("device: a name of 1 to %d bytes is wanted", collectors.MaxName-len(sourcePrefix))
	}
	if _, _, err := splitAddress(c.Address); err != nil {
		bad("address: %w", err)
	}
	if len(c.Credentials) == 0 {
		bad("credentials: at least one is wanted")
	}
	for _, cr := range c.Credentials {
		if err := cr.Auth.Validate(); err != nil {
			bad("credential %q: %w", collectors.Clip(cr.Name, 64), err)
		}
	}
	if c.Timeout < 0 || c.Timeout > time.Minute {
		bad("timeout: %s (at most 1m)", c.Timeout)
	}
	between := func(what string, n, low, high int) {
		if n < low || n > high {
			bad("%s: %d (%d to %d)", what, n, low, high)
		}
	}
	between("retries", c.Retries, 0, 10)
	between("max repetitions", c.MaxRepetitions, 0, 127)
	between("max columns", c.MaxColumns, 0, 60)
	between("max rows", c.MaxRows, 0, 1<<16)
	between("max requests", c.MaxRequests, 0, 1<<20)
	if c.NamesEvery < 0 {
		bad("names every: %s", c.NamesEvery)
	}
	if len(c.Labels) > collectors.MaxLabels-ownLabels {
		bad("labels: %d (at most %d)", len(c.Labels), collectors.MaxLabels-ownLabels)
	}
	for _, l := range c.Labels {
		if l.Name == "" || len(l.Name) > collectors.MaxName || len(l.Value) > collectors.MaxText {
			bad("label %q: its name or value is empty or too long", collectors.Clip(l.Name, 32))
		}
	}
	return errors.Join(errs...)
}

// splitAddress takes host, host:port, an IPv6 address with or without brackets.
func splitAddress(s string) (host string, port uint16, err error) {
	host, port = s, defaultPort
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.Contains(s, ":") {
		var p string
		if host, p, err = net.SplitHostPort(s); err != nil {
			return "", 0, fmt.Errorf("%q is not host or host:port", collectors.Clip(s, 64))
		}
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("%q is not a port", collectors.Clip(p, 16))
		}
		port = uint16(n)
	}
	if host == "" {
		return "", 0, errors.New("it is missing")
	}
	return host, port, nil
}
