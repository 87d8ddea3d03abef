package discovery

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Seen is all that one sweep found.
type Seen struct {
	Sightings []Sighting
	// Covered tells which addresses were looked at; nil: all. A device is missed only
	// where it would have been found.
	Covered func(netip.Addr) bool
	// GoneAfter is after how many sweeps in a row a device counts as gone; 0: 3.
	GoneAfter int
	// Follow has adopted devices polled at a new address without being asked.
	Follow bool
}

// DefaultGoneAfter is Seen.GoneAfter where nothing is set.
const DefaultGoneAfter = 3

// Merge works out what a sweep says about the devices that were known: which are the
// same, new, moved, replaced, changed or gone. It returns them all, in the order in
// which they were known with the new ones behind, and what has changed since.
//
// Devices are told apart by serial number, SNMP engine ID, base MAC address, the MAC
// address on the link, and at last by address and sysName together. A key that two
// devices have at once, which other keys tell apart, was copied and counts for
// neither; see [keys]. Neither argument is changed.
func Merge(known []Device, seen Seen, now time.Time) ([]Device, []Change) {
	m := merging{devices: slices.Clone(known), now: now, seen: seen, taken: map[int]int{}}
	if m.seen.GoneAfter <= 0 {
		m.seen.GoneAfter = DefaultGoneAfter
	}
	m.groups = grouped(seen.Sightings)
	m.match()
	m.fresh = len(m.devices)
	m.add()
	for i := range m.devices[:m.fresh] {
		if g, ok := m.taken[i]; ok {
			m.see(i, &m.groups[g])
		}
	}
	for i := range m.devices[:m.fresh] {
		if _, ok := m.taken[i]; !ok {
			m.miss(i)
		}
	}
	m.unlist()
	m.tellNew()
	return slices.DeleteFunc(m.devices, func(d Device) bool { return d.ID == "" }), m.changes
}

// merging is one Merge at work.
type merging struct {
	devices []Device
	fresh   int // devices from here on are new
	seen    Seen
	groups  []group
	taken   map[int]int // by device: the group that is it
	found   map[int]int // by group: the device
	now     time.Time
	changes []Change
}

// add makes a device of each group that is none yet.
func (m *merging) add() {
	ids := map[string]bool{}
	for i := range m.devices {
		ids[m.devices[i].ID] = true
	}
	for g := range m.groups {
		if m.found[g] >= 0 {
			continue
		}
		at := &m.groups[g]
		d := Device{State: Candidate, Address: at.addresses[0], FirstSeen: m.now}
		at.list(&d)
		for n := 0; d.ID == "" || ids[d.ID]; n++ {
			sum := sha256.Sum256(fmt.Appendf(nil, "%v %v %v %d", at.keys, d.Address, m.now.UnixNano(), n))
			d.ID = hex.EncodeToString(sum[:6])
		}
		ids[d.ID] = true
		m.learn(&d, at)
		m.found[g] = len(m.devices)
		m.devices = append(m.devices, d)
	}
}

// list makes a device one of the site file, where a sighting says so, with the name
// and the address that stand there.
func (g *group) list(d *Device) {
	if g.listed != "" {
		d.State, d.Name, d.Address = Listed, g.listed, g.listedAt
	}
}

// unlist makes candidates of devices whose name in the site file is another's now.
func (m *merging) unlist() {
	has := map[string]int{}
	for g, i := range m.found {
		if name := m.groups[g].listed; name != "" && m.devices[i].ID != "" {
			has[name] = i
		}
	}
	for i := range m.devices {
		d := &m.devices[i]
		if of, ok := has[d.Name]; ok && of != i && d.State == Listed {
			d.State, d.Name = Candidate, ""
		}
	}
}

// learn takes over what a group tells. What it does not tell stays.
func (m *merging) learn(d *Device, g *group) {
	keep := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	f := &g.facts
	for _, p := range []struct {
		to   *string
		from string
	}{
		{&d.SysName, f.SysName}, {&d.SysObjectID, f.SysObjectID}, {&d.SysDescr, f.SysDescr}, {&d.Profile, f.Profile}, {&d.Class, f.Class},
		{&d.Vendor, f.Vendor}, {&d.Model, f.Model}, {&d.Serial, f.Serial}, {&d.Firmware, f.Firmware}, {&d.Location, f.Location},
		{&d.EngineID, f.EngineID}, {&d.MAC, f.MAC}, {&d.Link, g.link}, {&d.Credential, g.credential},
	} {
		keep(p.to, p.from)
	}
	if f.ConfigTicks > 0 {
		d.ConfigChanged, d.ConfigTicks = f.ConfigChanged, f.ConfigTicks
	}
	if len(f.Modules) > 0 {
		d.Modules = f.Modules
	}
	d.SNMP = d.SNMP || g.snmp
	d.Others = slices.DeleteFunc(slices.Clone(g.addresses), func(a netip.Addr) bool { return a == d.Address || a == d.Found })
	d.LastSeen, d.Missed = m.now, 0
}

