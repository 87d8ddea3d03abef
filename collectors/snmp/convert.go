package snmp

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// A conversion is a step of a profile.Convert: a new one goes here where it is of
// numbers, into text.go where it is of octets, and has a line in their tests.

// converts tells whether a Convert has any step. TextForm alone is one.
func converts(c *profile.Convert) bool {
	return len(c.Invalid) > 0 || c.Unsigned || c.Text != profile.Clean || c.Extract != nil || c.Enum != nil ||
		c.Words != nil || c.Sensor != nil || c.Scale != 0 && c.Scale != 1 || c.Offset != 0 || c.Constant
}

// wantsNumber tells whether octets are to be read as a number.
func (o *object) wantsNumber() bool {
	return o.use == metric && o.kind != collectors.Text && (o.form == profile.Plain || o.form == profile.StateSet)
}

// settledKind is the kind of an object's readings where its profile settles it.
func settledKind(o *object) collectors.Kind {
	switch {
	case o.form != profile.Plain || o.conv != nil && (o.conv.Constant || o.conv.Sensor != nil):
		return collectors.Gauge
	case o.kind == collectors.Counter && !wholeSteps(o.conv):
		return collectors.Gauge
	}
	return o.kind
}

// kindOf is the kind of an object that its profile leaves to the device, told by a
// value; 0: it tells nothing.
func kindOf(o *object, tag byte) collectors.Kind {
	c := cell{tag: tag}
	switch _, number := c.float(); {
	case (tag == pdu.TagCounter32 || tag == pdu.TagCounter64) && wholeSteps(o.conv):
		return collectors.Counter
	case number:
		return collectors.Gauge
	}
	return 0
}

// wholeSteps tells whether the steps keep whole numbers whole: only so does a
// counter stay one.
func wholeSteps(c *profile.Convert) bool {
	return c == nil || c.Offset == 0 && (c.Scale == 0 || c.Scale >= 1 && c.Scale == math.Trunc(c.Scale) && c.Scale < 1<<32)
}

// number takes the steps from a value on the wire to a reading.
func (o *object) number(c *cell, kind collectors.Kind, s *sensorRow) collectors.Value {
	conv := o.conv
	if c.tag == 0 {
		return collectors.Value{}
	}
	if conv.Constant {
		return collectors.GaugeValue(1)
	}
	n := *c
	if n.tag == pdu.TagInteger || n.counts() && n.num <= math.MaxInt64 {
		if slices.Contains(conv.Invalid, int64(n.num)) {
			return collectors.Value{}
		}
	}
	if conv.Unsigned && n.tag == pdu.TagInteger && int64(n.num) < 0 && int64(n.num) >= math.MinInt32 {
		n.num += 1 << 32
	}
	switch kind {
	case collectors.Counter:
		if conv.Scale <= 1 || !n.counts() {
			break
		}
		by := uint64(conv.Scale)
		if n.num > math.MaxUint64/by {
			return collectors.Value{}
		}
		return collectors.CounterValue(n.num * by)
	case collectors.Gauge:
		f, ok := n.float()
		if ok && s != nil {
			f, ok = s.scale(f)
		}
		if f = scaled(f, conv.Scale) + conv.Offset; !ok || math.IsNaN(f) || math.IsInf(f, 0) {
			return collectors.Value{}
		}
		return collectors.GaugeValue(f)
	}
	return n.value(kind)
}

// scaled multiplies, or divides where that gives the rounder number: 3 tenths are
// 0.3 and not 0.30000000000000004, which takes more room and tells no more.
func scaled(f, by float64) float64 {
	if by == 0 || by == 1 {
		return f
	}
	if inverse := 1 / by; math.Abs(by) < 1 {
		if r := math.Round(inverse); math.Abs(r-inverse) < 1e-9*math.Abs(r) {
			return f / r
		}
	}
	return f * by
}

// numberOf reads octets, an address or an identifier as a number.
func numberOf(conv *profile.Convert, v *pdu.Varbind) (tag byte, num uint64, ok bool) {
	if conv == nil {
		conv = &profile.Convert{}
	}
	if v.Tag == pdu.TagOctets || v.Tag == pdu.TagOpaque {
		switch conv.Text {
		case profile.HexLE, profile.HexBE:
			n, ok := octetsNumber(v.Bytes, conv.Text)
			return pdu.TagGauge32, n, ok
		case profile.Date, profile.NTP:
			t, ok := instant(v.Bytes, conv.Text, conv.Layout)
			return pdu.TagInteger, uint64(t.Unix()), ok
		}
	}
	text := valueText(v.Tag, v.Num, v.Bytes, conv.Text, conv.Enum)
	if conv.Extract == nil {
		return textNumber(conv, text)
	}
	for e := conv.Extract; e != nil && !ok; e = e.Next {
		if part, matches := extract(e, text); matches {
			tag, num, ok = textNumber(conv, part)
		}
	}
	return tag, num, ok
}

// textNumber reads text as a number: by the profile's words, or as digits.
func textNumber(conv *profile.Convert, text string) (tag byte, num uint64, ok bool) {
	if f, ok := conv.Words[text]; ok {
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 { // a state is a whole number
			return pdu.TagInteger, uint64(int64(f)), true
		}
		return pdu.TagDouble, math.Float64bits(f), true
	}
	for n, word := range conv.Enum {
		if word == text {
			return pdu.TagInteger, uint64(n), true
		}
	}
	return decimal(text)
}

// decimal reads a decimal number, and nothing else that ParseFloat would take.
func decimal(s string) (tag byte, num uint64, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "0123456789.+-eE") != "" {
		return 0, 0, false
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return pdu.TagInteger, uint64(n), true
	}
	f, err := strconv.ParseFloat(s, 64)
	return pdu.TagDouble, math.Float64bits(f), err == nil
}
