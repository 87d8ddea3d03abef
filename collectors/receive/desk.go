package receive

import (
	"context"
	"hash/maphash"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Note is what a message had to say.
type Note struct {
	From     netip.Addr
	Kind     string // of the event
	Key      string // of the same source and kind, those with the same key are alike
	Severity collectors.Severity
	Text     string
	Labels   []collectors.Label // besides device and source; those beyond 11 are left out

	Alarm   string // what it counts towards as a burst, such as LoginFailures; empty: nothing
	Culprit string // who is behind it, as the message says

	// Done is called once for a note that was taken: with true when the event that tells
	// it is on the disk, with false when that was lost on the way; nil is fine. It is
	// called during a commit, so it must be quick, and must not use the desk.
	Done func(kept bool)
}

// Clock is the box's.
type Clock interface {
	Now() collectors.Stamp
	Offset() (ms int64, sure bool) // from Now to wall time
}

// Buffer takes the events; see buffer.Buffer.AddWaiting.
type Buffer interface {
	AddWaiting(x collectors.Batch, done func(kept bool)) (taken bool)
}

// Options of NewDesk.
type Options struct {
	What    string // what is received, in the events' and metrics' names: "trap", "syslog"
	Clock   Clock
	Sources Sources
	Buffer  Buffer
	Every   time.Duration // how often events are given to the buffer on the long run; 0: 5 s
}

// Window is how long what is the same is counted before it is told again; hasten how
// soon it is when somebody waits for the commit. In milliseconds, as stamps are.
const (
	Window = 30_000
	hasten = 1_000
)

// Bounds of what a desk keeps.
const (
	maxWindows   = 2048 // what there is no room for is told by itself
	maxWaiting   = 64   // notes of one window that wait for its commit
	maxPending   = 4096 // events that wait to be given to the buffer
	maxOwnLabels = 13   // the buffer adds two where it coalesces
)

// gather is how long events are gathered before they go to the buffer together, and
// gatherBurst how often they may before Options.Every holds.
const (
	gather      = 100
	gatherBurst = 20
)

// Desk makes events of notes. Its methods are safe for use by several goroutines.
// Run gives the events to the buffer.
type Desk struct {
	opt     Options
	seed    maphash.Seed
	wake    chan struct{}
	sources atomic.Pointer[Sources]

	mu      sync.Mutex
	gate    *Caps // messages
	events  *Caps
	windows map[alike]*window
	bursts  map[string]*burst
	losses  losses
	pending []telling
	paced   bucket
	stats   Stats
}

// alike is what notes that are told together have in common.
type alike struct {
	from netip.Addr
	kind string
	key  uint64
}

// window counts what was the same since it was told last.
type window struct {
	event       collectors.Event
	mixed       bool // the event's text is that of one of several
	n           uint64
	first, last collectors.Stamp
	due         collectors.Stamp
	waiting     []func(kept bool)
}

// telling is an event on its way to the buffer.
type telling struct {
	at      collectors.Stamp
	event   collectors.Event
	n       uint64 // messages that it tells
	waiting []func(kept bool)
}

// Stats counts since the start.
type Stats struct {
	Messages uint64            // that came, from whomever
	Events   uint64            // committed
	Repeated uint64            // messages that were counted into the event of others
	Dropped  map[string]uint64 // by reason
}

// NewDesk makes a desk; Run has to be called for events to go anywhere.
func NewDesk(opt Options) *Desk {
	if opt.Every == 0 {
		opt.Every = 5 * time.Second
	}
	d := &Desk{
		opt: opt, seed: maphash.MakeSeed(), wake: make(chan struct{}, 1),
		gate: NewCaps(PerSource, Overall), events: NewCaps(EventsPerSource, EventsOverall),
		windows: map[alike]*window{}, bursts: map[string]*burst{}, stats: Stats{Dropped: map[string]uint64{}},
	}
	d.Hear(opt.Sources)
	return d
}

// Hear puts others in place of Options.Sources; whatever is being counted stays.
func (d *Desk) Hear(s Sources) { d.sources.Store(&s) }

// Sender asks who may send; see Sources.
func (d *Desk) Sender(a netip.Addr) (device string, managed bool) {
	return (*d.sources.Load()).Sender(a)
}

// Admit counts a message and tells whether it is to be read: its sender is within the
// contract and none of the caps is reached.
func (d *Desk) Admit(from netip.Addr) bool {
	_, managed := d.Sender(from)
	now := d.opt.Clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Messages++
	switch {
	case !managed:
		d.drop(now, OutOfScope, from, 1)
	case !d.gate.Take(now, from):
		d.drop(now, TooFast, from, 1)
	default:
		return true
	}
	return false
}

// Drop counts n messages that were not taken. From may be zero where nobody knows.
func (d *Desk) Drop(reason string, from netip.Addr, n uint64) {
	now := d.opt.Clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(now, reason, from, n)
}

// Lost counts messages that the kernel has dropped before anyone could read them.
func (d *Desk) Lost(n uint64) {
	d.Drop(Overflow, netip.Addr{}, n)
}

func (d *Desk) drop(now collectors.Stamp, reason string, from netip.Addr, n uint64) {
	d.stats.Dropped[reason] += n
	if d.losses.due == 0 {
		d.signal()
	}
	d.losses.add(now, reason, from, n)
}

// Tell takes a note, unless there have been too many events, which counts as dropped.
func (d *Desk) Tell(n Note) (taken bool) {
	device, _ := d.Sender(n.From)
	k := alike{n.From, n.Kind, maphash.String(d.seed, n.Key)}
	now := d.opt.Clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if n.Alarm != "" {
		b := d.bursts[n.Alarm]
		if b == nil {
			b = &burst{}
			d.bursts[n.Alarm] = b
			d.signal()
		}
		at := device
		if at == "" {
			at = n.From.String()
		}
		b.add(now, at, n.Culprit)
	}
	if w := d.windows[k]; w != nil {
		return d.repeat(now, w, &n, device)
	}
	if len(d.pending) >= maxPending || !d.events.Take(now, n.From) {
		d.drop(now, TooMany, n.From, 1)
		return false
	}
	e := event(&n, device)
	if len(d.windows) < maxWindows {
		d.windows[k] = &window{event: e, due: now + Window}
	}
	d.pending = append(d.pending, telling{at: now, event: e, n: 1, waiting: some(n.Done)})
	d.signal()
	return true
}

// repeat counts one more that is the same.
func (d *Desk) repeat(now collectors.Stamp, w *window, n *Note, device string) bool {
	if n.Done != nil && len(w.waiting) >= maxWaiting {
		d.drop(now, TooMany, n.From, 1)
		return false // who sent it will send it again
	}
	if e := event(n, device); w.n == 0 {
		w.first, w.event, w.mixed = now, e, false
	} else {
		w.blend(&e)
	}
	w.n++
	w.last = now
	d.stats.Repeated++
	if n.Done != nil {
		w.waiting = append(w.waiting, n.Done)
		if now+hasten < w.due {
			w.due = now + hasten
			d.signal()
		}
	}
	return true
}

func some(f func(kept bool)) []func(kept bool) {
	if f == nil {
		return nil
	}
	return []func(kept bool){f}
}

// event is a note as an event of its own.
func event(n *Note, device string) collectors.Event {
	e := collectors.Event{Kind: n.Kind, Severity: n.Severity, Text: collectors.Clip(n.Text, collectors.MaxText)}
	if device != "" {
		e.Labels = append(e.Labels, collectors.Label{Name: "device", Value: device})
	}
	e.Labels = append(e.Labels, collectors.Label{Name: "source", Value: n.From.String()})
	for _, l := range n.Labels {
		if l.Name != "" && l.Value != "" && len(e.Labels) < maxOwnLabels {
			e.Labels = append(e.Labels, collectors.Label{Name: collectors.Clip(l.Name, collectors.MaxName), Value: collectors.Clip(l.Value, collectors.MaxText)})
		}
	}
	return e
}

// counted adds the labels of an event that stands for several, which are the buffer's.
func counted(labels []collectors.Label, n uint64, firstMs int64) []collectors.Label {
	if n < 2 {
		return labels
	}
	return append(slices.Clone(labels), collectors.Label{Name: "count", Value: strconv.FormatUint(n, 10)},
		collectors.Label{Name: "first_ms", Value: strconv.FormatInt(firstMs, 10)})
}

// Stats counts what came and what became of it.
func (d *Desk) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Dropped = maps.Clone(s.Dropped)
	return s
}

