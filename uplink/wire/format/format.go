// Package format turns blocks into what others read: lines of JSON and InfluxDB's
// line protocol, for MSPs that consume with Telegraf or Node-RED and run no hub
// (`ack: broker`). The command `siteprobe poll --json` writes the same JSON.
//
// # JSON
//
// One object a line. A reading is
//
//	{"device":"core-sw1","metric":"ifHCInOctets","labels":{"ifIndex":"1"},"value":18446744073709551615,
//	 "unit":"bytes","kind":"counter","time":"2026-03-01T12:00:00.250Z","quality":["partial"]}
//
// on one line. device is the series' label "device", which labels then leaves
// out, or the NAME of a source "device/NAME", or empty (the box itself). The value
// of a counter or state is an exact integer of up to 64 bits, that of a gauge a
// number or null (NaN and the infinities are no JSON), that of a text a string.
// unit is a base unit or empty; kind is counter, gauge, state or text; time is
// RFC 3339 in UTC, to the millisecond. quality is empty or says "partial" (the
// collection did not give all that was asked for), "reset" (the device or its agent
// has restarted since the last one) or "clock_unsure" (the box's clock was not
// synchronised). What happened, as opposed to what was measured, is
//
//	{"event":{"device":"","source":"events","kind":"reboot","severity":"warning","text":"…","labels":{},
//	 "time":"…","quality":[]}}
//
// A collection that was not ok becomes an event of kind collection_failed,
// collection_partial or collection_skipped with the reason as its text, so that
// silence has a cause.
//
// # Rollups
//
// Where a long outage left no room for all readings, there are rollups: one line for
// each series and each quarter of an hour, or hour. Its quality says "rollup", and
// it has, at its end,
//
//	"start":"2026-03-01T12:00:00.000Z","width_s":900,"count":15,"min":3.1,"max":9.4,"sum":93.5
//
// count readings were taken in the width_s seconds from start on. Of a gauge the
// value is their mean; of all other kinds it is the last of them. time is that of
// the last in any case. Gauges and states have min, max and sum, counters have
// "rise", what the counter rose by from each reading to the next, the last one
// before the rollup's time included. The readings on either side of a reset are
// ordinary lines, and so is the one that a rise is counted from first. One time can
// be in two lines of one series, which then are about different readings of it.
// Collections that were not ok become one event for each such time and result, with
// start, width_s and count, and the last reason that there was.
//
// Events that are alike and too many are told once, by the last: with the labels
// "count" and "first_ms" (Unix ms).
//
// # Line protocol
//
// The measurement is the metric's name, the tags are all of the series' labels, the
// one field is value, the timestamp is in nanoseconds:
//
//	ifHCInOctets,device=core-sw1,ifIndex=1 value=1234i 1772366400250000000
//
// Counters and states are integers (suffix i). A counter beyond the largest int64
// is written as a float, because the unsigned type (suffix u) is refused by
// InfluxDB 1 and others; a receiver that has fixed the field's type may refuse such
// a point. Gauges are floats; NaN and the infinities, which the protocol cannot
// carry, are left out. Texts are strings. A label without a value gives no tag.
// Quality comes as a field of its own, quality="partial", where there is one. An
// event, also one of a collection that was not ok, is
//
//	siteprobe_event,kind=reboot,severity=warning,source=events text="…" 1772366400250000000
//
// A rollup has the tag rollup (15m or 1h), so that it can be told from readings and
// overwrites none, and the fields count and min, max, sum or rise:
//
//	temperature,device=core-sw1,rollup=15m value=6.2,count=15i,min=3.1,max=9.4,sum=93.5,start=1772366400000i,quality="rollup" 1772367240250000000
//
// start is in milliseconds. An event that stands for several has the fields count
// and first_ms, or count and start.
//
// The protocol has no way to write some characters in a tag that all readers agree
// on: a backslash becomes a slash, a line end or other control character a space.
package format

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// The formats that New knows, as the site file names them.
const (
	NameJSON   = "json"
	NameInflux = "influx"
)

