package check

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/coreos/go-systemd/v22/dbus"

	"github.com/siteprobe/siteprobe/collectors"
)

// Systemd looks at units of this box. It is up when all of them are active.
type Systemd struct {
	Units []string `yaml:"units"` // with their suffix: chrony.service
}

// maxUnits bounds the units of one check.
const maxUnits = 64

// unitName is what systemd.unit(5) allows, without the backslashes of escaped names.
var unitName = regexp.MustCompile(`^[A-Za-z0-9:_.@-]{1,240}\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$`)

// Validate reports the first setting that cannot work. It does no I/O.
func (c Systemd) Validate() error {
	if len(c.Units) == 0 || len(c.Units) > maxUnits {
		return fmt.Errorf("units: 1 to %d are needed", maxUnits)
	}
	for i, u := range c.Units {
		if !unitName.MatchString(u) {
			return fmt.Errorf("units: %q is not a unit such as chrony.service", collectors.Clip(u, 80))
		}
		if slices.Contains(c.Units[:i], u) {
			return fmt.Errorf("units: %q is there twice", u)
		}
	}
	return nil
}

func (c Systemd) targets() (string, []string) { return "", nil }

// unitStates are those of node_exporter.
var unitStates = []string{"active", "activating", "deactivating", "inactive", "failed"}

// systemdMetrics are those of node_exporter, without its label type.
func systemdMetrics(cfg Systemd) []metric {
	ms := commonMetrics()
	for _, u := range cfg.Units {
		for _, state := range unitStates {
			ms = append(ms, metric{name: "node_systemd_unit_state", kind: collectors.State, key: u + " " + state,
				labels: []collectors.Label{{Name: "name", Value: u}, {Name: "state", Value: state}}})
		}
	}
	return ms
}

// newSystemd makes the probe that asks systemd, on the system's bus. cfg is valid. That
// there is no bus or no systemd is a fault of this box, not of a unit.
func newSystemd(cfg Systemd) probe {
	return func(ctx context.Context, r *reading) error {
		conn, err := dbus.NewSystemConnectionContext(ctx)
		if err != nil {
			return busError(ctx)
		}
		defer conn.Close()
		units, err := conn.ListUnitsByNamesContext(ctx, cfg.Units)
		if err != nil {
			return busError(ctx)
		}
		states := make(map[string]dbus.UnitStatus, len(units))
		for _, u := range units {
			states[u.Name] = u
		}
		worst := 0
		findings := []string{"", "unit not active", "unit not found", "unit failed"}
		for _, name := range cfg.Units {
			u, ok := states[name]
			found := ok && u.LoadState != "not-found"
			for _, state := range unitStates {
				if found {
					r.set("node_systemd_unit_state", name+" "+state, flag(u.ActiveState == state))
				}
			}
			switch {
			case !found:
				worst = max(worst, 2)
			case u.ActiveState == "failed":
				worst = max(worst, 3)
			case u.ActiveState != "active" && u.ActiveState != "reloading":
				worst = max(worst, 1)
			}
		}
		if worst > 0 {
			return because(findings[worst])
		}
		return nil
	}
}

// busError says that systemd could not be asked. The bus's own words are dropped.
func busError(ctx context.Context) error {
	if ctx.Err() != nil {
		return errors.New("systemd: the system's bus does not answer")
	}
	return fmt.Errorf("systemd: %w on the system's bus: is this box run by systemd, and dbus installed?", ErrNotPermitted)
}