func (d *Desk) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// end makes events of the windows that have ended, or of all.
func (d *Desk) end(now collectors.Stamp, all bool) {
	offset, _ := d.opt.Clock.Offset()
	for k, w := range d.windows {
		switch {
		case now < w.due && !all:
		case w.n == 0:
			delete(d.windows, k)
		case !all && (len(d.pending) >= maxPending || !d.events.Take(now, k.from)):
			w.due = now + Window // it goes on counting
		default:
			e := w.event
			e.Labels = counted(e.Labels, w.n, int64(w.first)+offset)
			d.pending = append(d.pending, telling{at: w.last, event: e, n: w.n, waiting: w.waiting})
			w.n, w.waiting, w.due = 0, nil, now+Window
		}
	}
	for alarm, b := range d.bursts {
		if !b.over(now) && !all {
			continue
		}
		if e, ok := b.tell(alarm, offset); ok {
			d.pending = append(d.pending, telling{at: b.last, event: e, n: 1})
		}
		delete(d.bursts, alarm)
	}
	if all && d.losses.n > 0 {
		d.losses.due = now
	}
	if e, ok := d.losses.tell(now, d.opt.What, offset); ok {
		d.pending = append(d.pending, telling{at: now, event: e, n: 1})
	}
}

// next tells when there is something to do; ok is false where nothing is.
func (d *Desk) next(now collectors.Stamp) (at collectors.Stamp, ok bool) {
	soonest := func(s collectors.Stamp) {
		if !ok || s < at {
			at, ok = s, true
		}
	}
	if len(d.pending) > 0 {
		soonest(max(d.pending[0].at+gather, d.paceAt(now)))
	}
	for _, w := range d.windows {
		soonest(w.due)
	}
	for _, b := range d.bursts {
		soonest(b.first + burstWindow)
	}
	if d.losses.due != 0 {
		soonest(d.losses.due)
	}
	return at, ok
}

