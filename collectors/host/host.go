// Package host looks at the box itself: its processors, memory, file systems,
// ports, temperature, the wear of its flash, supplies, clock, and this process. It also owns the [Clock] that every
// batch is stamped by.
//
// # Where it looks
//
// In /proc and /sys, plus statfs(2) for the file systems and adjtimex(2) for the
// clock; nothing is executed. What a kernel or a container does not have (sensors,
// physical ports) is no series. What was there at the last collection and cannot
// be read now is a missing value, or makes the collection partial if every Linux
// has it.
//
// # Names
//
// Metrics are those of node_exporter and, for this process, of the Prometheus
// client libraries, with two differences: node_cpu_seconds_total is the sum over
// all processors and has the label mode only, and only the root file system and
// that of the data directory are shown. Totals in seconds are gauges here, since
// counters are whole numbers; they rise all the same. siteprobe_clock_sure tells
// whether the wall clock can be relied on.
package host

import (
	"context"
	"errors"
	"sync"

	"github.com/siteprobe/siteprobe/collectors"
)

// Source is the name under which the box's batches travel.
const Source = "host"

// Config says what of the box to look at. The zero Config is fine on a real box.
type Config struct {
	DataDir            string `yaml:"data_dir"`            // its file system is shown beside the root's; empty: the root's only
	AssumeSynchronised bool   `yaml:"assume_synchronised"` // the wall clock is kept by whoever runs this container or VM, though its kernel does not say so

	Trust ClockConfig `yaml:"-"` // what counts as evidence for NewClock

	Proc  string `yaml:"-"` // where procfs is mounted; empty: /proc
	Sys   string `yaml:"-"` // where sysfs is mounted; empty: /sys
	Clock *Clock `yaml:"-"` // whose state is shown as siteprobe_clock_sure; nil: not shown
}

func (c Config) roots() roots {
	r := roots{proc: c.Proc, sys: c.Sys}
	if r.proc == "" {
		r.proc = "/proc"
	}
	if r.sys == "" {
		r.sys = "/sys"
	}
	return r
}

// Collector collects the box. It may be used concurrently.
type Collector struct {
	dataDir string
	roots   roots
	clock   *Clock
	statfs  func(path string) (usage, error)
	timex   func() (timex, error)

	mu     sync.Mutex
	schema *collectors.Schema // of the last batch
}

// New makes the collector of the box. It reads nothing yet.
func New(cfg Config) *Collector {
	return &Collector{dataDir: cfg.DataDir, roots: cfg.roots(), clock: cfg.Clock, statfs: statfs, timex: readTimex}
}

// Source returns [Source].
func (c *Collector) Source() string { return Source }

// Collect emits one batch with all that could be read, and returns what could not
// be; it emits none if that was everything.
func (c *Collector) Collect(ctx context.Context, emit func(collectors.Batch)) error {
	var f figures
	var errs []error
	for _, part := range []func(*figures) error{
		c.cpu, c.load, c.memory, c.fileSystems, c.network, c.temperature, c.flash, c.supplies, c.process, c.clockState,
	} {
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		if err := part(&f); err != nil {
			errs = append(errs, err)
		}
	}
	if len(f.series) > 0 {
		emit(collectors.Batch{Source: Source, Schema: c.layout(f.series), Values: f.values})
	}
	return errors.Join(errs...)
}

// layout returns the schema of the last batch as long as the series are the same,
// which they are until a port or a sensor comes or goes.
func (c *Collector) layout(series []collectors.Series) *collectors.Schema {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.schema == nil || !same(c.schema.Series, series) {
		c.schema = &collectors.Schema{Source: Source, Series: series}
	}
	return c.schema
}
