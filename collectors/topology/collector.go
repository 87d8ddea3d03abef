package topology

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp"
)

// Source is the source of the collector's batches.
const Source = "topology"

var _ collectors.Collector = (*Collector)(nil)

// Target is a device of the site and how it is asked; without credentials it is not.
type Target struct {
	Known
	SNMP snmp.Config
}

// Collector asks the devices of a site for their neighbours and tells what has
// changed. A round asks as many as there is time for, those first that were asked
// longest ago.
type Collector struct {
	targets []Target
	dial    Dialer
	store   *Store
	now     func() time.Time
	schema  *collectors.Schema

	mu   sync.Mutex
	last *Graph // of the round before; nil: nothing was known
}

// New makes a collector. Nothing is sent before the first Collect. now may be nil.
func New(targets []Target, dial Dialer, store *Store, now func() time.Time) *Collector {
	if now == nil {
		now = time.Now
	}
	c := &Collector{targets: targets, dial: dial, store: store, now: now, schema: &collectors.Schema{Source: Source}}
	for _, m := range []string{"devices", "devices_failed", "links", "neighbours", "hosts"} {
		c.schema.Series = append(c.schema.Series, collectors.Series{Metric: "siteprobe_topology_" + m, Kind: collectors.Gauge})
	}
	if g := c.Graph(); len(g.heard) > 0 {
		c.last = g
	}
	return c
}

// Known lists the devices of targets.
func (c *Collector) known() (out []Known) {
	for i := range c.targets {
		out = append(out, c.targets[i].Known)
	}
	return out
}

// Graph builds the graph of what is known now.
func (c *Collector) Graph() *Graph {
	known := c.known()
	return Build(known, c.store.Facts(names(known)...))
}

func names(known []Known) (out []string) {
	for _, k := range known {
		out = append(out, k.Name)
	}
	return out
}

// atOnce is how many devices are asked at a time.
const atOnce = 4

// reserve is what of a round's time is kept for building and writing.
const reserve = 10 * time.Second

// Collect asks devices and emits how much is known and what has changed since the
// last round. Devices that do not answer are named in the error, and what they said
// before counts for a day.
func (c *Collector) Collect(ctx context.Context, emit func(collectors.Batch)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	asking, cancel := ctx, context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok {
		asking, cancel = context.WithDeadline(ctx, deadline.Add(-min(reserve, time.Until(deadline)/4)))
	}
	failed := c.ask(asking)
	cancel()
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("asking for neighbours: %w", ctx.Err())
	}
	known := c.known()
	c.store.Keep(names(known), c.now())
	facts := c.store.Facts(names(known)...)
	g := Build(known, facts)
	var broken []error
	if err := c.store.Save(); err != nil {
		broken = append(broken, err)
	}
	b := collectors.Batch{Source: Source, Schema: c.schema}
	neighbours := 0
	for i := range g.Nodes {
		if g.Nodes[i].Kind == KindNeighbour {
			neighbours++
		}
	}
	for _, n := range []int{len(facts), len(failed), len(g.Links), neighbours, len(g.Hosts)} {
		b.Values = append(b.Values, collectors.GaugeValue(float64(n)))
	}
	if c.last != nil {
		b.Events = Changes(c.last, g)
	}
	c.last = g
	emit(b)
	if len(failed) > 0 {
		broken = append(broken, failures(failed))
	}
	return errors.Join(broken...)
}

// failure is a device that did not answer.
type failure struct {
	device string
	err    error
}

func failures(all []failure) error {
	slices.SortFunc(all, func(a, b failure) int { return strings.Compare(a.device, b.device) })
	text := fmt.Sprintf("%s: %v", all[0].device, all[0].err)
	if n := len(all) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return errors.New(text)
}

// ask asks the devices that have credentials, a few at a time, until ctx ends.
func (c *Collector) ask(ctx context.Context) (failed []failure) {
	var order []*Target
	for _, f := range c.store.Facts(names(c.known())...) {
		for i := range c.targets {
			if c.targets[i].Name == f.Device {
				order = append(order, &c.targets[i])
			}
		}
	}
	var never []*Target
	for i := range c.targets {
		if !slices.Contains(order, &c.targets[i]) {
			never = append(never, &c.targets[i])
		}
	}
	order = slices.DeleteFunc(append(slices.Clone(never), order...), func(t *Target) bool { return len(t.SNMP.Credentials) == 0 })
	var working sync.WaitGroup
	var mu sync.Mutex
	free := make(chan struct{}, atOnce)
	for _, t := range order {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		working.Go(func() {
			defer func() { <-free }()
			f, err := Ask(ctx, t.SNMP, c.now, c.dial)
			switch {
			case err == nil && (ctx.Err() == nil || slices.Contains(never, t)): // half an answer is no better than the one before
				c.store.Put(f)
			case err != nil && ctx.Err() == nil:
				mu.Lock()
				failed = append(failed, failure{t.Name, err})
				mu.Unlock()
			}
		})
	}
	working.Wait()
	return failed
}

// AskAll asks every device once, whatever is known of it, and returns the graph and
// what went wrong, by device. Nothing is kept.
func AskAll(ctx context.Context, targets []Target, dial Dialer, now func() time.Time) (*Graph, []error) {
	c := New(targets, dial, &Store{facts: map[string]*Facts{}}, now)
	var errs []error
	for _, f := range c.ask(ctx) {
		errs = append(errs, fmt.Errorf("%s: %w", f.device, f.err))
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return c.Graph(), errs
}
