package trap

import (
	"github.com/siteprobe/siteprobe/collectors/receive"
	"github.com/siteprobe/siteprobe/collectors/snmp"
)

// Config is the site file's traps section, and what else of the site file the receiver
// obeys.
type Config struct {
	Listen string `yaml:"listen"` // such as ":9162", see receive.ValidListen; empty: no traps are received

	// Credentials are whose communities and users are believed.
	Credentials []snmp.Credential `yaml:"-"`
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error { return receive.ValidListen(c.Listen) }
