package snmp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

const sourcePrefix = "device/"

var _ collectors.Collector = (*Collector)(nil)

// Collector collects one device. It keeps a session and what it has learned of the
// device between polls, and no goroutine. Its methods may be called by any
// goroutine; polls of one device follow one another.
type Collector struct {
	cfg     Config
	host    string
	port    uint16
	resolve Resolver
	now     func() time.Time
	dial    func(context.Context, attempt) (link, error)

	sockets *Sockets // that SNMPv2c is spoken through
	own     bool     // they are nobody else's

	mu     sync.Mutex
	closed bool

	// The session.
	link        link
	linked      attempt
	good        int  // the credential that works; -1: none has yet
	unconnected bool // the device answers from another address
	failures    int  // polls in a row without an answer

	// The device.
	plan    plan
	scalars []cell   // as in the plan
	texts   []string // of those that are text; as in the plan
	lacks   []bool   // scalars that v1 has refused; forgotten when names are read
	tables  []*table
	walker  walker
	leading leading
	layout  *layout
	namesAt time.Time // when names were read
	up      uptime    // at the last poll
	changed cell      // ifTableLastChange at the last poll
	told    string    // the other address that has been told of
	odd     string    // the oddity that has been told of

	upIndex, changedIndex int

	// The poll.
	took, pdus cell
	events     []collectors.Event
}

// An Option changes a collector in the making.
type Option func(*Collector)

// WithClock gives the collector another clock than time.Now, for the age of names
// and of the last sysUpTime.
func WithClock(now func() time.Time) Option { return func(c *Collector) { c.now = now } }

// New makes a collector of one device. Nothing is sent before the first Collect.
// It fails with what Config.Validate says.
func New(cfg Config, resolve Resolver, opts ...Option) (*Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("snmp: device %q: %w", collectors.Clip(cfg.Device, 64), err)
	}
	host, port, err := splitAddress(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("snmp: device %q: address: %w", collectors.Clip(cfg.Device, 64), err)
	}
	c := &Collector{
		cfg: cfg.withDefaults(), host: host, port: port, resolve: resolve, now: time.Now,
		good: -1, plan: builtIn(),
	}
	c.dial = c.open
	for _, opt := range opts {
		opt(c)
	}
	if c.sockets == nil {
		c.sockets, c.own = NewSockets(), true
	}
	c.scalars = make([]cell, len(c.plan.scalars))
	c.texts = make([]string, len(c.plan.scalars))
	c.lacks = make([]bool, len(c.plan.scalars))
	for i := range c.plan.tables {
		c.tables = append(c.tables, newTable(&c.plan.tables[i], c.cfg.MaxRows))
	}
	c.upIndex, c.changedIndex = c.plan.find("sysUpTime"), c.plan.find("ifTableLastChange")
	c.walker = walker{maxRequests: c.cfg.MaxRequests}
	return c, nil
}

// Source is the name of what the collector collects: "device/" and the device's
// name.
func (c *Collector) Source() string { return sourcePrefix + c.cfg.Device }

// Close ends the session. It waits for a Collect that runs, whose context is to be
// cancelled first; later ones fail.
func (c *Collector) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.drop()
	if !c.own {
		return nil
	}
	return c.sockets.Close()
}

// Collect polls the device once and emits its readings, in one batch or, of a
// device with more than collectors.MaxSeries series, in several, in an order that
// only changes when the device does.
//
// Without an answer it emits nothing and returns a [Failure], wrapped. Where only
// some was read it emits that, with the rest missing, and says in the error what
// is incomplete and why. When ctx ends it returns at once with the context's
// error, wrapped.
func (c *Collector) Collect(ctx context.Context, emit func(collectors.Batch)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.New("the collector is closed")
	}
	start := c.now()
	c.begin()
	c.walker.borrow()
	defer c.walker.giveBack()
	defer c.rest()
	if err := c.reach(ctx); err != nil {
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			c.failures++
		}
		return fmt.Errorf("asking %s: %w", c.cfg.Address, err)
	}
	c.failures = 0
	c.tellAddress()
	c.pacing()

	names := c.watch(start)
	c.walker.follow(c.tables[0].cols, c.tables[0])
	var broken []error
	if names {
		clear(c.lacks)
		if err := c.readScalars(ctx, c.onNames); err != nil {
			broken = append(broken, fmt.Errorf("names of the device: %w", err))
		}
	}
	names, errs := c.readTables(ctx, names, start)
	if broken = append(broken, errs...); c.empty() {
		return fmt.Errorf("asking %s: %w", c.cfg.Address, errors.Join(append(broken, ErrNothing)...))
	}
	if names || c.layout == nil {
		c.arrange()
	}
	c.tellOddity()
	c.measure(c.now().Sub(start))
	c.emit(emit)
	if c.linked.unconnected && !c.unconnected {
		c.drop() // it was a lost packet; a connected socket hears of closed ports
	}
	return errors.Join(broken...)
}

// begin forgets the last poll.
func (c *Collector) begin() {
	for i := range c.scalars {
		c.scalars[i].tag = 0
	}
	for _, t := range c.tables {
		t.begin()
	}
	c.walker.requests, c.walker.varbinds, c.walker.led = 0, 0, 0
	c.events = nil
}

// pacing starts to learn what the device takes, when it has answered first and
// when another credential makes it another agent: v1 has no GetBulk.
func (c *Collector) pacing() {
	v1 := c.cfg.Credentials[c.linked.credential].Auth.Version == "1"
	if p := &c.walker.pace; p.maxReps == 0 || p.v1 != v1 {
		*p = newPace(v1, c.cfg.MaxColumns, c.cfg.MaxRepetitions)
	}
}

