package snmp

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// Device is who a device says it is. Fields that it does not tell, or that its
// profile does not ask for, are empty.
type Device struct {
	SysName     string
	SysObjectID string
	SysDescr    string
	Profile     string // the name of the profile that was chosen
	Class       string // as profile.Device has it
	Vendor      string
	Model       string
	Serial      string
	Firmware    string
	Location    string
	EngineID    string // in hexadecimal
}

// Interface is one row of ifTable (RFC 2863).
type Interface struct {
	Index       uint64
	Name, Descr string
	SpeedBPS    uint64 // 0: unknown
	Oper, Admin int64  // 0: not told
}

// shown is what was known of a device after the last poll that it answered.
type shown struct {
	last struct { // what tells that it is not worth the work
		pace                shape
		linked              attempt
		faults, atOnce      int
		unconnected, engine bool
	}

	mu      sync.Mutex
	profile *profile.Profile
	device  Device
	manners Manners
}

// show lets others see what is known. Most polls have nothing new.
func (c *Collector) show() {
	now := c.shown.last
	now.pace, now.linked, now.faults, now.atOnce = c.walker.pace.next(), c.linked, c.leading.faults, c.atOnce
	now.unconnected, now.engine = c.unconnected, c.engineBad
	if now == c.shown.last && !slices.ContainsFunc(c.tables, func(t *table) bool { return t.naming }) && c.namesAt != c.start {
		return
	}
	c.shown.last = now
	d, m := c.device(), c.manners()
	c.shown.mu.Lock()
	defer c.shown.mu.Unlock()
	if c.memory != nil && !reflect.DeepEqual(m, c.shown.manners) {
		c.memory.note(c.cfg.Device, c.cfg.Address, func(r *remembered) { r.Manners = m })
	}
	c.shown.profile, c.shown.device, c.shown.manners = c.plan.profile, d, m
}

// Device is who the device said it is when it last answered.
func (c *Collector) Device() Device {
	c.shown.mu.Lock()
	defer c.shown.mu.Unlock()
	return c.shown.device
}

// Profile is what the device was asked for when it last answered; nil before.
func (c *Collector) Profile() *profile.Profile {
	c.shown.mu.Lock()
	defer c.shown.mu.Unlock()
	return c.shown.profile
}

// Manners are what had been learned when the device last answered.
func (c *Collector) Manners() Manners {
	c.shown.mu.Lock()
	defer c.shown.mu.Unlock()
	return c.shown.manners
}

// device reads the profile's fields out of what names brought.
func (c *Collector) device() Device {
	f := func(name string) string { return c.field(c.plan.fields[name]) }
	return Device{
		SysName: c.scalarText(sysName), SysObjectID: c.scalarText(sysObjectID), SysDescr: c.scalarText(sysDescr),
		Profile: c.plan.profile.Name, Class: c.plan.profile.Device.Class,
		Vendor: f("vendor"), Model: f("model"), Serial: f("serial_number"), Firmware: f("os_version"), Location: f("location"),
		EngineID: c.engineID(),
	}
}

// engineID is the identifier of the SNMP engine, in hexadecimal.
func (c *Collector) engineID() string {
	k := c.scalars.text(&c.scalars.rows[0], c.plan.known[snmpEngineID])
	if len(*k) < 6 || len(*k) > 33 || (*k)[0] != pdu.TagOctets { // 5 to 32 octets (RFC 3411)
		return ""
	}
	return fmt.Sprintf("%x", string((*k)[1:]))
}

// field gives the first source of a field that is not empty.
func (c *Collector) field(from []fieldPlan) string {
	for i := range from {
		s := from[i].Value
		if f := &from[i]; f.object >= 0 {
			r := &c.scalars.rows[0]
			s = extracted(f.Extract, c.scalars.text(r, f.object).text(typed(f.Text, 0), nil))
		}
		if s != "" {
			return s
		}
	}
	return ""
}

// Identify asks the device who it is, and which profile is for it.
func (c *Client) Identify(ctx context.Context) (Device, error) {
	d := c.c
	d.begin()
	defer d.rest()
	if err := d.readRest(ctx, true); err != nil {
		return d.device(), fmt.Errorf("asking %s who it is: %w", d.cfg.Address, err)
	}
	return d.device(), nil
}

// Interfaces reads ifTable and ifXTable, in the order of ifIndex. Where only some
// of it can be read that is returned, with the error.
func (c *Client) Interfaces(ctx context.Context) ([]Interface, error) {
	const (
		table  = "1.3.6.1.2.1.2.2.1."
		xtable = "1.3.6.1.2.1.31.1.1.1."
	)
	found := map[uint64]*Interface{}
	high := map[uint64]uint64{}
	columns := []struct {
		oid string
		set func(i *Interface, v *pdu.Varbind)
	}{
		{table + "2", func(i *Interface, v *pdu.Varbind) { i.Descr = textOf(v) }},
		{table + "5", func(i *Interface, v *pdu.Varbind) { i.SpeedBPS = v.Num }},
		{table + "7", func(i *Interface, v *pdu.Varbind) { i.Admin = int64(v.Num) }},
		{table + "8", func(i *Interface, v *pdu.Varbind) { i.Oper = int64(v.Num) }},
		{xtable + "1", func(i *Interface, v *pdu.Varbind) { i.Name = textOf(v) }},
		{xtable + "15", func(i *Interface, v *pdu.Varbind) { high[i.Index] = v.Num }},
	}
	var roots [][]byte
	for _, col := range columns {
		roots = append(roots, pdu.MustOID(col.oid))
	}
	err := c.Walk(ctx, Limits{Variables: len(columns) * c.c.cfg.MaxRows}, func(v pdu.Varbind) bool {
		for n, root := range roots {
			index, ok := pdu.Below(v.OID, root)
			if !ok {
				continue
			}
			at, rest := pdu.ReadArc(index)
			if len(rest) > 0 {
				return true
			}
			if found[at] == nil {
				found[at] = &Interface{Index: at}
			}
			columns[n].set(found[at], &v)
		}
		return true
	}, roots...)
	var out []Interface
	for _, i := range found {
		if h := high[i.Index]; h > 0 && (i.SpeedBPS == 0 || i.SpeedBPS >= 1<<32-1 || h >= 1000) {
			i.SpeedBPS = h * 1_000_000 // ifSpeed ends at 4.3 gigabits
		}
		out = append(out, *i)
	}
	slices.SortFunc(out, func(a, b Interface) int { return cmp.Compare(a.Index, b.Index) })
	return out, err
}

func textOf(v *pdu.Varbind) string {
	return valueText(v.Tag, v.Num, v.Bytes, profile.Clean, nil)
}

// Profile is the profile that was chosen for the device; before it was identified
// one without a name.
func (c *Client) Profile() *profile.Profile { return c.c.plan.profile }