// pace is how often events may be given to the buffer.
func (d *Desk) pace() Rate { return Rate{Burst: gatherBurst, PerSecond: 1 / d.opt.Every.Seconds()} }

// paceAt is when they may the next time.
func (d *Desk) paceAt(now collectors.Stamp) collectors.Stamp {
	d.paced.refill(now, d.pace())
	short := d.paced.spent + 1 - gatherBurst
	if short <= 0 {
		return now
	}
	return now + collectors.Stamp(short*float64(d.opt.Every.Milliseconds())) + 1
}

// take takes what is to be given to the buffer now, in the order of its time.
func (d *Desk) take(now collectors.Stamp, all bool) []telling {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end(now, all)
	if len(d.pending) == 0 || !all && (now < d.pending[0].at+gather || !d.paced.take(now, d.pace())) {
		return nil
	}
	out := d.pending
	d.pending = nil
	slices.SortStableFunc(out, func(a, b telling) int { return int(a.at - b.at) })
	return out
}

// Run gives events to the buffer until ctx is done, and then what is left.
func (d *Desk) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-timer.C:
		}
		d.give(d.take(d.opt.Clock.Now(), false))
		now := d.opt.Clock.Now()
		d.mu.Lock()
		at, ok := d.next(now)
		d.mu.Unlock()
		timer.Stop()
		if ok {
			timer.Reset(time.Duration(max(at-now, 1)) * time.Millisecond)
		}
	}
	d.give(d.take(d.opt.Clock.Now(), true))
}

// give gives each event to the buffer as a batch of its own, at its own time.
func (d *Desk) give(tellings []telling) {
	for _, t := range tellings {
		x := collectors.Batch{Source: d.opt.What, At: t.at, Events: []collectors.Event{t.event}}
		if !d.opt.Buffer.AddWaiting(x, func(kept bool) { d.done(&t, kept) }) {
			d.done(&t, false)
		}
	}
}

// done notes what has become of an event. One that was not kept is counted, and those
// who wait for it learn it: what comes again is to be taken then.
func (d *Desk) done(t *telling, kept bool) {
	if kept {
		d.mu.Lock()
		d.stats.Events++
		d.mu.Unlock()
	} else {
		d.Drop(NotKept, netip.Addr{}, t.n)
	}
	for _, f := range t.waiting {
		f(kept)
	}
}
