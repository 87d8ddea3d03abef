package snmp

import (
	"context"
	"errors"
	"fmt"
	"math"
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
	kinds   *Kinds
	once    bool // each credential is tried once

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
	plan    *plan
	is      identity
	scalars *table // of one row
	front   []int  // of the scalars, those that a poll begins with
	lacks   []bool // scalars that the device does not have; forgotten when names are read
	asked   []bool // scalars that were asked for in this poll
	which   []int
	atOnce  int // scalars in one request
	cols    []column
	owner   []uint8 // of each column, the table
	tables  []*table
	room    int // bytes that their rows may yet take
	groups  []group
	walker  walker
	leading leading
	layout  *layout
	namesAt time.Time // when names were read
	clocks  clocks    // at the last poll
	polled  time.Time // when that was
	changed cell      // ifTableLastChange at the last poll
	told    string    // the other address that has been told of
	// The empty tables that have been told of.
	toldEmpty string // what was told of them, as a mark; empty: nothing
	odd       string // the oddity that has been told of
	engines   *Engines
	memory    *Memory
	twins     string // the devices with the same engine ID that have been told of

	recalled  *Manners // what was learned before this program began; nil: nothing
	engineBad bool     // snmpEngineTime begins anew without a restart

	shown shown // to others than Collect

	// The poll.
	start      time.Time
	restarted  bool // the device, or its agent, since the last poll
	took, pdus cell
	events     []collectors.Event
	eventText  int // bytes of them
}

// An Option changes a collector in the making.
type Option func(*Collector)

// WithClock gives the collector another clock than time.Now, for the age of names
// and of the last sysUpTime.
func WithClock(now func() time.Time) Option { return func(c *Collector) { c.now = now } }

// WithKinds tells the collector of the kinds of devices there are; collectors that
// are given the same share what is made of them. Without it they are the built-in
// ones.
func WithKinds(k *Kinds) Option { return func(c *Collector) { c.kinds = k } }

// OneAttempt has each credential tried once only: a device that did not ask to be
// asked is not to hear a wrong one twice, as it would for the chance that it answers
// from another address. With Config.Retries 0 that is one datagram of v1 and v2c.
func OneAttempt() Option { return func(c *Collector) { c.once = true } }

// New makes a collector of one device. Nothing is sent before the first Collect.
// It fails with what Config.Validate says, and for a profile that there is not.
func New(cfg Config, resolve Resolver, opts ...Option) (*Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("snmp: device %q: %w", collectors.Clip(cfg.Device, 64), err)
	}
	host, port, err := splitAddress(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("snmp: device %q: address: %w", collectors.Clip(cfg.Device, 64), err)
	}
	c := &Collector{cfg: cfg.withDefaults(), host: host, port: port, resolve: resolve, now: time.Now, good: -1, atOnce: scalarsAtOnce}
	c.dial = c.open
	c.walker.maxRequests = c.cfg.MaxRequests
	for _, opt := range opts {
		opt(c)
	}
	if c.sockets == nil {
		c.sockets, c.own = NewSockets(), true
	}
	if c.kinds == nil {
		c.kinds = builtInKinds()
	}
	if c.memory != nil {
		if r, ok := c.memory.of(c.cfg.Device, c.cfg.Address); ok {
			c.recall(r.Manners)
			c.toldEmpty = r.Empty
		}
	}
	if c.cfg.Profile != nil {
		c.install(c.kinds.plan(c.cfg.Profile))
	} else {
		c.install(c.kinds.unknown)
	}
	return c, nil
}

// install makes another plan the collector's, and forgets what was read by the one
// before.
func (c *Collector) install(p *plan) {
	c.plan, c.layout, c.walker.led = p, nil, 0
	c.scalars = newScalars(&p.scalars)
	c.lacks = make([]bool, p.scalars.columns)
	c.asked = make([]bool, p.scalars.columns)
	c.front = p.front()
	n := 0
	for i := range p.tables {
		n += p.tables[i].columns
	}
	c.cols, c.owner, c.tables = make([]column, n), make([]uint8, 0, n), nil
	for i := range p.tables {
		first := len(c.owner)
		for range p.tables[i].columns {
			c.cols[len(c.owner)].table = i
			c.owner = append(c.owner, uint8(i))
		}
		end := len(c.owner)
		c.tables = append(c.tables, newTable(&p.tables[i], c.cols[first:end:end], first, c.cfg.MaxRows, &c.room))
	}
	c.room = maxRoom
	c.groups = groupsOf(p)
	c.startGroups()
	c.walker.pace = pace{}
	c.walker.unordered = p.profile.Agent.AllowUnordered
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

	names := c.watch()
	c.walker.follow(c.cols, c)
	var broken []error
	if err := c.readRest(ctx, names); err != nil {
		broken = append(broken, fmt.Errorf("scalars of the device: %w", err))
	}
	c.restarts()
	broken = append(broken, c.readTables(ctx, names || c.layout == nil)...)
	if c.empty() {
		return fmt.Errorf("asking %s: %w", c.cfg.Address, errors.Join(append(broken, ErrNothing)...))
	}
	if c.stale() {
		c.arrange()
		c.tellEmpty()
	}
	if c.layout.cut {
		broken = append(broken, errTooManySeries)
	}
	c.tellResets(c.start.Sub(c.polled))
	c.polled = c.start
	c.tellOddity()
	c.measure(c.now().Sub(c.start))
	c.emit(emit)
	c.ranGroups()
	c.show()
	if c.linked.unconnected && !c.unconnected {
		c.drop() // it was a lost packet; a connected socket hears of closed ports
	}
	return errors.Join(broken...)
}

