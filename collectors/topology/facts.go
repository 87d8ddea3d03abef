package topology

import (
	"net/netip"
	"time"
)

// Facts are what one device says about itself, its neighbours and whom it hears.
// All text is fit for people (pdu.CleanText). Ports are named by ifIndex; 0 is a port
// that could not be told.
type Facts struct {
	Device   string    `json:"device"`            // its name in the site file
	At       time.Time `json:"at"`                // when it was asked
	Partial  []string  `json:"partial,omitempty"` // what could not be read, and why
	Deaf     bool      `json:"deaf,omitempty"`    // its neighbours were not read to the end
	SysName  string    `json:"sysName,omitempty"`
	SysDescr string    `json:"sysDescr,omitempty"`
	Chassis  ID        `json:"chassis,omitzero"` // LLDP's local chassis
	Bridge   MAC       `json:"bridge,omitzero"`  // dot1dBaseBridgeAddress

	Interfaces []Interface    `json:"interfaces,omitempty"`
	Own        []MAC          `json:"own,omitempty"`       // further MACs of its own
	Addresses  []netip.Addr   `json:"addresses,omitempty"` // of its own
	LLDPPorts  []LLDPPort     `json:"lldpPorts,omitempty"`
	Ports      map[uint32]int `json:"ports,omitempty"` // dot1dBasePort to ifIndex
	Neighbours []Neighbour    `json:"neighbours,omitempty"`
	FDB        []Forwards     `json:"fdb,omitempty"`
	ARP        []Binding      `json:"arp,omitempty"`
}

// Bounds of what is taken of one device.
const (
	maxInterfaces = 4096
	maxNeighbours = 1024
	maxForwards   = 16384 // MACs
	maxBindings   = 8192
	maxAddresses  = 256
	maxOwn        = 1024
	maxPartial    = 16
)

// ID is LLDP's way to name a chassis or a port: a subtype and what it says. A MAC is
// text of the form aa:bb:cc:dd:ee:ff.
type ID struct {
	Subtype uint8  `json:"subtype"`
	Text    string `json:"text"`
}

// Subtypes of a chassis ID and of a port ID (LLDP-MIB, LldpChassisIdSubtype and
// LldpPortIdSubtype).
const (
	chassisAlias   = 2
	chassisMAC     = 4
	chassisAddress = 5
	chassisIfName  = 6

	portAlias   = 1
	portMAC     = 3
	portAddress = 4
	portIfName  = 5
	portLocal   = 7
)

// Interface is a row of ifTable and ifXTable.
type Interface struct {
	Index int    `json:"ifIndex"`
	Name  string `json:"ifName,omitempty"`
	Descr string `json:"ifDescr,omitempty"`
	Alias string `json:"ifAlias,omitempty"`
	Type  int    `json:"ifType,omitempty"`
	Speed uint64 `json:"speed_bps,omitempty"` // 0: unknown
	MAC   MAC    `json:"mac,omitzero"`
	LAG   int    `json:"lag,omitempty"` // the ifIndex of the bundle that it is in
}

// Label is how people name the interface.
func (i *Interface) Label() string {
	switch {
	case i.Name != "":
		return i.Name
	case i.Descr != "":
		return i.Descr
	}
	return number(i.Index)
}

// LLDPPort is a row of lldpLocPortTable.
type LLDPPort struct {
	Number  int    `json:"number"` // lldpLocPortNum
	ID      ID     `json:"id"`
	Descr   string `json:"descr,omitempty"`
	IfIndex int    `json:"ifIndex,omitempty"` // 0: it could not be told
}

// Neighbour is what a neighbour said at a port.
type Neighbour struct {
	Protocol  string       `json:"protocol"`          // "lldp" or "cdp"
	IfIndex   int          `json:"ifIndex,omitempty"` // where it was heard
	Port      string       `json:"port,omitempty"`    // the same in words
	Chassis   ID           `json:"chassis,omitzero"`
	PortID    ID           `json:"portID,omitzero"`
	PortDescr string       `json:"portDescr,omitempty"`
	SysName   string       `json:"sysName,omitempty"` // of CDP the device ID
	SysDescr  string       `json:"sysDescr,omitempty"`
	Platform  string       `json:"platform,omitempty"`
	Bridges   bool         `json:"bridges,omitempty"` // it says that it is a bridge, a router or an access point
	Phone     bool         `json:"phone,omitempty"`   // it says that it is a telephone
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

// Forwards are the MACs that were learned at one port. VLAN is 0 where the database
// does not tell.
type Forwards struct {
	IfIndex int     `json:"ifIndex,omitempty"`
	Port    uint32  `json:"port,omitempty"` // dot1dBasePort
	VLAN    int     `json:"vlan,omitempty"`
	MACs    MACList `json:"macs"`
}

// Binding is a row of an ARP cache.
type Binding struct {
	IP  netip.Addr `json:"ip"`
	MAC MAC        `json:"mac"`
}

// label names a port of the device.
func (f *Facts) label(ifIndex int, port uint32) string {
	if i := f.byIndex(ifIndex); i != nil {
		return i.Label()
	}
	switch {
	case ifIndex != 0:
		return "ifIndex " + number(ifIndex)
	case port != 0:
		return "bridge port " + number(int(port))
	}
	return ""
}

func (f *Facts) byIndex(ifIndex int) *Interface {
	for i := range f.Interfaces {
		if f.Interfaces[i].Index == ifIndex {
			return &f.Interfaces[i]
		}
	}
	return nil
}
