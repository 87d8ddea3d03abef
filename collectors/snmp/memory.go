package snmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors/statefile"
)

// Memory keeps the manners of a site's devices over restarts of the program, in one
// small file. A device that is found at another address is another. All collectors
// of a site share one.
type Memory struct {
	path string

	mu      sync.Mutex
	devices map[string]remembered // by name
	changed bool
}

type remembered struct {
	Address string  `json:"address"`
	Manners Manners `json:"manners"`
	Empty   string  `json:"empty,omitempty"` // see Collector.tellEmpty
}

const (
	memoryVersion = 1
	maxMemory     = 4 << 20 // bytes of the file
	maxRemembered = 5000    // devices
	rememberEvery = 10 * time.Minute
)

// memoryFile is what the file holds.
type memoryFile struct {
	Version int                   `json:"version"`
	Devices map[string]remembered `json:"devices"`
}

// OpenMemory reads the file at path, which need not exist yet. The memory can be
// used whatever the error is: of a file that cannot be read nothing is remembered,
// and all is learned anew.
func OpenMemory(path string) (*Memory, error) {
	m := &Memory{path: path, devices: map[string]remembered{}}
	b, err := statefile.Read(path, maxMemory)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil && !errors.Is(err, statefile.ErrTooLarge) {
		return m, fmt.Errorf("reading what was learned of devices: %w", err)
	}
	var in memoryFile
	if err != nil || json.Unmarshal(b, &in) != nil || in.Version != memoryVersion {
		return m, fmt.Errorf("what was learned of devices (%s) cannot be used and is learned anew: it is damaged, or another version's", path)
	}
	for name, r := range in.Devices {
		if len(m.devices) < maxRemembered {
			m.devices[name] = r
		}
	}
	return m, nil
}

// WithMemory lets the collector begin with what was learned of the device, and keep
// what it learns.
func WithMemory(m *Memory) Option { return func(c *Collector) { c.memory = m } }

// Keep forgets all devices but those named.
func (m *Memory) Keep(devices []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	named := make(map[string]bool, len(devices))
	for _, d := range devices {
		named[d] = true
	}
	for d := range m.devices {
		if !named[d] {
			delete(m.devices, d)
			m.changed = true
		}
	}
}

func (m *Memory) of(device, address string) (remembered, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.devices[device]
	return r, ok && r.Address == address
}

// note changes what is remembered of a device.
func (m *Memory) note(device, address string, change func(*remembered)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, known := m.devices[device]
	if !known && len(m.devices) >= maxRemembered {
		return
	}
	if r.Address != address {
		r = remembered{Address: address}
	}
	change(&r)
	m.devices[device] = r
	m.changed = true
}

// Run writes what was learned from time to time, and when ctx ends. It is not worth
// more: what is lost is learned again.
func (m *Memory) Run(ctx context.Context, log *slog.Logger) {
	t := time.NewTicker(rememberEvery)
	defer t.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		err := m.Save()
		if err != nil && !told {
			log.Warn("what was learned of devices is not kept over a restart", "error", err)
		}
		told = err != nil
		if ctx.Err() != nil {
			return
		}
	}
}

// Save writes the file, if anything has changed since it was written. It is whole or
// as it was.
func (m *Memory) Save() error {
	m.mu.Lock()
	if !m.changed {
		m.mu.Unlock()
		return nil
	}
	out := memoryFile{memoryVersion, maps.Clone(m.devices)}
	m.changed = false
	m.mu.Unlock()
	b, err := json.Marshal(out)
	if err == nil {
		err = statefile.Replace(m.path, b)
	}
	if err != nil {
		m.mu.Lock()
		m.changed = true
		m.mu.Unlock()
		return fmt.Errorf("writing what was learned of devices: %w", err)
	}
	return nil
}
