package snmp

import (
	"math"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/siteprobe/siteprobe/collectors"
)

func TestCleanText(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"Gi1/0/1":                      "Gi1/0/1",
		" eth0\x00\x00":                "eth0",
		"\x00\x00":                     "",
		"Büro":                         "Büro",
		"B\xfcro":                      "Büro",
		"line one\r\nline two":         "line one  line two",
		"\x00\x1b\xfe\x01":             "0x1bfe01",
		"a\x00b":                       "0x610062",
		"\x1b[31mred":                  "0x1b5b33316d726564",
		"safe\u202egnp.exe":            "safegnp.exe",
		"\x85\x86":                     "0x8586",
		strings.Repeat("x", 2000):      strings.Repeat("x", collectors.MaxText),
		strings.Repeat("ä", 1100):      strings.Repeat("ä", 127),
		"x" + strings.Repeat("€", 400): "x" + strings.Repeat("€", 84),
	} {
		if got := cleanText([]byte(in)); got != want {
			t.Errorf("cleanText(%.40q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add([]byte("B\xfcro\x00"))
	f.Add([]byte(strings.Repeat("€", 400)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := cleanText(b)
		if !utf8.ValidString(s) || len(s) > collectors.MaxText || strings.ContainsFunc(s, unicode.IsControl) {
			t.Errorf("cleanText(%q) = %q", b, s)
		}
	})
}

func TestCellValue(t *testing.T) {
	for _, test := range []struct {
		name string
		v    varbind
		kind collectors.Kind
		want string // "-": missing
	}{
		{"counter64", varbind{Tag: tagCounter64, Num: math.MaxUint64}, collectors.Counter, "18446744073709551615"},
		{"a counter sent as an integer", varbind{Tag: tagInteger, Num: 7}, collectors.Counter, "7"},
		{"a negative counter", varbind{Tag: tagInteger, Num: math.MaxUint64}, collectors.Counter, "-"},
		{"a counter sent as text", varbind{Tag: tagOctets, Bytes: []byte("7")}, collectors.Counter, "-"},
		{"a state outside its enumeration", varbind{Tag: tagInteger, Num: 7}, collectors.State, "7"},
		{"a negative state", varbind{Tag: tagInteger, Num: math.MaxUint64}, collectors.State, "-1"},
		{"a state sent as a gauge", varbind{Tag: tagGauge32, Num: 2}, collectors.State, "2"},
		{"a gauge", varbind{Tag: tagGauge32, Num: math.MaxUint32}, collectors.Gauge, "4294967295"},
		{"a negative gauge", varbind{Tag: tagInteger, Num: math.MaxUint64 - 4}, collectors.Gauge, "-5"},
		{"a float", varbind{Tag: tagFloat, Num: uint64(math.Float32bits(0.5))}, collectors.Gauge, "0.5"},
		{"a double", varbind{Tag: tagDouble, Num: math.Float64bits(0.1)}, collectors.Gauge, "0.1"},
		{"not a number", varbind{Tag: tagDouble, Num: math.Float64bits(math.NaN())}, collectors.Gauge, "-"},
		{"an identifier", varbind{Tag: tagOID, Bytes: []byte{0x2b, 6}}, collectors.Text, "1.3.6"},
		{"nothing", varbind{Tag: tagNull}, collectors.Text, "-"},
		{"noSuchObject", varbind{Tag: tagNoSuchObject}, collectors.Counter, "-"},
		{"noSuchInstance", varbind{Tag: tagNoSuchInstance}, collectors.Gauge, "-"},
		{"endOfMibView", varbind{Tag: tagEndOfMibView}, collectors.State, "-"},
		{"an unknown tag", varbind{}, collectors.Gauge, "-"},
	} {
		var c cell
		var text string
		c.set(&test.v, &text)
		v := c.value(test.kind, &text)
		got := v.Format(test.kind)
		if v.Missing() {
			got = "-"
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
