package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/snmp"
)

// Options are what a collector works with.
type Options struct {
	Scope    Scope
	Registry *Registry
	Pinger   *check.Pinger
	SNMP     []snmp.Option         // of the collectors of devices: sockets, kinds, memory
	Targets  []Target              // the devices that are polled by SNMP
	Taken    Taken                 // names of the site file
	Names    map[netip.Addr]string // of the site file's devices, by their addresses
	Now      func() time.Time
	Step     func(Step) // told how far a sweep is; may be nil
}

// Collector sweeps when it is time to, as much as one collection has time for, and
// tells what has become of the devices. It keeps no goroutine.
type Collector struct {
	cfg      Config
	networks []netip.Prefix
	opt      Options
	net      network
	schema   *collectors.Schema
}

var _ collectors.Collector = (*Collector)(nil)

// Tick is how often the collector is to be called.
const Tick = 5 * time.Minute

// New makes a collector. The error is what Config.Validate says.
func New(cfg Config, opt Options) (*Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	networks, err := cfg.networks()
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Taken == nil {
		opt.Taken = func(string) bool { return false }
	}
	cfg = cfg.withDefaults()
	c := &Collector{cfg: cfg, networks: networks, opt: opt, schema: schema()}
	c.net = &lan{scope: opt.Scope, pinger: opt.Pinger, port: uint16(cfg.Port), snmp: opt.SNMP}
	return c, nil
}

func schema() *collectors.Schema {
	s := &collectors.Schema{Source: Source}
	gauge := func(name, unit string, labels ...collectors.Label) {
		s.Series = append(s.Series, collectors.Series{Metric: name, Unit: unit, Labels: labels, Kind: collectors.Gauge})
	}
	for _, state := range []State{Candidate, Adopted, Listed} {
		gauge("siteprobe_discovery_devices", "", collectors.Label{Name: "state", Value: string(state)})
	}
	gauge("siteprobe_discovery_devices_gone", "")
	gauge("siteprobe_discovery_hosts_without_snmp", "")
	gauge("siteprobe_discovery_last_sweep_timestamp_seconds", "seconds")
	return s
}

// values are the readings of a book, in the schema's order.
func values(b *Book) []collectors.Value {
	var candidates, adopted, listed, gone, mute float64
	for i := range b.Devices {
		switch d := &b.Devices[i]; {
		case d.State == Adopted:
			adopted++
		case d.State == Listed:
			listed++
		case d.SNMP:
			candidates++
		default:
			mute++
		}
		if b.Devices[i].Gone {
			gone++
		}
	}
	g := collectors.GaugeValue
	swept := collectors.Value{}
	if !b.Swept.IsZero() {
		swept = g(float64(b.Swept.Unix()))
	}
	return []collectors.Value{g(candidates), g(adopted), g(listed), g(gone), g(mute), swept}
}

