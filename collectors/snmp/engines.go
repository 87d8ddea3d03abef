package snmp

import (
	"slices"
	"sync"
)

// Engines knows which devices have which SNMP engine ID. Two with one are a copied
// configuration, and upset who speaks SNMPv3 to both; or they are one device under
// two names. All collectors of a site share one.
type Engines struct {
	mu sync.Mutex
	of map[string]string // by device
}

// NewEngines makes an empty registry.
func NewEngines() *Engines { return &Engines{of: map[string]string{}} }

// WithEngines lets the collector tell when another device has the same engine ID.
func WithEngines(e *Engines) Option { return func(c *Collector) { c.engines = e } }

// claim notes a device's engine ID, of which an empty one is none, and gives the
// other devices that have it.
func (e *Engines) claim(device, id string) (others []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id == "" {
		delete(e.of, device)
		return nil
	}
	e.of[device] = id
	for other, has := range e.of {
		if has == id && other != device {
			others = append(others, other)
		}
	}
	slices.Sort(others)
	return others
}

// Keep forgets all devices but those named.
func (e *Engines) Keep(devices []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for device := range e.of {
		if !slices.Contains(devices, device) {
			delete(e.of, device)
		}
	}
}
