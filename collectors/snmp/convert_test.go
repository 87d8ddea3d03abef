package snmp

import (
	"math"
	"regexp"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

const (
	counter = collectors.Counter
	gauge   = collectors.Gauge
	state   = collectors.State
	text    = collectors.Text
)

func integer(n int64) pdu.Varbind { return num(pdu.TagInteger, uint64(n)) }

// TestConvert takes every step of a profile.Convert alone and some together.
func TestConvert(t *testing.T) {
	number := regexp.MustCompile(`[0-9.]+`)
	for _, test := range []struct {
		name string
		kind collectors.Kind
		conv profile.Convert
		v    pdu.Varbind
		want string // "-": missing
	}{
		{"as sent: a counter", 0, profile.Convert{}, num(pdu.TagCounter32, 7), "counter 7"},
		{"as sent: ticks", 0, profile.Convert{}, num(pdu.TagTimeTicks, 7), "gauge 7"},
		{"as sent: octets", 0, profile.Convert{}, octets("7.5"), "gauge 7.5"},
		{"as sent: words", 0, profile.Convert{}, octets("on fire"), "-"},
		{"invalid", gauge, profile.Convert{Invalid: []int64{-1, math.MaxInt32}}, integer(math.MaxInt32), "-"},
		{"invalid, negative", gauge, profile.Convert{Invalid: []int64{-1}}, integer(-1), "-"},
		{"not invalid", gauge, profile.Convert{Invalid: []int64{-1}}, integer(-2), "gauge -2"},
		{"invalid as text", gauge, profile.Convert{Invalid: []int64{-1}}, octets("-1"), "-"},
		{"a number no INTEGER can be", gauge, profile.Convert{Invalid: []int64{-1}}, num(pdu.TagCounter64, math.MaxUint64), "gauge 1.8446744073709552e+19"},
		{"unsigned", gauge, profile.Convert{Unsigned: true}, integer(-2147483648), "gauge 2147483648"},
		{"unsigned and scaled", gauge, profile.Convert{Unsigned: true, Scale: 4096}, integer(-1), "gauge 17592186040320"},
		{"unsigned, positive", gauge, profile.Convert{Unsigned: true}, integer(5), "gauge 5"},
		{"tenths", gauge, profile.Convert{Scale: 0.1}, integer(3), "gauge 0.3"},
		{"hundredths of a degree Fahrenheit", gauge, profile.Convert{Scale: 1 / 180.0, Offset: -160 / 9.0}, integer(7700), "gauge 25"},
		{"a counter of kilobytes", counter, profile.Convert{Scale: 1024}, num(pdu.TagCounter32, 5), "counter 5120"},
		{"a counter of kilobytes that is too large", counter, profile.Convert{Scale: 1024}, num(pdu.TagCounter64, math.MaxUint64), "-"},
		{"a counter of tenths is none", counter, profile.Convert{Scale: 0.1}, num(pdu.TagCounter32, 5), "gauge 0.5"},
		{"as sent: a counter of tenths", 0, profile.Convert{Scale: 0.1}, num(pdu.TagCounter32, 5), "gauge 0.5"},
		{"words", gauge, profile.Convert{Words: map[string]float64{"OK": 1}}, octets("OK\x00"), "gauge 1"},
		{"other words", gauge, profile.Convert{Words: map[string]float64{"OK": 1}}, octets("bad"), "-"},
		{"words as a state", state, profile.Convert{Words: map[string]float64{"OK": 1}}, octets("OK"), "state 1"},
		{"words as a state that are no whole numbers", state, profile.Convert{Words: map[string]float64{"OK": 0.5}}, octets("OK"), "-"},
		{"an enumeration's word", state, profile.Convert{Enum: map[int64]string{3: "up"}}, octets("up"), "state 3"},
		{"an enumeration's number", state, profile.Convert{Enum: map[int64]string{3: "up"}}, integer(3), "state 3"},
		{"an enumeration as text", text, profile.Convert{Enum: map[int64]string{3: "up"}}, integer(3), "text up"},
		{"outside the enumeration", text, profile.Convert{Enum: map[int64]string{3: "up"}}, integer(4), "text 4"},
		{"a part of text", gauge, profile.Convert{Extract: &profile.Extract{Pattern: number}}, octets("23.5 C"), "gauge 23.5"},
		{"a part of text that is not there", gauge, profile.Convert{Extract: &profile.Extract{Pattern: number}}, octets("cold"), "-"},
		{"the next extract", gauge, profile.Convert{Extract: &profile.Extract{Pattern: regexp.MustCompile(`^(\w+)!`), Template: "$1", Next: &profile.Extract{Pattern: number}}}, octets("hot! 99"), "gauge 99"},
		{"a template", text, profile.Convert{Extract: &profile.Extract{Pattern: regexp.MustCompile(`(\d+)\.(\d+)`), Template: "v$2-$1"}}, octets("4.7"), "text v7-4"},
		{"constant", 0, profile.Convert{Constant: true}, octets("whatever"), "gauge 1"},
		{"a MAC", text, profile.Convert{Text: profile.MAC}, octets("\x00\x1b\x44\x11\x3a\xb7"), "text 00:1B:44:11:3A:B7"},
		{"an address", text, profile.Convert{Text: profile.IP}, octets("\xc0\xa8\x0a\x01"), "text 192.168.10.1"},
		{"an IPv6 address", text, profile.Convert{Text: profile.IP}, octets("\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), "text 2001:0DB8:0000:0000:0000:0000:0000:0001"},
		{"no address", text, profile.Convert{Text: profile.IP}, octets("abc"), "text "},
		{"hex", text, profile.Convert{Text: profile.Hex}, octets("\x0a\x0b"), "text 0x0A0B"},
		{"BITS", text, profile.Convert{Text: profile.BitNames, Enum: map[int64]string{0: "a", 1: "b", 9: "c"}}, octets("\x80\x40"), "text a,c"},
		{"little-endian", gauge, profile.Convert{Text: profile.HexLE}, octets("\x01\x02"), "gauge 513"},
		{"big-endian", gauge, profile.Convert{Text: profile.HexBE}, octets("\x01\x02"), "gauge 258"},
		{"nine octets", gauge, profile.Convert{Text: profile.HexBE}, octets("123456789"), "-"},
		{"a date", gauge, profile.Convert{Text: profile.Date}, octets("\x07\xe8\x02\x1d\x0c\x00\x00\x00"), "gauge 1709208000"},
		{"a date with a zone", gauge, profile.Convert{Text: profile.Date}, octets("\x07\xe8\x02\x1d\x0c\x00\x00\x00+\x01\x00"), "gauge 1709204400"},
		{"a date as text", text, profile.Convert{Text: profile.Date}, octets("\x07\xe8\x02\x1d\x0c\x00\x00\x00+\x01\x00"), "text 2024-02-29T12:00:00+01:00"},
		{"no date", gauge, profile.Convert{Text: profile.Date}, octets("\x07\xe8\x00\x1d\x0c\x00\x00\x00"), "-"},
		{"a date in a layout", gauge, profile.Convert{Text: profile.Date, Layout: "01/02/2006"}, octets("02/29/2024"), "gauge 1709164800"},
		{"NTP", gauge, profile.Convert{Text: profile.NTP}, octets("\x83\xaa\x7e\x80\x00\x00\x00\x00"), "gauge 0"},
		{"an identifier", text, profile.Convert{}, pdu.Varbind{Tag: pdu.TagOID, Bytes: []byte{0x2b, 6}}, "text 1.3.6"},
		{"hostile text", text, profile.Convert{}, octets("a\u202eb\r\nc"), "text ab  c"},
	} {
		conv := test.conv
		o := object{kind: test.kind, from: &profile.Metric{}, typeOf: -1}
		if converts(&conv) {
			o.conv = &conv
		}
		o.kind = settledKind(&o)
		tab := &table{plan: &tablePlan{objects: []object{o}, texts: 1}}
		tab.plan.objects[0].text = 0
		r := &row{cells: make([]cell, 1), texts: make([]kept, 1)}
		tab.set(r, 0, &test.v)
		got := "-"
		if tab.has(r, 0) {
			series, slots := seriesOf(tab, r, 0, nil)
			p := newPart("x")
			p.add(series, slots)
			p.finish()
			if v := p.values()[0]; !v.Missing() {
				got = series[0].Kind.String() + " " + v.Format(series[0].Kind)
			}
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestScaledIsRound(t *testing.T) {
	for tenths := range 2000 {
		if got, want := scaled(float64(tenths), 0.1), float64(tenths)/10; got != want {
			t.Fatalf("%d tenths are %v", tenths, got)
		}
	}
	if got := scaled(5, -0.5); got != -2.5 {
		t.Errorf("scaled by -0.5: %v", got)
	}
}

func TestSensorScale(t *testing.T) {
	for _, test := range []struct {
		exponent int
		value    float64
		want     float64
		good     bool
	}{
		{0, 42, 42, true}, {-1, 235, 23.5, true}, {-3, 12345, 12.345, true}, {3, 2, 2000, true},
		{-1, 1e9, 0, false}, {-1, -1e9, 0, false}, {0, math.MaxInt32, 0, false},
	} {
		s := sensorRow{exponent: test.exponent}
		if got, good := s.scale(test.value); got != test.want || good != test.good {
			t.Errorf("%v at 10^%d: %v %v, want %v %v", test.value, test.exponent, got, good, test.want, test.good)
		}
	}
	down := sensorRow{status: &cell{tag: pdu.TagInteger, num: 2}}
	if _, good := down.scale(5); good {
		t.Error("a sensor that says it is unavailable has a reading")
	}
}

func TestDateAndTimeIsStrict(t *testing.T) {
	for _, bad := range []string{"", "\x07\xe8\x0d\x1d\x0c\x00\x00\x00", "\x07\xe8\x02\x1d\x18\x00\x00\x00", "\x07\xe8\x02\x1d\x0c\x00\x00\x00*\x01\x00", "\x07\xe8\x02\x1d\x0c\x00\x00\x00+\x20\x00"} {
		if at, ok := dateAndTime([]byte(bad)); ok {
			t.Errorf("% x is %s", bad, at.Format(time.RFC3339))
		}
	}
}

func TestKept(t *testing.T) {
	var k kept
	v := octets("Gi1/0/1")
	k.keep(&v)
	if n := testing.AllocsPerRun(10, func() { k.keep(&v) }); n != 0 {
		t.Errorf("%v allocations of text that stays", n)
	}
	if n := testing.AllocsPerRun(10, func() { _ = k.text(profile.Clean, nil) }); n != 0 {
		t.Errorf("%v allocations of text that needs no work", n)
	}
	for _, test := range []struct {
		v    pdu.Varbind
		want string
	}{
		{num(pdu.TagGauge32, 5), "5"}, {integer(-5), "-5"}, {pdu.Varbind{Tag: pdu.TagIPAddress, Bytes: []byte{10, 0, 0, 1}}, "10.0.0.1"},
		{octets(" x "), "x"}, {octets(""), ""}, {pdu.Varbind{Tag: pdu.TagOctets}, ""}, {pdu.Varbind{Tag: pdu.TagOID}, ""},
		{num(pdu.TagDouble, math.Float64bits(0.5)), "0.5"},
	} {
		if k.keep(&test.v); k.text(profile.Clean, nil) != test.want {
			t.Errorf("%v is %q, want %q", test.v, k.text(profile.Clean, nil), test.want)
		}
	}
}
