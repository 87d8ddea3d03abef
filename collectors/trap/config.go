package trap

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/siteprobe/siteprobe/collectors/snmp"
)

// Config is the site file's traps section, and what else of the site file the receiver
// obeys.
type Config struct {
	Listen string `yaml:"listen"` // host:port, such as ":9162"; empty: no traps are received

	// Credentials are whose communities and users are believed.
	Credentials []snmp.Credential `yaml:"-"`
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	if c.Listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return errors.New(`listen: must be host:port or :port, such as ":9162"`)
	}
	if host != "" && net.ParseIP(host) == nil {
		return errors.New("listen: must be an address of this box, or nothing before the colon for all of them")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("listen: its port must be a number from 1 to 65535")
	}
	return nil
}