// Collect goes on with the sweep, where it is time for one, and emits what the
// registry holds and the events that have not been told.
func (c *Collector) Collect(ctx context.Context, emit func(collectors.Batch)) error {
	b, err := c.opt.Registry.Read()
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	var trouble error
	if err != nil || c.cfg.Off == "" && len(c.networks) > 0 && c.due(&b) {
		if trouble, err = c.part(ctx); err != nil {
			return err
		}
		if b, err = c.opt.Registry.Read(); err != nil {
			return err
		}
	}
	told := 0
	for n := 0; n < 4 && (n == 0 || told < len(b.Untold)); n++ {
		out := collectors.Batch{Source: Source, Schema: c.schema}
		if n == 0 {
			out.Values = values(&b)
		}
		size := some(b.Untold[told:])
		out.Events = b.Untold[told : told+size]
		told += size
		emit(out)
	}
	if told > 0 {
		if err := c.opt.Registry.Update(ctx, func(b *Book) error {
			b.Untold = b.Untold[min(told, len(b.Untold)):]
			return nil
		}); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return trouble
}

// some is how many events fit a batch.
func some(es []collectors.Event) (n int) {
	size := 0
	for _, e := range es[:min(len(es), collectors.MaxEvents)] {
		size += len(e.Kind) + len(e.Text)
		for _, l := range e.Labels {
			size += len(l.Name) + len(l.Value)
		}
		if size > collectors.MaxBatchText && n > 0 {
			return n
		}
		n++
	}
	return n
}

// due tells whether there is a sweep to begin or to go on with.
func (c *Collector) due(b *Book) bool {
	now := c.opt.Now()
	return b.Sweep != nil && slices.Equal(b.Sweep.Networks, c.networks) || now.Sub(b.Swept) >= c.cfg.Interval || b.Swept.After(now.Add(time.Minute)) // the clock was set back
}

// part does a part of a sweep. Somebody else's sweep is let be.
func (c *Collector) part(ctx context.Context) (trouble, err error) {
	now, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	unlock, err := lock(now, c.opt.Registry.path+".sweep")
	switch {
	case errors.Is(err, errBusy):
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("beginning a sweep: %w", err)
	}
	defer unlock()
	_, trouble, err = c.sweep(ctx, c.networks)
	return trouble, err
}

// Sweep looks through networks now, all of them, or those of the settings where none
// are given; the names of the settings' networks need not cover them, the contract
// must. It returns what has changed. Where ctx ends before, what was found is kept and
// the next sweep goes on; the error is ctx's. Other errors say what was not found for
// want of a permission, or that the registry cannot be kept.
func (c *Collector) Sweep(ctx context.Context, networks []netip.Prefix) ([]Change, error) {
	if len(networks) == 0 {
		networks = c.networks
	}
	if len(networks) == 0 {
		return nil, errors.New("no networks to look through: name them under discovery.networks in the site file, or by --network")
	}
	now, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// The folder may not be there: that is said first, and well.
	if err := c.opt.Registry.Update(now, func(*Book) error { return nil }); err != nil {
		return nil, err
	}
	unlock, err := lock(now, c.opt.Registry.path+".sweep")
	if err != nil {
		return nil, fmt.Errorf("beginning a sweep: %w", err)
	}
	defer unlock()
	changes, trouble, err := c.sweep(ctx, networks)
	if err == nil {
		err = ctx.Err()
	}
	return changes, errors.Join(err, trouble)
}

// sweep runs a sweep as far as ctx lets it, and keeps what came of it.
func (c *Collector) sweep(ctx context.Context, networks []netip.Prefix) (changes []Change, trouble, err error) {
	// A sweep that cannot be kept is not begun: it would be begun again and again, and
	// try credentials each time.
	var b Book
	err = c.opt.Registry.Update(ctx, func(now *Book) error {
		if p := now.Sweep; p == nil || !slices.Equal(p.Networks, networks) || c.opt.Now().Sub(p.Started) > c.cfg.Interval {
			now.Sweep = &Progress{Started: c.opt.Now(), Networks: networks}
		}
		b = *now
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	p := b.Sweep
	s := &sweeper{cfg: c.cfg, net: c.net, may: c.may, targets: c.opt.Targets, names: c.opt.Names, book: b, p: p, pace: newPacer(c.cfg.Rate), now: c.opt.Now, step: c.opt.Step, failed: c.failed}
	done := s.run(ctx)
	// What was found is kept also when the time is over.
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = c.opt.Registry.Update(keep, func(b *Book) error {
		if b.Sweep = p; done {
			changes = c.finish(b, p)
		}
		return nil
	})
	return changes, s.trouble, err
}

// failed keeps at once that credentials were tried in vain: whatever becomes of the
// sweep, they are not to be tried again and again.
func (c *Collector) failed(ctx context.Context, device string, times int) error {
	return c.opt.Registry.Update(ctx, func(b *Book) error {
		for range times {
			b.failed(device, c.opt.Now())
		}
		return nil
	})
}

// may tells whether the contract lets an address be asked.
func (c *Collector) may(a netip.Addr) bool {
	return c.opt.Scope.Managed(a) && c.opt.Scope.Allowed(a, uint16(c.cfg.Port)) == nil
}

// finish takes over what a whole sweep found.
func (c *Collector) finish(b *Book, p *Progress) []Change {
	for i := range b.Devices {
		if d := &b.Devices[i]; d.State == Listed && !c.opt.Taken(d.Name) {
			d.State, d.Name = Candidate, ""
		}
	}
	polled := map[netip.Addr]bool{}
	for _, t := range c.opt.Targets {
		if a, err := netip.ParseAddr(hostOf(t.Config.Address)); err == nil {
			polled[a.Unmap()] = true
		}
	}
	seen := Seen{Sightings: p.Sightings, GoneAfter: c.cfg.GoneAfter, Follow: c.cfg.Adopt.Follow, Covered: func(a netip.Addr) bool {
		return polled[a] || slices.ContainsFunc(p.Networks, func(n netip.Prefix) bool { return n.Contains(a) }) && c.may(a)
	}}
	devices, changes := Merge(b.Devices, seen, c.opt.Now())
	b.Devices = devices
	changes = append(changes, b.takeWanted(c.cfg.Adopt, c.opt.Taken)...)
	for i := range changes {
		b.tell(c.opt.Now(), changes[i].Event())
	}
	b.Sweep = nil
	if covers(p.Networks, c.networks) {
		b.Swept = c.opt.Now()
	}
	return changes
}

// covers tells whether a sweep of some networks was one of all.
func covers(swept, all []netip.Prefix) bool {
	for _, n := range all {
		if !slices.ContainsFunc(swept, func(s netip.Prefix) bool { return s.Bits() <= n.Bits() && s.Contains(n.Addr()) }) {
			return false
		}
	}
	return len(all) > 0
}
