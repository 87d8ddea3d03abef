package snmp

import (
	"math"
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

func TestCellValue(t *testing.T) {
	for _, test := range []struct {
		name string
		v    pdu.Varbind
		kind collectors.Kind
		want string // "-": missing
	}{
		{"counter64", pdu.Varbind{Tag: pdu.TagCounter64, Num: math.MaxUint64}, collectors.Counter, "18446744073709551615"},
		{"a counter sent as an integer", pdu.Varbind{Tag: pdu.TagInteger, Num: 7}, collectors.Counter, "7"},
		{"a negative counter", pdu.Varbind{Tag: pdu.TagInteger, Num: math.MaxUint64}, collectors.Counter, "-"},
		{"a counter sent as text", pdu.Varbind{Tag: pdu.TagOctets, Bytes: []byte("7")}, collectors.Counter, "7"},
		{"a gauge sent as text", pdu.Varbind{Tag: pdu.TagOctets, Bytes: []byte(" 0.12\x00")}, collectors.Gauge, "0.12"},
		{"a counter sent as words", pdu.Varbind{Tag: pdu.TagOctets, Bytes: []byte("seven")}, collectors.Counter, "-"},
		{"infinity", pdu.Varbind{Tag: pdu.TagOctets, Bytes: []byte("Inf")}, collectors.Gauge, "-"},
		{"a state outside its enumeration", pdu.Varbind{Tag: pdu.TagInteger, Num: 7}, collectors.State, "7"},
		{"a negative state", pdu.Varbind{Tag: pdu.TagInteger, Num: math.MaxUint64}, collectors.State, "-1"},
		{"a state sent as a gauge", pdu.Varbind{Tag: pdu.TagGauge32, Num: 2}, collectors.State, "2"},
		{"a gauge", pdu.Varbind{Tag: pdu.TagGauge32, Num: math.MaxUint32}, collectors.Gauge, "4294967295"},
		{"a negative gauge", pdu.Varbind{Tag: pdu.TagInteger, Num: math.MaxUint64 - 4}, collectors.Gauge, "-5"},
		{"a float", pdu.Varbind{Tag: pdu.TagFloat, Num: uint64(math.Float32bits(0.5))}, collectors.Gauge, "0.5"},
		{"a double", pdu.Varbind{Tag: pdu.TagDouble, Num: math.Float64bits(0.1)}, collectors.Gauge, "0.1"},
		{"not a number", pdu.Varbind{Tag: pdu.TagDouble, Num: math.Float64bits(math.NaN())}, collectors.Gauge, "-"},
		{"an identifier", pdu.Varbind{Tag: pdu.TagOID, Bytes: []byte{0x2b, 6}}, collectors.Text, "1.3.6"},
		{"nothing", pdu.Varbind{Tag: pdu.TagNull}, collectors.Text, "-"},
		{"noSuchObject", pdu.Varbind{Tag: pdu.TagNoSuchObject}, collectors.Counter, "-"},
		{"noSuchInstance", pdu.Varbind{Tag: pdu.TagNoSuchInstance}, collectors.Gauge, "-"},
		{"endOfMibView", pdu.Varbind{Tag: pdu.TagEndOfMibView}, collectors.State, "-"},
		{"an unknown tag", pdu.Varbind{}, collectors.Gauge, "-"},
	} {
		o := object{kind: test.kind}
		var c cell
		var text kept
		c.set(&o, &test.v, &text)
		v := c.value(test.kind)
		if test.kind == collectors.Text {
			v = (&special{o: &o, cell: &c, text: &text}).value(test.kind)
		}
		got := v.Format(test.kind)
		if v.Missing() {
			got = "-"
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
