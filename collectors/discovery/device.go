package discovery

import (
	"cmp"
	"net/netip"
	"time"
)

// State is what the box does with a device.
type State string

// The states.
const (
	Candidate State = "candidate" // seen, not polled
	Adopted   State = "adopted"   // polled, since somebody or the policy took it
	Listed    State = "listed"    // polled, since the site file has it
)

// Facts are what a device says of itself. All of it is hostile: it was cleaned of
// what drives a terminal, and cut, and is no more than a claim.
type Facts struct {
	SysName       string    `json:"sysName,omitempty"`
	SysObjectID   string    `json:"sysObjectID,omitempty"`
	SysDescr      string    `json:"sysDescr,omitempty"`
	Profile       string    `json:"profile,omitempty"` // that is for it
	Class         string    `json:"class,omitempty"`   // as profiles have it: switch, ups, ...
	Vendor        string    `json:"vendor,omitempty"`
	Model         string    `json:"model,omitempty"`
	Serial        string    `json:"serial,omitempty"`
	Firmware      string    `json:"firmware,omitempty"`
	Location      string    `json:"location,omitempty"`
	EngineID      string    `json:"engine_id,omitempty"`     // SNMP's, in hexadecimal
	MAC           string    `json:"mac,omitempty"`           // the lowest of its interfaces that is the world's only one
	ConfigChanged time.Time `json:"config_changed,omitzero"` // when its configuration was last changed, where it tells, by the box's clock; to be shown
	ConfigTicks   uint64    `json:"config_ticks,omitempty"`  // the same by the device's own clock: sysUpTime at that moment, in hundredths of a second
	Modules       []Module  `json:"modules,omitempty"`       // of ENTITY-MIB
}

// Module is a physical part of a device: a row of entPhysicalTable (RFC 6933) that is
// a chassis, a module, a power supply, a fan or a member of a stack.
type Module struct {
	Index    uint64 `json:"index"` // entPhysicalIndex
	Class    string `json:"class"` // chassis, module, powerSupply, fan, stack
	Name     string `json:"name,omitempty"`
	Descr    string `json:"descr,omitempty"`
	Vendor   string `json:"vendor,omitempty"`
	Model    string `json:"model,omitempty"`
	Serial   string `json:"serial,omitempty"`
	Hardware string `json:"hardware,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	Software string `json:"software,omitempty"`
}

// Sighting is what a sweep found at one address.
type Sighting struct {
	Address    netip.Addr `json:"address"`
	Device     string     `json:"device,omitempty"`     // the name that the site file has for what is at that address
	Link       string     `json:"link,omitempty"`       // the MAC address that ARP or NDP has for it
	SNMP       bool       `json:"snmp,omitempty"`       // it speaks SNMP
	Credential string     `json:"credential,omitempty"` // the name of the one that it answered to
	Facts
}

// Device is one device as the registry keeps it.
type Device struct {
	ID         string            `json:"id"`             // never another's
	Name       string            `json:"name,omitempty"` // of one that is polled: as the site file's devices have names
	State      State             `json:"state"`
	Address    netip.Addr        `json:"address"`          // where it is polled; of a candidate, where it was seen last
	Found      netip.Addr        `json:"found,omitzero"`   // where one that is polled was seen when it was not at Address
	Others     []netip.Addr      `json:"others,omitempty"` // further addresses of it
	Link       string            `json:"link,omitempty"`
	SNMP       bool              `json:"snmp,omitempty"`
	Credential string            `json:"credential,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"` // that a person gave it, such as its contract; of one that is adopted
	Facts
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	Missed    int       `json:"missed,omitempty"` // sweeps in a row that would have seen it
	Gone      bool      `json:"gone,omitempty"`
}

// Title is how a person knows the device: the name that it is polled under, else the
// one that it gives itself, else its address.
func (d *Device) Title() string {
	return cmp.Or(d.Name, d.SysName, d.Address.String())
}

// Polled tells whether the box polls it.
func (d *Device) Polled() bool { return d.State == Adopted || d.State == Listed }

// addresses are all that it was last known at.
func (d *Device) addresses() []netip.Addr {
	out := append([]netip.Addr{d.Address}, d.Others...)
	if d.Found.IsValid() {
		out = append(out, d.Found)
	}
	return out
}

// Source is the name of what the collector of this package collects.
const Source = "discovery"
