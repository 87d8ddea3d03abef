// Package collectors holds the words that every part of siteprobe shares: a
// collector looks at one source and emits batches of values laid out by a
// schema.
//
// It imports the standard library only, and of that neither net nor os, so that
// whatever is written in these words (the buffer, the uplink, the hub) can be
// read and tested without a network or a disk.
//
// # A collector
//
// A [Collector] collects one source once, when it is called. It keeps no
// goroutine and no timer; package schedule decides when it runs, for how long it
// may, and what an error, a panic or a hang means. A collector hands over what it
// has found by calling emit, at most a few times, each time with at most
// [MaxSeries] values.
//
// # Names
//
// Metric names are those of the field: MIB object names as snmp_exporter has
// them (ifHCInOctets), blackbox_exporter's (probe_success), node_exporter's for
// the box, siteprobe_* for our own. Units are base units. Counters travel raw;
// rates are computed where they are shown.
package collectors

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what one batch may carry. They are what makes every batch fit one
// block and every schema one message of 64 KB (see package block); a larger
// source is collected as several batches.
const (
	MaxSeries    = 2048     // values in a batch
	MaxText      = 255      // bytes of a text value, a label value, an event's text
	MaxBatchText = 8 << 10  // bytes of all text values of a batch together
	MaxLabels    = 16       // labels of a series
	MaxName      = 128      // bytes of a source, metric, unit or label name
	MaxEvents    = 64       // events in a batch
	MaxSchema    = 56 << 10 // bytes of a schema as it is kept and sent
)

// A Collector collects one source, once per call.
type Collector interface {
	// Collect reads the source and calls emit for every batch it has. It must
	// return soon after ctx is done. The batches' Source and At may be left
	// empty; the scheduler fills them in.
	//
	// A nil error with at least one batch is a collection that is ok. An error
	// after a batch has been emitted makes the collection partial, an error
	// before any makes it failed; the error's text is kept as the reason and so
	// must hold no secret and no packet dump.
	Collect(ctx context.Context, emit func(Batch)) error
}

// CollectorFunc lets a function be a [Collector].
type CollectorFunc func(ctx context.Context, emit func(Batch)) error

// Collect calls f.
func (f CollectorFunc) Collect(ctx context.Context, emit func(Batch)) error { return f(ctx, emit) }

// Stamp is an instant on the box's boot clock (CLOCK_BOOTTIME), in milliseconds.
// It only rises, whatever happens to the wall clock.
type Stamp int64

// Add returns the stamp d later, to the millisecond.
func (s Stamp) Add(d time.Duration) Stamp { return s + Stamp(d.Milliseconds()) }

// Kind tells how the values of a series are to be read.
type Kind uint8

// The kinds. Their numbers are part of the block format.
const (
	Counter Kind = 1 // a total that rises until it is reset; exact, 64 bits
	Gauge   Kind = 2 // a measurement that goes up and down; a float
	State   Kind = 3 // a number out of an enumeration
	Text    Kind = 4
)