// watch looks at what hints that names are no longer what they were, and tells
// whether they are to be read in this poll.
func (c *Collector) watch(at time.Time) (names bool) {
	names = c.layout == nil || at.Sub(c.namesAt) >= c.cfg.NamesEvery
	if v := &c.scalars[c.upIndex]; v.counts() {
		up := uptime{ticks: v.num, at: at, known: true}
		if restarted(c.up, up) {
			names = true
			for _, t := range c.tables {
				t.unpin()
			}
			c.tell("reboot", collectors.Warning, fmt.Sprintf(
				"the device or its SNMP agent has restarted: up for %s now, %s at the last poll",
				up.duration(), c.up.duration()))
		}
		c.up = up
	}
	if v := &c.scalars[c.changedIndex]; v.tag != 0 {
		names = names || v.num != c.changed.num
		c.changed = *v
	}
	return names
}

// readTables walks what there are series of, or everything where names are to be
// read. It returns whether they were, which rows that come or go bring about too.
func (c *Collector) readTables(ctx context.Context, names bool, at time.Time) (bool, []error) {
	var errs []error
	for i, t := range c.tables {
		used := func(col int) bool { return names || c.layout.used[i][col] }
		t.open(used)
		err := c.walker.walk(ctx, c.link, t.cols, t)
		if err == nil && !names && (t.grown || t.whole() && t.vanished()) {
			names = true
			t.open(used)
			err = c.walker.walk(ctx, c.link, t.cols, t)
		}
		if names {
			if t.whole() {
				t.prune()
			}
			t.settle()
		}
		if err = t.summary(err); err != nil {
			errs = append(errs, err)
		}
		if err != nil && ctx.Err() != nil {
			break
		}
	}
	if names {
		c.namesAt, c.leading.off = at, false
		none := slices.ContainsFunc(c.tables, func(t *table) bool { return len(t.rows) == 0 })
		if len(errs) > 0 || none {
			// What was not read this time is asked for again, but not in each poll:
			// some columns never come to their end, and some devices have no rows.
			c.namesAt = at.Add(min(time.Minute-c.cfg.NamesEvery, 0))
		}
	}
	return names, errs
}

// summary is what is incomplete in a table: nil where nothing is.
func (t *table) summary(err error) error {
	var names []string
	for i := range t.cols {
		switch s := t.cols[i].state; {
		case s == broken:
			if err == nil {
				err = t.cols[i].err
			}
			names = append(names, t.plan.columns[i].name)
		case s == open:
			names = append(names, t.plan.columns[i].name)
		}
	}
	if err == nil {
		return nil
	}
	if n := len(names); n > 3 {
		names = append(names[:3], fmt.Sprintf("%d more", n-3))
	}
	return fmt.Errorf("%s incomplete (%s): %w", t.plan.name, strings.Join(names, ", "), err)
}

// empty tells whether the device has shown nothing at all, now or before.
func (c *Collector) empty() bool {
	for i := range c.scalars {
		if c.scalars[i].tag != 0 {
			return false
		}
	}
	for _, t := range c.tables {
		if len(t.rows) > 0 {
			return false
		}
	}
	return true
}

// arrange lays out the series anew, after names have been read.
func (c *Collector) arrange() {
	b := layoutBuilder{
		source: c.Source(), extra: c.cfg.Labels,
		device: []collectors.Label{{Name: "device", Value: collectors.Clip(c.cfg.Device, collectors.MaxText)}},
	}
	for i := range c.plan.scalars {
		if o := &c.plan.scalars[i]; o.use != internal && c.scalars[i].known {
			b.scalar(o, slot{&c.scalars[i], c.text(i)})
		}
	}
	b.scalar(&object{name: "snmp_scrape_duration_seconds", unit: "seconds", kind: collectors.Gauge}, slot{cell: &c.took})
	b.scalar(&object{name: "snmp_scrape_pdus_returned", kind: collectors.Gauge}, slot{cell: &c.pdus})
	for _, t := range c.tables {
		b.table(t)
	}
	c.layout = b.build(c.layout)
}

// measure fills in the collector's own series. A time is rounded to microseconds:
// what is finer is noise, and noise does not compress.
func (c *Collector) measure(took time.Duration) {
	c.took = cell{tag: pdu.TagDouble, num: math.Float64bits(float64(took.Microseconds()) / 1e6)}
	c.pdus = cell{tag: pdu.TagGauge32, num: uint64(c.walker.varbinds)}
}

func (c *Collector) emit(emit func(collectors.Batch)) {
	for i, p := range c.layout.parts {
		b := collectors.Batch{Source: p.schema.Source, Schema: p.schema, Values: p.values()}
		if i == 0 {
			b.Events = c.events
		}
		emit(b)
	}
}

func (c *Collector) tell(kind string, severity collectors.Severity, text string) {
	c.events = append(c.events, collectors.Event{
		Kind: kind, Severity: severity, Text: collectors.Clip(text, collectors.MaxText),
		Labels: []collectors.Label{{Name: "device", Value: collectors.Clip(c.cfg.Device, collectors.MaxText)}},
	})
}

// tellAddress tells once that a device answers from another address than it is
// asked at.
func (c *Collector) tellAddress() {
	from := c.link.answersFrom()
	if !from.IsValid() || from.String() == c.told {
		return
	}
	c.told = from.String()
	c.tell("snmp_reply_address", collectors.Info, fmt.Sprintf("answers from %s, although asked at %s", from, c.cfg.Address))
}

// tellOddity tells once what is odd about a device's answers.
func (c *Collector) tellOddity() {
	if why := c.link.oddity(); why != nil && why.Error() != c.odd {
		c.odd = why.Error()
		c.tell("snmp_odd_answer", collectors.Info, "some answers are read by a more tolerant reader: "+c.odd)
	}
}
