package format_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/wire/format"
)

// rollups makes a block of what batches of one source become.
func rollups(m *maker, tier block.Tier, bs ...collectors.Batch) []byte {
	m.t.Helper()
	r := block.NewRoller(bs[0].Source, tier, m.head.Offset)
	for i := range bs {
		r.Add(&bs[i])
	}
	was := m.head.Tier
	defer func() { m.head.Tier = was }()
	m.head.Tier = tier
	s := m.section(bs...)
	return m.block(block.Section{First: 7, Schema: s.Schema, Rollup: &r.Rollup})
}

// sampleBatches are polls of 20 minutes, every four minutes, of a source that has
// every kind of value; a counter is reset, some polls fail.
func sampleBatches() (bs []collectors.Batch) {
	s := &collectors.Schema{Source: "device/sw", Series: []collectors.Series{
		{Metric: "ifHCInOctets", Unit: "bytes", Kind: collectors.Counter, Labels: label("device", "sw", "ifIndex", "1")},
		{Metric: "temperature", Unit: "celsius", Kind: collectors.Gauge},
		{Metric: "ifOperStatus", Kind: collectors.State, Labels: label("rollup", "mine")},
		{Metric: "sysName", Kind: collectors.Text},
		{Metric: "never", Kind: collectors.Gauge},
	}}
	const every = 4 * 60_000
	for i, total := range []uint64{math.MaxUint64 - 10, math.MaxUint64, 500, 700} {
		b := collectors.Batch{Source: s.Source, At: collectors.Stamp(250 + i*every), Schema: s, Values: []collectors.Value{
			collectors.CounterValue(total), collectors.GaugeValue(20 + float64(i)/2), collectors.StateValue(int64(1 + i%2)), {}, {}}}
		if i == 1 {
			b.Values[3] = collectors.TextValue("sw \"1\"")
			b.Outcome = collectors.Outcome{Result: collectors.Partial, Why: "sysName: cut"}
		}
		bs = append(bs, b)
	}
	failed := collectors.Outcome{Result: collectors.Failed, Why: "no answer"}
	return append(bs, collectors.Batch{Source: s.Source, At: 250 + 4*every, Outcome: failed}, collectors.Batch{Source: s.Source, At: 250 + 5*every, Outcome: failed})
}

