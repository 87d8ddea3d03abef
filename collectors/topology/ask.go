package topology

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp"
)

// Dialer opens a client for a device. Whoever provides it sees to it that nothing
// outside the scope is asked.
type Dialer func(context.Context, snmp.Config) (*snmp.Client, error)

// maxDevice is how long one device may take.
const maxDevice = time.Minute

// Ask reads one device by its settings. The error says why it did not answer at all.
func Ask(ctx context.Context, cfg snmp.Config, now func() time.Time, dial Dialer) (*Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, maxDevice)
	defer cancel()
	c, err := dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	contexts := func(ctx context.Context, vlan int) (Client, func(), error) {
		in, err := inVLAN(cfg, c.Credential(), vlan)
		if err != nil {
			return nil, nil, err
		}
		vc, err := dial(ctx, in)
		if err != nil {
			return nil, nil, err
		}
		return vc, func() { _ = vc.Close() }, nil
	}
	return Read(ctx, cfg.Device, now(), c, contexts), nil
}

// inVLAN is how Cisco's IOS wants to be asked about the bridge of one VLAN: with the
// community and the VLAN's number behind an @, or in a context of SNMPv3. It is asked
// once only: where that is not allowed the device keeps silent.
func inVLAN(cfg snmp.Config, credential string, vlan int) (snmp.Config, error) {
	i := slices.IndexFunc(cfg.Credentials, func(c snmp.Credential) bool { return c.Name == credential })
	if i < 0 {
		return cfg, fmt.Errorf("VLAN %d: the credential that is answered is not known", vlan)
	}
	c := cfg.Credentials[i]
	if c.Auth.Version == "3" {
		c.Auth.Context = "vlan-" + strconv.Itoa(vlan)
	} else {
		c.Auth.Community += collectors.Secret("@" + strconv.Itoa(vlan))
	}
	cfg.Credentials, cfg.Retries = []snmp.Credential{c}, 0
	return cfg, nil
}
