package discovery

import (
	"net/netip"
	"time"
)

// Progress is how far a sweep is. It is kept, so that a sweep goes on where it was
// after a collection's time is over, and after a restart.
type Progress struct {
	Started    time.Time      `json:"started"`
	Networks   []netip.Prefix `json:"networks"`          // a sweep of others begins anew
	Visited    []string       `json:"visited,omitempty"` // devices that are polled
	Neighbours bool           `json:"neighbours,omitempty"`
	Queue      []neighbour    `json:"queue,omitempty"`   // hosts that ARP knows, which are asked first
	Next       uint64         `json:"next,omitempty"`    // of the networks' addresses, counted through
	Asked      int            `json:"asked,omitempty"`   // addresses
	Pending    []host         `json:"pending,omitempty"` // that have answered, and are to be looked at
	Sightings  []Sighting     `json:"sightings,omitempty"`
}

// host is one that has answered.
type host struct {
	Address netip.Addr `json:"address"`
	Link    string     `json:"link,omitempty"`
	Engine  string     `json:"engine,omitempty"` // of its answer to the engine probe
}

// Step is how far a sweep is, for whoever waits for it.
type Step struct {
	Doing     string // what is done, such as "visiting core-sw1"
	Asked     int    // addresses
	Total     int    // addresses there are to ask
	Answering int    // hosts that have answered
	SNMP      int    // of them, those that speak SNMP
}