func TestRollups(t *testing.T) {
	const end = `"start":"2026-03-01T12:00:00.000Z","width_s":900,"count":`
	for name, want := range map[string][]string{
		format.NameJSON: {
			`{"device":"sw","metric":"ifHCInOctets","labels":{"ifIndex":"1"},"value":18446744073709551605,"unit":"bytes","kind":"counter","time":"2026-03-01T12:00:00.250Z","quality":[]}`,
			`{"device":"sw","metric":"ifHCInOctets","labels":{"ifIndex":"1"},"value":18446744073709551615,"unit":"bytes","kind":"counter","time":"2026-03-01T12:04:00.250Z","quality":[]}`,
			`{"device":"sw","metric":"ifHCInOctets","labels":{"ifIndex":"1"},"value":500,"unit":"bytes","kind":"counter","time":"2026-03-01T12:08:00.250Z","quality":[]}`,
			`{"device":"sw","metric":"ifHCInOctets","labels":{"ifIndex":"1"},"value":700,"unit":"bytes","kind":"counter","time":"2026-03-01T12:12:00.250Z","quality":["rollup","partial"],` + end + `4,"rise":210}`,
			`{"device":"sw","metric":"temperature","labels":{},"value":20.75,"unit":"celsius","kind":"gauge","time":"2026-03-01T12:12:00.250Z","quality":["rollup","partial"],` + end + `4,"min":20,"max":21.5,"sum":83}`,
			`{"device":"sw","metric":"ifOperStatus","labels":{"rollup":"mine"},"value":2,"unit":"","kind":"state","time":"2026-03-01T12:12:00.250Z","quality":["rollup","partial"],` + end + `4,"min":1,"max":2,"sum":6}`,
			`{"device":"sw","metric":"sysName","labels":{},"value":"sw \"1\"","unit":"","kind":"text","time":"2026-03-01T12:04:00.250Z","quality":["rollup","partial"],` + end + `1}`,
			`{"event":{"device":"sw","source":"device/sw","kind":"collection_partial","severity":"warning","text":"sysName: cut","labels":{},"time":"2026-03-01T12:12:00.250Z","quality":["rollup","partial"],` + end + `1}}`,
			`{"event":{"device":"sw","source":"device/sw","kind":"collection_failed","severity":"warning","text":"no answer","labels":{},"time":"2026-03-01T12:20:00.250Z","quality":["rollup"],"start":"2026-03-01T12:15:00.000Z","width_s":900,"count":2}}`,
		},
		format.NameInflux: {
			`ifHCInOctets,device=sw,ifIndex=1 value=18446744073709552000 1772366400250000000`,
			`ifHCInOctets,device=sw,ifIndex=1 value=18446744073709552000 1772366640250000000`,
			`ifHCInOctets,device=sw,ifIndex=1 value=500i 1772366880250000000`,
			`ifHCInOctets,device=sw,ifIndex=1,rollup=15m value=700i,count=4i,rise=210i,start=1772366400000i,quality="rollup,partial" 1772367120250000000`,
			`temperature,device=sw,rollup=15m value=20.75,count=4i,min=20,max=21.5,sum=83,start=1772366400000i,quality="rollup,partial" 1772367120250000000`,
			`ifOperStatus,rollup=mine,device=sw value=2i,count=4i,min=1,max=2,sum=6,start=1772366400000i,quality="rollup,partial" 1772367120250000000`,
			`sysName,device=sw,rollup=15m value="sw \"1\"",count=1i,start=1772366400000i,quality="rollup,partial" 1772366640250000000`,
			`siteprobe_event,kind=collection_partial,severity=warning,source=device/sw,rollup=15m,device=sw text="sysName: cut",count=1i,start=1772366400000i,quality="rollup,partial" 1772367120250000000`,
			`siteprobe_event,kind=collection_failed,severity=warning,source=device/sw,rollup=15m,device=sw text="no answer",count=2i,start=1772367300000i,quality="rollup" 1772367600250000000`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMaker(t)
			convert, err := format.New(name, m.codec, m.schema, nil)
			if err != nil {
				t.Fatal(err)
			}
			payloads, err := convert(rollups(m, block.Quarter, sampleBatches()...))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, lines(t, payloads)); d != "" {
				t.Error(d)
			}
		})
	}
}

// Of a source that never answered there is no schema, and it is told all the same.
func TestRollupWithoutReadings(t *testing.T) {
	m := newMaker(t)
	failed := sampleBatches()[4:]
	payloads, err := format.JSON(rollups(m, block.Hour, failed...), m.schema, m.codec)
	if err != nil || len(lines(t, payloads)) != 1 || !strings.Contains(string(payloads[0]), `"kind":"collection_failed"`) || !strings.Contains(string(payloads[0]), `"width_s":3600,"count":2}}`) {
		t.Errorf("%s %v", payloads, err)
	}
}

// A correction of the clock moves the buckets, and when the first of several events
// was, with the readings.
func TestRollupsOfACorrectedClock(t *testing.T) {
	const by = 1_000_123
	m := newMaker(t)
	m.head.Sure = false
	convert, err := format.New(format.NameJSON, m.codec, m.schema, func(h *block.Head) { h.Offset += by })
	if err != nil {
		t.Fatal(err)
	}
	bs := sampleBatches()[:1]
	payloads, err := convert(rollups(m, block.Quarter, bs...))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines(t, payloads) {
		if !strings.Contains(line, `"time":"2026-03-01T12:16:40.373Z","quality":["rollup","clock_unsure"],"start":"2026-03-01T12:16:40.123Z","width_s":900,"count":1`) {
			t.Error(line)
		}
	}
	m.head.Tier, m.head.Class = block.Quarter, block.Events
	event := m.block(m.section(collectors.Batch{Source: "events", At: 5, Events: []collectors.Event{{Kind: "trap", Labels: label(store.LabelCount, "37", store.LabelFirst, "1000", "port", "1")}}}))
	payloads, err = convert(event)
	if err != nil || !strings.Contains(string(payloads[0]), `"labels":{"count":"37","first_ms":"1001123","port":"1"}`) {
		t.Errorf("%s %v", payloads, err)
	}
	payloads, err = format.Influx(event, m.schema, m.codec)
	if err != nil || string(payloads[0]) != `siteprobe_event,kind=trap,severity=info,source=events,port=1 text="",count=37i,first_ms=1000i,quality="clock_unsure" 1772366400005000000`+"\n" {
		t.Errorf("%s %v", payloads, err)
	}
}

