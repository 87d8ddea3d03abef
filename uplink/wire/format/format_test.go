package format_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/wire/format"
)

const offset = 1_772_366_400_000 // 2026-03-01T12:00:00Z for stamp 0

// maker makes blocks and knows their schemas.
type maker struct {
	t       testing.TB
	codec   *block.Codec
	schemas map[block.ID][]byte
	head    block.Head
}

func newMaker(t testing.TB) *maker {
	t.Helper()
	codec, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(codec.Close)
	return &maker{t: t, codec: codec, schemas: map[block.ID][]byte{},
		head: block.Head{Probe: "t/s", Epoch: 1, Boot: [16]byte{1}, Offset: offset, Sure: true}}
}

func (m *maker) schema(id block.ID) *collectors.Schema {
	_, s, err := m.codec.DecodeSchema(m.schemas[id])
	if err != nil {
		return nil
	}
	return s
}

func (m *maker) section(bs ...collectors.Batch) block.Section {
	m.t.Helper()
	s := block.Section{Batches: bs}
	for _, b := range bs {
		if b.Schema != nil {
			id, bytes, err := m.codec.EncodeSchema(b.Schema)
			if err != nil {
				m.t.Fatal(err)
			}
			s.Schema, m.schemas[id] = id, bytes
		}
	}
	return s
}

func (m *maker) block(sections ...block.Section) []byte {
	m.t.Helper()
	b, err := m.codec.Encode(m.head, sections)
	if err != nil {
		m.t.Fatal(err)
	}
	return b.Bytes
}

func label(kv ...string) (ls []collectors.Label) {
	for i := 0; i < len(kv); i += 2 {
		ls = append(ls, collectors.Label{Name: kv[i], Value: kv[i+1]})
	}
	return ls
}

// sample is a block with every kind of value, missing cells, awkward labels,
// outcomes and events.
func sample(m *maker) []byte {
	sw := &collectors.Schema{Source: "device/core sw", Series: []collectors.Series{
		{Metric: "ifHCInOctets", Unit: "bytes", Kind: collectors.Counter, Labels: label("device", "core sw", "ifIndex", "1", "ifAlias", `to "HQ", 1=a\b`)},
		{Metric: "ifHCInOctets", Unit: "bytes", Kind: collectors.Counter, Labels: label("device", "core sw", "ifIndex", "2", "ifAlias", "two\nlines\x00")},
		{Metric: "temperature", Unit: "celsius", Kind: collectors.Gauge},
		{Metric: "ifOperStatus", Kind: collectors.State, Labels: label("ifIndex", "1", "empty", "")},
		{Metric: "sysDescr", Kind: collectors.Text, Labels: label("device", "core sw")},
	}}
	return m.block(
		m.section(
			collectors.Batch{Source: sw.Source, At: 250, Schema: sw, Values: []collectors.Value{
				collectors.CounterValue(math.MaxUint64), collectors.CounterValue(1234), collectors.GaugeValue(21.5), collectors.StateValue(-1), collectors.TextValue("a \"b\"\\\nü")}},
			collectors.Batch{Source: sw.Source, At: 1250, Schema: sw, Outcome: collectors.Outcome{Result: collectors.Partial, Why: "sysDescr: no answer"}, Values: []collectors.Value{
				{}, collectors.CounterValue(0), collectors.GaugeValue(math.NaN()), {}, {}}},
			collectors.Batch{Source: sw.Source, At: 2250, Outcome: collectors.Outcome{Result: collectors.Failed, Why: "no answer"}},
		),
		m.section(collectors.Batch{Source: "events", At: 3000, Events: []collectors.Event{
			{Kind: "reboot", Severity: collectors.Warning, Text: "The box \"started\".", Labels: label("reason", "power, lost", "source", "shadowed")}}}),
	)
}

func lines(t *testing.T, payloads [][]byte) (out []string) {
	t.Helper()
	for _, p := range payloads {
		if len(p) > format.MaxPayload || len(p) == 0 || p[len(p)-1] != '\n' {
			t.Fatalf("a payload of %d bytes that are not whole lines", len(p))
		}
		out = append(out, strings.Split(strings.TrimSuffix(string(p), "\n"), "\n")...)
	}
	return out
}

