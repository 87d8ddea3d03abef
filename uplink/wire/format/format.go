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
// collection did not give all that was asked for) or "clock_unsure" (the box's
// clock was not synchronised). What happened, as opposed to what was measured, is
//
//	{"event":{"device":"","source":"events","kind":"reboot","severity":"warning","text":"…","labels":{},
//	 "time":"…","quality":[]}}
//
// A collection that was not ok becomes an event of kind collection_failed,
// collection_partial or collection_skipped with the reason as its text, so that
// silence has a cause.
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
// The protocol has no way to write some characters in a tag that all readers agree
// on: a backslash becomes a slash, a line end or other control character a space.
package format

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/siteprobe/siteprobe/buffer/block"
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
		return func(b []byte) ([][]byte, error) {
			return convert(b, schema, correct, codec, AppendReading, AppendEvent)
		}, nil
	case NameInflux:
		return func(b []byte) ([][]byte, error) {
			return convert(b, schema, correct, codec, AppendInflux, AppendInfluxEvent)
		}, nil
	}
	return nil, fmt.Errorf("no converter to format %q (there are %s and %s)", name, NameJSON, NameInflux)
}

// JSON returns a block's readings and events as lines of JSON. An error means that
// the block is damaged, downsampled, or that one of its schemas is not known.
func JSON(b []byte, schema SchemaFunc, codec *block.Codec) ([][]byte, error) {
	return convert(b, schema, nil, codec, AppendReading, AppendEvent)
}

// Influx returns a block's readings and events in line protocol; it fails as JSON
// does.
func Influx(b []byte, schema SchemaFunc, codec *block.Codec) ([][]byte, error) {
	return convert(b, schema, nil, codec, AppendInflux, AppendInfluxEvent)
}

type (
	readingFunc func(dst []byte, batch *collectors.Batch, series *collectors.Series, v collectors.Value, wallMs int64, quality []string) []byte
	eventFunc   func(dst []byte, batch *collectors.Batch, e *collectors.Event, wallMs int64, quality []string) []byte
)

func convert(raw []byte, schema SchemaFunc, correct HeadFunc, codec *block.Codec, reading readingFunc, event eventFunc) ([][]byte, error) {
	b, err := block.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("converting a block: %w", err)
	}
	if b.Tier != block.Raw {
		return nil, fmt.Errorf("converting a block: it is downsampled to tier %d", b.Tier)
	}
	if correct != nil {
		correct(&b.Head)
	}
	sections, unknown, err := codec.Decode(b, schema, nil)
	if err != nil {
		return nil, fmt.Errorf("converting a block: %w", err)
	}
	if unknown > 0 {
		return nil, fmt.Errorf("converting a block: the schemas of %d of its sections are not known", unknown)
	}
	var p payloads
	for i := range sections {
		for j := range sections[i].Batches {
			batch := &sections[i].Batches[j]
			wall, quality := b.Wall(batch.At), Quality(batch, b.Sure)
			for k := range batch.Values {
				if !batch.Values[k].Missing() {
					p.line(reading(p.open, batch, &batch.Schema.Series[k], batch.Values[k], wall, quality))
				}
			}
			if e := OutcomeEvent(batch); e != nil {
				p.line(event(p.open, batch, e, wall, quality))
			}
			for k := range batch.Events {
				p.line(event(p.open, batch, &batch.Events[k], wall, quality))
			}
		}
	}
	return p.finish(), nil
}

// Quality returns what readings of the batch lack, in the words above; nil when
// nothing.
func Quality(b *collectors.Batch, sure bool) []string {
	partial := b.Outcome.Result == collectors.Partial
	switch {
	case partial && !sure:
		return []string{QualityPartial, QualityClockUnsure}
	case partial:
		return []string{QualityPartial}
	case !sure:
		return []string{QualityClockUnsure}
	}
	return nil
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
	open []byte
	done [][]byte
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
