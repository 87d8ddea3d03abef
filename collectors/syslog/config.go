package syslog

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// Config is the site file's syslog section.
type Config struct {
	Listen   string `yaml:"listen"`   // host:port, such as ":9514", over UDP and TCP; empty: nothing is received
	Severity string `yaml:"severity"` // the least severe that becomes an event; empty: warning
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	if c.Severity != "" {
		if _, ok := severityNamed(c.Severity); !ok {
			return fmt.Errorf("severity: %q is none of %s", collectors.Clip(c.Severity, 32), strings.Join(severityNames[:], ", "))
		}
	}
	if c.Listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return errors.New(`listen: must be host:port or :port, such as ":9514"`)
	}
	if host != "" && net.ParseIP(host) == nil {
		return errors.New("listen: must be an address of this box, or nothing before the colon for all of them")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("listen: its port must be a number from 1 to 65535")
	}
	return nil
}

// least is the least severe that becomes an event.
func (c Config) least() Severity {
	if s, ok := severityNamed(c.Severity); ok {
		return s
	}
	return Warning
}
