package discovery

import (
	"cmp"
	"fmt"

	"github.com/siteprobe/siteprobe/collectors"
)

// Kind is what has become of a device. It is the kind of the event that tells of it.
type Kind string

// The kinds.
const (
	DeviceNew      Kind = "device_new"      // it speaks SNMP and was not known
	DeviceGone     Kind = "device_gone"     // several sweeps have not found it
	DeviceBack     Kind = "device_back"     // it was gone
	DeviceMoved    Kind = "device_moved"    // the same device at another address
	DeviceChanged  Kind = "device_changed"  // firmware, model, name or configuration
	DeviceReplaced Kind = "device_replaced" // another device has its place
	DeviceAdopted  Kind = "device_adopted"  // the policy has adopted it
)

// Change is one thing that has become of a device.
type Change struct {
	Kind   Kind
	Device Device // as it is now
	Field  string // what of it has changed: firmware, vendor, model, sysName, sysObjectID, config
	// From and To are the addresses of one that moved, what it was known by of one that
	// was replaced, and values of what changed.
	From, To string
}

// Event is the change in the words of package collectors.
func (c *Change) Event() collectors.Event {
	d := &c.Device
	e := collectors.Event{Kind: string(c.Kind), Severity: collectors.Info}
	title := clip(d.Title(), 64)
	from, to := clip(c.From, 64), clip(c.To, 64)
	switch c.Kind {
	case DeviceNew:
		e.Text = fmt.Sprintf("new device %s at %s: %s; siteprobe adopt takes it", title, d.Address, what(d))
	case DeviceGone:
		e.Severity = collectors.Warning
		e.Text = fmt.Sprintf("%s (%s) was not found for %d sweeps, last seen %s", title, d.Address, d.Missed, d.LastSeen.UTC().Format("2006-01-02 15:04"))
	case DeviceBack:
		e.Text = fmt.Sprintf("%s (%s) is back", title, d.Address)
	case DeviceMoved:
		e.Text = fmt.Sprintf("%s moved from %s to %s", title, from, to)
		if d.Found.IsValid() {
			e.Severity = collectors.Warning
			e.Text += followHint(d)
		}
	case DeviceChanged:
		e.Text = fmt.Sprintf("%s: %s changed from %s to %s", title, c.Field, from, to)
		if c.Field == "config" {
			e.Text = fmt.Sprintf("the configuration of %s was changed at %s", title, to)
		}
	case DeviceReplaced:
		e.Severity = collectors.Warning
		e.Text = fmt.Sprintf("another device has the place of %s at %s: %s, was %s", title, d.Address, to, from)
	case DeviceAdopted:
		e.Text = fmt.Sprintf("%s at %s is polled from now on: %s", title, d.Address, what(d))
	}
	e.Text = clip(e.Text, collectors.MaxText)
	for _, l := range []collectors.Label{
		{Name: "device", Value: d.Title()}, {Name: "address", Value: d.Address.String()}, {Name: "id", Value: d.ID}, {Name: "class", Value: d.Class},
		{Name: "vendor", Value: d.Vendor}, {Name: "model", Value: d.Model}, {Name: "serial", Value: d.Serial},
		{Name: "field", Value: c.Field}, {Name: "from", Value: c.From}, {Name: "to", Value: c.To},
	} {
		if l.Value != "" {
			e.Labels = append(e.Labels, collectors.Label{Name: l.Name, Value: clip(l.Value, 96)})
		}
	}
	return e
}

func followHint(d *Device) string {
	if d.State == Listed {
		return "; change its address in the site file"
	}
	return "; siteprobe adopt " + d.Name + " --follow polls it there"
}

// what is a device in few words.
func what(d *Device) string {
	made := clip(d.Vendor, 32)
	if d.Model != "" {
		made += " " + clip(d.Model, 48)
	}
	return clip(cmp.Or(made, d.SysDescr, "of an unknown kind"), 80)
}

// clip makes a device's text fit for a person's eyes.
func clip(s string, n int) string { return collectors.Clip(collectors.Printable(s), n) }