func (k Kind) String() string {
	switch k {
	case Counter:
		return "counter"
	case Gauge:
		return "gauge"
	case State:
		return "state"
	case Text:
		return "text"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Label is one name and value of a series, such as ifName="Gi1/0/1".
type Label struct{ Name, Value string }

// Series is what a value belongs to.
type Series struct {
	Metric string
	Unit   string  // base unit: "bytes", "seconds", "bits_per_second"; empty for a count
	Labels []Label // in the order in which they are to be shown
	Kind   Kind
}

// Label returns the value of a label, or the empty string.
func (s *Series) Label(name string) string {
	for _, l := range s.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// String writes the series as Prometheus does: metric{label="value",...}.
func (s *Series) String() string {
	var b strings.Builder
	b.WriteString(s.Metric)
	for i, l := range s.Labels {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(l.Name)
		b.WriteByte('=')
		b.WriteString(strconv.Quote(l.Value))
	}
	if len(s.Labels) > 0 {
		b.WriteByte('}')
	}
	return b.String()
}

// Schema is the ordered list of a source's series. A collector keeps the same
// *Schema for as long as the list stays the same (the pointer is what the buffer
// remembers it by) and never changes one that it has emitted.
type Schema struct {
	Source string
	Series []Series
}

// Value is one reading. Which accessor applies is told by its series' Kind. The
// zero Value is a reading that is missing: a cell that the device did not give
// this time.
type Value struct {
	bits uint64
	text string
	set  bool
}

// CounterValue, GaugeValue, StateValue and TextValue make a reading of the kind
// they name.
func CounterValue(n uint64) Value { return Value{bits: n, set: true} }

// GaugeValue makes a reading of kind Gauge.
func GaugeValue(f float64) Value { return Value{bits: math.Float64bits(f), set: true} }

// StateValue makes a reading of kind State.
func StateValue(n int64) Value { return Value{bits: uint64(n), set: true} }

// TextValue makes a reading of kind Text. Longer text is cut to [MaxText] bytes.
func TextValue(s string) Value { return Value{text: Clip(s, MaxText), set: true} }

// Missing tells whether there is no reading.
func (v Value) Missing() bool { return !v.set }

// Counter returns the reading of a Counter.
func (v Value) Counter() uint64 { return v.bits }

// Gauge returns the reading of a Gauge.
func (v Value) Gauge() float64 { return math.Float64frombits(v.bits) }

// State returns the reading of a State.
func (v Value) State() int64 { return int64(v.bits) }

// Text returns the reading of a Text.
func (v Value) Text() string { return v.text }

// Format writes the reading as kind k: a counter or state as an exact integer, a
// gauge as the shortest decimal that reads back to it.
func (v Value) Format(k Kind) string {
	switch {
	case !v.set:
		return ""
	case k == Counter:
		return strconv.FormatUint(v.bits, 10)
	case k == State:
		return strconv.FormatInt(int64(v.bits), 10)
	case k == Gauge:
		f, format := v.Gauge(), byte('f')
		if a := math.Abs(f); a >= 1e15 || (a != 0 && a < 1e-6) {
			format = 'g'
		}
		return strconv.FormatFloat(f, format, -1, 64)
	}
	return v.text
}

// Float returns the reading as a number for a plot or a rate; ok is false for
// text and for a reading that is missing.
func (v Value) Float(k Kind) (f float64, ok bool) {
	switch {
	case !v.set || k == Text:
		return 0, false
	case k == Counter:
		return float64(v.bits), true
	case k == State:
		return float64(int64(v.bits)), true
	}
	return v.Gauge(), true
}

// Result is how a collection went. Its numbers are part of the block format.
type Result uint8

// The results. Every due slot yields a batch with one of them.
const (
	OK      Result = 0 // everything asked for was read
	Partial Result = 1 // some of it was read
	Failed  Result = 2 // nothing was read: the source did not answer, or the collector broke
	Skipped Result = 3 // nothing was asked: no worker free, the box was busy, or it backs off
)

func (r Result) String() string {
	switch r {
	case OK:
		return "ok"
	case Partial:
		return "partial"
	case Failed:
		return "failed"
	case Skipped:
		return "skipped"
	}
	return "result " + strconv.Itoa(int(r))
}

// Outcome is a result and, unless it is OK, why: a short sentence that may be
// shown to a person.
type Outcome struct {
	Result Result
	Why    string
}

// Severity of an event.
type Severity uint8

// The severities, as in syslog's upper half.
const (
	Info    Severity = 0
	Warning Severity = 1
	Error   Severity = 2
)

func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Warning:
		return "warning"
	case Error:
		return "error"
	}
	return "severity " + strconv.Itoa(int(s))
}

// Event is something that happened, as opposed to something measured.
type Event struct {
	Kind     string // a stable word, such as "quarantine" or "reboot"
	Severity Severity
	Text     string // one sentence for a person
	Labels   []Label
}

// Apart tells whether each event of this one's kind counts by itself, because what is
// computed from them would be wrong without one: incidents and states of services.
// Such events are not held back for coming fast, nor told together with others; whoever
// makes them bounds them.
func (e *Event) Apart() bool {
	return strings.HasPrefix(e.Kind, "incident_") || strings.HasPrefix(e.Kind, "service_")
}

// Batch is what one collection of one source gave at one instant. Schema is nil
// or Values empty where nothing was read; otherwise Values has one entry for each
// series, in the schema's order.
type Batch struct {
	Source  string
	At      Stamp
	Outcome Outcome
	Schema  *Schema
	Values  []Value
	Events  []Event
}

// Readings counts the values that are not missing.
func (b *Batch) Readings() int {
	n := 0
	for i := range b.Values {
		if b.Values[i].set {
			n++
		}
	}
	return n
}

// Validate tells whether the batch keeps to the bounds of this package. The
// scheduler and the buffer both ask, so that a faulty collector is an outcome and
// not a fault of the buffer.
func (b *Batch) Validate() error {
	switch {
	case b.Source == "" || len(b.Source) > MaxName || !utf8.ValidString(b.Source):
		return fmt.Errorf("source name of %d bytes (1 to %d)", len(b.Source), MaxName)
	case b.Outcome.Result > Skipped:
		return fmt.Errorf("unknown result %d", b.Outcome.Result)
	case len(b.Outcome.Why) > MaxText || !utf8.ValidString(b.Outcome.Why):
		return fmt.Errorf("reason of %d bytes (at most %d, UTF-8)", len(b.Outcome.Why), MaxText)
	case len(b.Events) > MaxEvents:
		return fmt.Errorf("%d events (at most %d)", len(b.Events), MaxEvents)
	case b.Schema == nil && len(b.Values) > 0:
		return errors.New("values without a schema")
	case b.Schema != nil && b.Schema.Source != b.Source:
		return fmt.Errorf("schema of source %q", b.Schema.Source)
	case b.Schema != nil && len(b.Values) > 0 && len(b.Values) != len(b.Schema.Series):
		return fmt.Errorf("%d values for %d series", len(b.Values), len(b.Schema.Series))
	}
	text := len(b.Outcome.Why)
	for i := range b.Values {
		if n := len(b.Values[i].text); n > 0 {
			if n > MaxText {
				return fmt.Errorf("text value of %d bytes (at most %d)", n, MaxText)
			}
			text += n
		}
	}
	for i := range b.Events {
		e := &b.Events[i]
		text += len(e.Kind) + len(e.Text)
		for _, l := range e.Labels {
			text += len(l.Name) + len(l.Value)
		}
		if e.Kind == "" || len(e.Kind) > MaxName || len(e.Text) > MaxText || e.Severity > Error || !utf8.ValidString(e.Kind+e.Text) {
			return fmt.Errorf("event %d: its kind, severity or text is out of bounds", i)
		}
		if err := validLabels(e.Labels); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	if text > MaxBatchText {
		return fmt.Errorf("%d bytes of text (at most %d)", text, MaxBatchText)
	}
	return nil
}

// Validate tells whether the schema keeps to the bounds of this package. It costs
// a pass over all series, so the buffer asks once for each new schema.
func (s *Schema) Validate() error {
	if s.Source == "" || len(s.Source) > MaxName || !utf8.ValidString(s.Source) {
		return fmt.Errorf("source name of %d bytes (1 to %d)", len(s.Source), MaxName)
	}
	if len(s.Series) > MaxSeries {
		return fmt.Errorf("%d series (at most %d)", len(s.Series), MaxSeries)
	}
	for i := range s.Series {
		e := &s.Series[i]
		if e.Metric == "" || len(e.Metric) > MaxName || len(e.Unit) > MaxName || !utf8.ValidString(e.Metric) || !utf8.ValidString(e.Unit) {
			return fmt.Errorf("series %d: metric or unit name is empty or longer than %d bytes", i, MaxName)
		}
		if e.Kind < Counter || e.Kind > Text {
			return fmt.Errorf("series %d (%s): unknown %v", i, e.Metric, e.Kind)
		}
		if err := validLabels(e.Labels); err != nil {
			return fmt.Errorf("series %d (%s): %w", i, e.Metric, err)
		}
	}
	return nil
}

func validLabels(ls []Label) error {
	if len(ls) > MaxLabels {
		return fmt.Errorf("%d labels (at most %d)", len(ls), MaxLabels)
	}
	for _, l := range ls {
		if l.Name == "" || len(l.Name) > MaxName || len(l.Value) > MaxText || !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) {
			return fmt.Errorf("label %q: name or value is out of bounds", Clip(l.Name, 32))
		}
	}
	return nil
}

// Printable keeps text that came from elsewhere from driving a terminal.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) {
			return '?'
		}
		return r
	}, s)
}

// Clip shortens s to at most n bytes, at the boundary of a character, and drops
// what is not valid UTF-8. Device text goes through it before it becomes a label,
// a value or a reason.
func Clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
