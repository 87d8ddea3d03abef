package discovery

import (
	"net/netip"
	"time"
)

// Progress is how far a sweep is. It is kept, so that a sweep goes on where it was
// after a collection's time is over, and after a restart.
type Progress struct {
	Started   time.Time      `json:"started"`
	Networks  []netip.Prefix `json:"networks"` // a sweep of others begins anew
	Visited   []string       `json:"visited,omitempty"`
	Neighbour bool           `json:"neighbours_done,omitempty"`
	Next      uint64         `json:"next,omitempty"` // of the networks' addresses, counted through
	Asked     int            `json:"asked,omitempty"`
	Sightings []Sighting     `json:"sightings,omitempty"`
}