func TestGolden(t *testing.T) {
	for name, want := range map[string][]string{
		format.NameJSON: {
			`{"device":"core sw","metric":"ifHCInOctets","labels":{"ifIndex":"1","ifAlias":"to \"HQ\", 1=a\\b"},"value":18446744073709551615,"unit":"bytes","kind":"counter","time":"2026-03-01T12:00:00.250Z","quality":[]}`,
			`{"device":"core sw","metric":"ifHCInOctets","labels":{"ifIndex":"2","ifAlias":"two\nlines\u0000"},"value":1234,"unit":"bytes","kind":"counter","time":"2026-03-01T12:00:00.250Z","quality":[]}`,
			`{"device":"core sw","metric":"temperature","labels":{},"value":21.5,"unit":"celsius","kind":"gauge","time":"2026-03-01T12:00:00.250Z","quality":[]}`,
			`{"device":"core sw","metric":"ifOperStatus","labels":{"ifIndex":"1","empty":""},"value":-1,"unit":"","kind":"state","time":"2026-03-01T12:00:00.250Z","quality":[]}`,
			`{"device":"core sw","metric":"sysDescr","labels":{},"value":"a \"b\"\\\nü","unit":"","kind":"text","time":"2026-03-01T12:00:00.250Z","quality":[]}`,
			`{"device":"core sw","metric":"ifHCInOctets","labels":{"ifIndex":"2","ifAlias":"two\nlines\u0000"},"value":0,"unit":"bytes","kind":"counter","time":"2026-03-01T12:00:01.250Z","quality":["partial"]}`,
			`{"device":"core sw","metric":"temperature","labels":{},"value":null,"unit":"celsius","kind":"gauge","time":"2026-03-01T12:00:01.250Z","quality":["partial"]}`,
			`{"event":{"device":"core sw","source":"device/core sw","kind":"collection_partial","severity":"warning","text":"sysDescr: no answer","labels":{},"time":"2026-03-01T12:00:01.250Z","quality":["partial"]}}`,
			`{"event":{"device":"core sw","source":"device/core sw","kind":"collection_failed","severity":"warning","text":"no answer","labels":{},"time":"2026-03-01T12:00:02.250Z","quality":[]}}`,
			`{"event":{"device":"","source":"events","kind":"reboot","severity":"warning","text":"The box \"started\".","labels":{"reason":"power, lost","source":"shadowed"},"time":"2026-03-01T12:00:03.000Z","quality":[]}}`,
		},
		format.NameInflux: {
			`ifHCInOctets,device=core\ sw,ifIndex=1,ifAlias=to\ "HQ"\,\ 1\=a/b value=18446744073709552000 1772366400250000000`,
			`ifHCInOctets,device=core\ sw,ifIndex=2,ifAlias=two\ lines\  value=1234i 1772366400250000000`,
			`temperature,device=core\ sw value=21.5 1772366400250000000`,
			`ifOperStatus,ifIndex=1,device=core\ sw value=-1i 1772366400250000000`,
			`sysDescr,device=core\ sw value="a \"b\"\\ ü" 1772366400250000000`,
			`ifHCInOctets,device=core\ sw,ifIndex=2,ifAlias=two\ lines\  value=0i,quality="partial" 1772366401250000000`,
			`siteprobe_event,kind=collection_partial,severity=warning,source=device/core\ sw,device=core\ sw text="sysDescr: no answer",quality="partial" 1772366401250000000`,
			`siteprobe_event,kind=collection_failed,severity=warning,source=device/core\ sw,device=core\ sw text="no answer" 1772366402250000000`,
			`siteprobe_event,kind=reboot,severity=warning,source=events,reason=power\,\ lost text="The box \"started\"." 1772366403000000000`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMaker(t)
			convert, err := format.New(name, m.codec, m.schema, nil)
			if err != nil {
				t.Fatal(err)
			}
			payloads, err := convert(sample(m))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, lines(t, payloads)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestUnsureClock(t *testing.T) {
	m := newMaker(t)
	m.head.Sure = false
	s := &collectors.Schema{Source: "box", Series: []collectors.Series{{Metric: "up", Kind: collectors.State}}}
	b := m.block(m.section(collectors.Batch{Source: "box", At: 1, Schema: s, Values: []collectors.Value{collectors.StateValue(1)},
		Outcome: collectors.Outcome{Result: collectors.Partial}}))
	payloads, err := format.JSON(b, m.schema, m.codec)
	if err != nil || !strings.Contains(string(payloads[0]), `"device":"","metric":"up"`) || !strings.Contains(string(payloads[0]), `"quality":["partial","clock_unsure"]`) {
		t.Errorf("%s %v", payloads, err)
	}
	payloads, err = format.Influx(b, m.schema, m.codec)
	if err != nil || !strings.HasPrefix(string(payloads[0]), `up value=1i,quality="partial,clock_unsure" `) {
		t.Errorf("%s %v", payloads, err)
	}
}

// A block that holds much unpacks to many payloads, each of whole lines.
func TestSplits(t *testing.T) {
	m := newMaker(t)
	s := &collectors.Schema{Source: "device/sw"}
	for i := range collectors.MaxSeries {
		s.Series = append(s.Series, collectors.Series{Metric: "m", Kind: collectors.Counter,
			Labels: label("i", fmt.Sprint(i), "pad", strings.Repeat("\x01", 1+i%collectors.MaxText))})
	}
	var bs []collectors.Batch
	for i := range 3 {
		b := collectors.Batch{Source: s.Source, At: collectors.Stamp(i), Schema: s}
		for j := range s.Series {
			b.Values = append(b.Values, collectors.CounterValue(uint64(i*10_000+j)))
		}
		bs = append(bs, b)
	}
	raw := m.block(m.section(bs...))
	for _, name := range []string{format.NameJSON, format.NameInflux} {
		convert, err := format.New(name, m.codec, m.schema, nil)
		if err != nil {
			t.Fatal(err)
		}
		payloads, err := convert(raw)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(lines(t, payloads)); n != 3*collectors.MaxSeries || len(payloads) < 3 {
			t.Errorf("%s: %d lines in %d payloads", name, n, len(payloads))
		}
		again, err := convert(raw)
		if err != nil || !bytes.Equal(bytes.Join(payloads, nil), bytes.Join(again, nil)) {
			t.Errorf("%s: not the same twice: %v", name, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	m := newMaker(t)
	good := sample(m)
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	if _, err := format.JSON(bad, m.schema, m.codec); !errors.Is(err, block.ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
	if _, err := format.Influx(good, func(block.ID) *collectors.Schema { return nil }, m.codec); err == nil {
		t.Error("a block of unknown schemas was converted")
	}
	if _, err := format.New("block", m.codec, m.schema, nil); err == nil {
		t.Error("a converter to block")
	}
}

func TestSchemas(t *testing.T) {
	m := newMaker(t)
	raw := sample(m)
	asked := 0
	schema := format.Schemas(func(id block.ID) ([]byte, error) {
		asked++
		return m.schemas[id], nil
	}, m.codec)
	for range 3 {
		if _, err := format.JSON(raw, schema, m.codec); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("the store was asked %d times", asked)
	}
	if schema(block.ID{1}) != nil {
		t.Error("a schema that is not there")
	}
}

func BenchmarkConvert(b *testing.B) {
	m := newMaker(b)
	s := &collectors.Schema{Source: "device/sw"}
	for i := range 529 {
		s.Series = append(s.Series, collectors.Series{Metric: "ifHCInOctets", Unit: "bytes", Kind: collectors.Counter,
			Labels: label("device", "sw", "ifIndex", fmt.Sprint(i), "ifName", fmt.Sprintf("Gi1/0/%d", i), "ifAlias", "to the server room")})
	}
	x := collectors.Batch{Source: s.Source, Schema: s}
	for i := range s.Series {
		x.Values = append(x.Values, collectors.CounterValue(uint64(i)*1e9))
	}
	raw := m.block(m.section(x))
	schema := format.Schemas(func(id block.ID) ([]byte, error) { return m.schemas[id], nil }, m.codec)
	for _, name := range []string{format.NameJSON, format.NameInflux} {
		convert, err := format.New(name, m.codec, schema, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := convert(raw); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(s.Series)), "ns/reading")
		})
	}
}
