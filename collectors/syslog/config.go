package syslog

import (
	"fmt"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/receive"
)

// Config is the site file's syslog section.
type Config struct {
	Listen   string `yaml:"listen"`   // such as ":9514", over UDP and TCP, see receive.ValidListen; empty: nothing is received
	Severity string `yaml:"severity"` // the least severe that becomes an event; empty: warning
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	if c.Severity != "" {
		if _, ok := severityNamed(c.Severity); !ok {
			return fmt.Errorf("severity: %q is none of %s", collectors.Clip(c.Severity, 32), strings.Join(severityNames[:], ", "))
		}
	}
	return receive.ValidListen(c.Listen)
}

// least is the least severe that becomes an event.
func (c Config) least() Severity {
	if s, ok := severityNamed(c.Severity); ok {
		return s
	}
	return Warning
}