// What many series become is split, too.
func TestRollupsSplit(t *testing.T) {
	m := newMaker(t)
	s := &collectors.Schema{Source: "device/sw"}
	for i := range 500 {
		s.Series = append(s.Series, collectors.Series{Metric: "m", Kind: collectors.Gauge, Labels: label("i", fmt.Sprint(i), "pad", strings.Repeat("\x01", 1+i%collectors.MaxText))})
	}
	var bs []collectors.Batch
	for i := range 8 {
		b := collectors.Batch{Source: s.Source, At: collectors.Stamp(i * 600_000), Schema: s}
		for j := range s.Series {
			b.Values = append(b.Values, collectors.GaugeValue(float64(i+j)))
		}
		bs = append(bs, b)
	}
	raw := rollups(m, block.Quarter, bs...)
	for _, convert := range []func([]byte, format.SchemaFunc, *block.Codec) ([][]byte, error){format.JSON, format.Influx} {
		payloads, err := convert(raw, m.schema, m.codec)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(lines(t, payloads)); n != 5*500 || len(payloads) < 3 {
			t.Errorf("%d lines in %d payloads", n, len(payloads))
		}
	}
}

// FuzzRollup: whatever a device has, each line of its rollups is one JSON object, or
// one line of the protocol, and no payload is too long.
func FuzzRollup(f *testing.F) {
	f.Add("m", "b c", "d\n", 1.5, uint64(3), uint32(60_000))
	f.Add("#m", "rollup", "\\", math.NaN(), uint64(math.MaxUint64), uint32(1))
	f.Add("ü", "device", "=,", math.Inf(1), uint64(0), uint32(3_600_000))
	f.Add("x", "", "", -1e308, uint64(1<<63), uint32(900_000))
	f.Fuzz(func(t *testing.T, metric, name, text string, v float64, n uint64, every uint32) {
		if metric == "" || len(metric) > collectors.MaxName || name == "" || len(name) > collectors.MaxName || len(text) > collectors.MaxText || !utf8.ValidString(metric) || !utf8.ValidString(name) || !utf8.ValidString(text) {
			return
		}
		m := newMaker(t)
		s := &collectors.Schema{Source: "device/x"}
		for _, k := range []collectors.Kind{collectors.Counter, collectors.Gauge, collectors.State, collectors.Text} {
			s.Series = append(s.Series, collectors.Series{Metric: metric, Unit: name, Kind: k, Labels: label(name, text, "kind", k.String())})
		}
		var bs []collectors.Batch
		for i := range 6 {
			b := collectors.Batch{Source: s.Source, At: collectors.Stamp(i) * collectors.Stamp(1+every%(1<<24))}
			if b.Outcome.Result = collectors.Result((n >> i) % 4); b.Outcome.Result != collectors.OK {
				b.Outcome.Why = text
			}
			if b.Outcome.Result < collectors.Failed {
				b.Schema, b.Values = s, []collectors.Value{collectors.CounterValue(n * uint64(i+1)), collectors.GaugeValue(v * float64(i)), collectors.StateValue(int64(n)), collectors.TextValue(text)}
			}
			bs = append(bs, b)
		}
		raw := rollups(m, block.Quarter+block.Tier(n%2), bs...)
		payloads, err := format.JSON(raw, m.schema, m.codec)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines(t, payloads) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%q", line)
			}
		}
		payloads, err = format.Influx(raw, m.schema, m.codec)
		if err != nil {
			t.Fatal(err)
		}
		if all := bytes.Join(payloads, nil); bytes.ContainsAny(all, "\r\x00") || bytes.Contains(all, []byte("NaN")) && !strings.Contains(metric+name+text, "NaN") {
			t.Errorf("%q", all)
		}
	})
}