// begin forgets the last poll.
func (c *Collector) begin() {
	c.start = c.now()
	c.startGroups()
	c.scalars.begin()
	clear(c.asked)
	for _, t := range c.tables {
		t.begin()
	}
	c.walker.requests, c.walker.varbinds, c.walker.led = 0, 0, 0
	c.events, c.eventText, c.restarted = nil, 0, false
}

// take is the walk's sink.
func (c *Collector) take(col int, index []byte, v *pdu.Varbind) taking {
	t := c.tables[c.owner[col]]
	return t.take(col-t.first, index, v)
}

// pacing starts to learn what the device takes, when it has answered first and
// when another credential makes it another agent: v1 has no GetBulk.
func (c *Collector) pacing() {
	v1 := c.cfg.Credentials[c.linked.credential].Auth.Version == "1"
	if p := &c.walker.pace; p.maxReps == 0 || p.v1 != v1 {
		agent := &c.plan.profile.Agent
		columns, reps := c.cfg.MaxColumns, c.cfg.MaxRepetitions
		if agent.MaxColumns > 0 {
			columns = min(columns, agent.MaxColumns)
		}
		if agent.MaxRepetitions > 0 {
			reps = agent.MaxRepetitions
		}
		*p = newPace(v1 || agent.NoBulk, columns, reps)
		p.v1 = v1
		c.recallPace()
	}
}

// empty tells whether the device has shown nothing at all, now or before.
func (c *Collector) empty() bool {
	for i := range c.scalars.rows[0].cells {
		if c.scalars.rows[0].cells[i].tag != 0 {
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

// stale tells whether the series are no longer what they were.
func (c *Collector) stale() bool {
	stale := c.layout == nil || c.scalars.fresh
	for _, t := range c.tables {
		stale = stale || t.naming || t.fresh
	}
	return stale
}

// arrange lays out the series anew, after names have been read.
func (c *Collector) arrange() {
	b := layoutBuilder{
		source: c.Source(), used: make([]bool, len(c.cols)),
		labels: labelling{device: c.label(), extra: c.cfg.Labels, tables: c.tables},
	}
	b.labels.device = append(b.labels.device, c.wide(&b.labels)...)
	b.table(c.scalars, nil)
	b.alone("snmp_scrape_duration_seconds", "seconds", &c.took)
	b.alone("snmp_scrape_pdus_returned", "", &c.pdus)
	for _, t := range c.tables {
		b.table(t, nil)
	}
	c.layout = b.build(c.layout)
}

// wide gives the labels that the profile wants on every series of the device.
func (c *Collector) wide(l *labelling) []collectors.Label {
	all := l.of(c.scalars, &c.scalars.rows[0], c.plan.labels)
	return all[len(l.device) : len(all)-len(l.extra)]
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

// maxPollEvents bounds the events of one poll.
const maxPollEvents = 32

// tell adds an event to the poll, as long as there is room.
func (c *Collector) tell(kind string, severity collectors.Severity, text string, labels ...collectors.Label) {
	e := collectors.Event{Kind: kind, Severity: severity, Text: collectors.Clip(text, collectors.MaxText), Labels: append(c.label(), labels...)}
	size := len(e.Kind) + len(e.Text)
	for _, l := range e.Labels {
		size += len(l.Name) + len(l.Value)
	}
	if len(c.events) < maxPollEvents && c.eventText+size <= maxEventText {
		c.events, c.eventText = append(c.events, e), c.eventText+size
	}
}

// tellAddress tells once that a device answers from another address than it is
// asked at.
func (c *Collector) tellAddress() {
	from := c.link.answersFrom()
	if !from.IsValid() || from.String() == c.told {
		return
	}
	c.told = from.String()
	where := "from " + c.told
	if c.told == c.host {
		where = "from another port"
	}
	c.tell("snmp_reply_address", collectors.Info, fmt.Sprintf("answers %s, although asked at %s", where, c.cfg.Address))
}

// tellOddity tells once what is odd about a device's answers.
func (c *Collector) tellOddity() {
	if why := c.link.oddity(); why != nil && why.Error() != c.odd {
		c.odd = why.Error()
		c.tell("snmp_odd_answer", collectors.Info, "some answers are read by a more tolerant reader: "+c.odd)
	}
}