// MaxPayload is the largest payload, in octets; a line is always shorter.
const MaxPayload = 60_000

// The words of quality.
const (
	QualityPartial     = "partial"      // the collection did not give all that was asked for
	QualityReset       = "reset"        // the device or its agent has restarted since the last collection: counters began anew
	QualityRollup      = "rollup"       // it stands for several
	QualityClockUnsure = "clock_unsure" // the box's clock was not synchronised, and by how much it was off is not known
)

// SchemaFunc gives the schema of a name, nil where it is not known.
type SchemaFunc func(block.ID) *collectors.Schema

// HeadFunc corrects the clock of a block that was sealed while it was unsure, as far
// as that is known by now.
type HeadFunc func(*block.Head)

// New returns the converter of a format: it makes the payloads of one block, each
// at most MaxPayload long and of whole lines. It may be used by several
// goroutines if schema and correct (which may be nil) may.
func New(name string, codec *block.Codec, schema SchemaFunc, correct HeadFunc) (func(b []byte) ([][]byte, error), error) {
	switch name {
	case NameJSON:
		return func(b []byte) ([][]byte, error) { return convert(b, schema, correct, codec, jsonLines) }, nil
	case NameInflux:
		return func(b []byte) ([][]byte, error) { return convert(b, schema, correct, codec, influxLines) }, nil
	}
	return nil, fmt.Errorf("no converter to format %q (there are %s and %s)", name, NameJSON, NameInflux)
}

// JSON returns a block's readings and events as lines of JSON. An error means that
// the block is damaged or that one of its schemas is not known.
func JSON(b []byte, schema SchemaFunc, codec *block.Codec) ([][]byte, error) {
	return convert(b, schema, nil, codec, jsonLines)
}

// Influx returns a block's readings and events in line protocol; it fails as JSON
// does.
func Influx(b []byte, schema SchemaFunc, codec *block.Codec) ([][]byte, error) {
	return convert(b, schema, nil, codec, influxLines)
}

// lines is how a format writes things down, each without a line end. What it cannot
// say appends nothing.
type lines struct {
	reading func(dst []byte, batch *collectors.Batch, series *collectors.Series, v collectors.Value, wallMs int64, quality []string) []byte
	event   func(dst []byte, batch *collectors.Batch, e *collectors.Event, wallMs int64, quality []string) []byte
	rolled  func(dst []byte, source string, series *collectors.Series, r *rolled, quality []string) []byte
	polls   func(dst []byte, source string, result collectors.Result, p *polls, quality []string) []byte
}

var (
	jsonLines   = lines{AppendReading, AppendEvent, appendRolled, appendPolls}
	influxLines = lines{AppendInflux, AppendInfluxEvent, appendInfluxRolled, appendInfluxPolls}
)

func convert(raw []byte, schema SchemaFunc, correct HeadFunc, codec *block.Codec, as lines) ([][]byte, error) {
	b, err := block.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("converting a block: %w", err)
	}
	sections, unknown, err := codec.Decode(b, schema, nil)
	if err != nil {
		return nil, fmt.Errorf("converting a block: %w", err)
	}
	if unknown > 0 {
		return nil, fmt.Errorf("converting a block: the schemas of %d of its sections are not known", unknown)
	}
	p, kept := payloads{lines: as}, b.Offset
	if correct != nil {
		correct(&b.Head) // after decoding: buckets lie as the clock went when they were made
	}
	p.shift = b.Offset - kept
	for i := range sections {
		if r := sections[i].Rollup; r != nil {
			p.rollup(r, &b.Head)
			continue
		}
		for j := range sections[i].Batches {
			p.batch(&sections[i].Batches[j], &b.Head)
		}
	}
	return p.finish(), nil
}