// see is a device that was known and is there.
func (m *merging) see(i int, g *group) {
	d := &m.devices[i]
	was := *d
	if d.Gone {
		d.Gone = false
		m.tell(Change{Kind: DeviceBack, Device: *d})
	}
	g.list(d)
	at := slices.Contains(g.addresses, d.Address)
	switch {
	case at:
		d.Found = netip.Addr{}
	case d.State == Candidate || d.State == Adopted && m.seen.Follow:
		d.Address, d.Found = g.addresses[0], netip.Addr{}
	default:
		if !slices.Contains(g.addresses, d.Found) {
			d.Found = g.addresses[0]
		}
	}
	m.learn(d, g)
	if !at && (d.State == Candidate || d.Found != was.Found || d.Address != was.Address) && (was.SNMP || d.SNMP || d.Polled()) {
		m.tell(Change{Kind: DeviceMoved, Device: *d, From: was.Address.String(), To: g.addresses[0].String()})
	}
	if !was.SNMP && d.SNMP && d.State == Candidate { // it was only known to be there
		m.tell(Change{Kind: DeviceNew, Device: *d})
	}
	m.compare(&was, d)
}

// compare tells what about a device is another than it was. What was not known before
// has not changed.
func (m *merging) compare(was, is *Device) {
	for _, f := range []struct{ field, from, to string }{
		{"firmware", was.Firmware, is.Firmware}, {"vendor", was.Vendor, is.Vendor}, {"model", was.Model, is.Model},
		{"sysName", was.SysName, is.SysName}, {"sysObjectID", was.SysObjectID, is.SysObjectID},
	} {
		if differ(f.from, f.to) {
			m.tell(Change{Kind: DeviceChanged, Device: *is, Field: f.field, From: f.from, To: f.to})
		}
	}
	if reconfigured(&was.Facts, &is.Facts) {
		m.tell(Change{Kind: DeviceChanged, Device: *is, Field: "config",
			From: was.ConfigChanged.UTC().Format(time.RFC3339), To: is.ConfigChanged.UTC().Format(time.RFC3339)})
	}
}

// settling is for how long after a start a device may report a change of its
// configuration that is only that it has read it. In ticks.
const settling = 10 * 60 * 100

// reconfigured tells whether a device's configuration was changed between two looks at
// it. Only the device's own clock counts: the box's may have been set meanwhile, from
// 1970 even. A value of sysUpTime that stands still is the same change; one behind it
// is another, unless the device has just started. After a restart, by which its clock
// went back, what is not of the start has happened since.
func reconfigured(was, is *Facts) bool {
	return was.ConfigTicks > 0 && is.ConfigTicks > 0 && is.ConfigTicks != was.ConfigTicks && is.ConfigTicks > settling
}

// miss is a device that was known and is not there; or another is in its place.
func (m *merging) miss(i int) {
	d := &m.devices[i]
	if other := m.inPlaceOf(d); other >= 0 {
		m.replace(i, other)
		return
	}
	if m.seen.Covered != nil && !slices.ContainsFunc(d.addresses(), m.seen.Covered) {
		return
	}
	if d.Missed++; d.Gone || d.Missed < m.seen.GoneAfter {
		return
	}
	if !d.SNMP && !d.Polled() { // what only answers pings comes and goes
		d.ID = ""
		return
	}
	d.Gone = true
	m.tell(Change{Kind: DeviceGone, Device: *d})
}

// inPlaceOf finds the new device at the address of one that is not there, where it
// stands in for it: that is polled, or has the same name. -1: none.
func (m *merging) inPlaceOf(d *Device) int {
	is := keysOf(&d.Facts, "")
	for n := m.fresh; n < len(m.devices); n++ {
		o := &m.devices[n]
		k := keysOf(&o.Facts, "")
		if o.ID == "" || !o.SNMP || o.Address != d.Address && !slices.Contains(o.Others, d.Address) {
			continue
		}
		if !differ(is.serial, k.serial) && !differ(is.engine, k.engine) && !differ(is.mac, k.mac) {
			continue // nothing says that it is another; nor that it is the same
		}
		if d.Polled() || same(d.SysName, o.SysName) {
			return n
		}
	}
	return -1
}

// replace lets a new device have the place of device i: its name, and that it is
// polled. The old one's history ends here.
func (m *merging) replace(i, other int) {
	d, o := &m.devices[i], &m.devices[other]
	was := *d
	d.Facts, d.Link, d.SNMP, d.Credential = o.Facts, o.Link, o.SNMP, o.Credential
	if d.Credential == "" {
		d.Credential = was.Credential
	}
	d.Found, d.Others = netip.Addr{}, slices.DeleteFunc(append(slices.Clone(o.Others), o.Address), func(a netip.Addr) bool { return a == d.Address })
	d.LastSeen, d.FirstSeen, d.Missed, d.Gone = m.now, m.now, 0, false
	o.ID = ""
	m.tell(Change{Kind: DeviceReplaced, Device: *d, From: describeKey(&was), To: describeKey(d)})
}

// describeKey is what a device is known by, for a person.
func describeKey(d *Device) string {
	switch k := keysOf(&d.Facts, d.Link); {
	case k.serial != "":
		return "serial " + d.Serial
	case k.engine != "":
		return "engine " + d.EngineID
	case k.mac != "":
		return "MAC " + d.MAC
	}
	return "unknown"
}

// tellNew tells of what is new and speaks SNMP. What only answers pings is counted,
// not told: on most networks somebody's telephone is new every day.
func (m *merging) tellNew() {
	for i := m.fresh; i < len(m.devices); i++ {
		if d := m.devices[i]; d.ID != "" && d.SNMP && !d.Polled() {
			m.tell(Change{Kind: DeviceNew, Device: d})
		}
	}
}

func (m *merging) tell(c Change) { m.changes = append(m.changes, c) }
