package collectors

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// MaxUserLabels is how many labels a person may give a device: there has to be room for
// those that a collector sets.
const MaxUserLabels = MaxLabels - 5

var labelName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ValidLabels tells whether labels that a person gives a device can be had: their
// number, their names (as Prometheus has them, and none that the probe sets itself) and
// the lengths.
func ValidLabels(labels map[string]string) error {
	if len(labels) > MaxUserLabels {
		return fmt.Errorf("labels: there are more than %d", MaxUserLabels)
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		switch key {
		case "device", "check", "phase", "ifIndex", "ifName", "ifDescr", "ifAlias":
			return fmt.Errorf("labels: %q is set by the probe itself", key)
		}
		switch {
		case !labelName.MatchString(key) || len(key) > MaxName:
			return fmt.Errorf("labels: a label's name must be letters, digits and _, not a digit first")
		case len(labels[key]) > MaxText:
			return fmt.Errorf("labels: the value of %s is longer than %d bytes", key, MaxText)
		}
	}
	return nil
}