// batch writes down all that a batch has.
func (p *payloads) batch(x *collectors.Batch, head *block.Head) {
	wall, quality := head.Wall(x.At), Quality(x, head.Sure)
	for k := range x.Values {
		if !x.Values[k].Missing() {
			p.line(p.reading(p.open, x, &x.Schema.Series[k], x.Values[k], wall, quality))
		}
	}
	if e := OutcomeEvent(x); e != nil {
		p.line(p.event(p.open, x, e, wall, quality))
	}
	for k := range x.Events {
		store.Retime(&x.Events[k], p.shift)
		p.line(p.event(p.open, x, &x.Events[k], wall, quality))
	}
}

// Quality returns what readings of the batch lack, in the words above; nil when
// nothing.
func Quality(b *collectors.Batch, sure bool) (words []string) {
	if b.Outcome.Result == collectors.Partial {
		words = append(words, QualityPartial)
	}
	if len(b.Values) > 0 && slices.ContainsFunc(b.Events, func(e collectors.Event) bool { return e.Kind == "reboot" || e.Kind == "agent_restart" }) {
		words = append(words, QualityReset)
	}
	if !sure {
		words = append(words, QualityClockUnsure)
	}
	return words
}

// OutcomeEvent returns the event that stands for a collection that was not ok, nil
// for one that was.
func OutcomeEvent(b *collectors.Batch) *collectors.Event {
	if b.Outcome.Result == collectors.OK {
		return nil
	}
	return &collectors.Event{Kind: "collection_" + b.Outcome.Result.String(), Severity: collectors.Warning, Text: b.Outcome.Why}
}

// device names what a reading is of.
func device(source string, labels []collectors.Label) string {
	for i := range labels {
		if !ofDevice(source) {
			break
		}
		if labels[i].Name == "device" {
			return labels[i].Value
		}
	}
	name, _ := strings.CutPrefix(source, "device/")
	if len(name) == len(source) {
		return ""
	}
	return name
}

// ofDevice tells whether a source's label "device" is the name of a device. The
// box's own is a disk or a port, as node_exporter has it.
func ofDevice(source string) bool {
	return source != "host"
}

// payloads gathers lines; open is the payload being filled.
type payloads struct {
	lines
	shift int64 // by which the clock was corrected since, ms
	open  []byte
	done  [][]byte
}

// line takes p.open with one more line at its end, which has no line end yet, and
// begins a new payload where that is too long.
func (p *payloads) line(open []byte) {
	was := len(p.open)
	if len(open) == was {
		return // nothing that the format can say
	}
	open = append(open, '\n')
	if len(open) <= MaxPayload {
		p.open = open
		return
	}
	p.done = append(p.done, open[:was:was])
	p.open = append(make([]byte, 0, MaxPayload/2), open[was:]...)
}

func (p *payloads) finish() [][]byte {
	if len(p.open) > 0 {
		p.done = append(p.done, bytes.Clone(p.open))
	}
	return p.done
}

// maxKept bounds the series that Schemas keeps decoded.
const maxKept = 50_000

// Schemas returns a SchemaFunc over a store of schemas' bytes, such as a buffer's
// SchemaBytes. It keeps what it has decoded, within bounds, and may be used by
// several goroutines. A schema whose bytes cannot be read is not known.
func Schemas(bytesOf func(block.ID) ([]byte, error), codec *block.Codec) SchemaFunc {
	var mu sync.Mutex
	kept, series := map[block.ID]*collectors.Schema{}, 0
	return func(id block.ID) *collectors.Schema {
		mu.Lock()
		defer mu.Unlock()
		if s := kept[id]; s != nil {
			return s
		}
		b, err := bytesOf(id)
		if err != nil || b == nil {
			return nil
		}
		_, s, err := codec.DecodeSchema(b)
		if err != nil {
			return nil
		}
		if series += len(s.Series); series > maxKept {
			kept, series = map[block.ID]*collectors.Schema{}, len(s.Series)
		}
		kept[id] = s
		return s
	}
}
