package snmp

import (
	"math"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// cell holds what one object of one row gave in this poll. Tag 0 is nothing. There
// is one for each column of each row of each device, so it is small; the text of
// the few objects that have some is kept elsewhere.
type cell struct {
	num uint64 // the last poll's until this one's is there
	tag byte
	// known: it has been seen since the row was, so there is a series for it.
	known bool
	pin   pinState // of a column that stands in for another
	// kind is what the reading is where the profile leaves it to the device: told
	// by its first value.
	kind collectors.Kind
}

// set takes a value over, and its text to where text points. What is absent or
// NULL leaves both as they were.
func (c *cell) set(o *object, v *pdu.Varbind, text *kept) {
	if v.Absent() || v.Tag == pdu.TagNull || v.Tag == 0 {
		return
	}
	if text != nil {
		text.keep(v)
	}
	c.tag, c.num, c.known = v.Tag, v.Num, true
	if isOctets(v.Tag) && o.wantsNumber() {
		if tag, num, ok := numberOf(o.conv, v); ok {
			c.tag, c.num = tag, num
		}
	}
	if o.kind == 0 && c.kind == 0 {
		c.kind = kindOf(o, c.tag)
	}
}

// value is the reading of the kind that the plan says the object has, or a missing
// one where the device sent what cannot be read so.
func (c *cell) value(kind collectors.Kind) collectors.Value {
	switch kind {
	case collectors.Counter:
		if c.counts() {
			return collectors.CounterValue(c.num)
		}
	case collectors.State:
		if c.tag == pdu.TagInteger || c.counts() && c.num <= math.MaxInt64 {
			return collectors.StateValue(int64(c.num))
		}
	case collectors.Gauge:
		if f, ok := c.float(); ok {
			return collectors.GaugeValue(f)
		}
	}
	return collectors.Value{}
}

// counts tells whether the cell holds a whole number that is not negative.
func (c *cell) counts() bool {
	switch c.tag {
	case pdu.TagCounter32, pdu.TagCounter64, pdu.TagGauge32, pdu.TagTimeTicks, pdu.TagUinteger32:
		return true
	case pdu.TagInteger:
		return int64(c.num) >= 0
	}
	return false
}

func (c *cell) float() (f float64, ok bool) {
	switch c.tag {
	case pdu.TagInteger:
		return float64(int64(c.num)), true
	case pdu.TagFloat:
		f = float64(math.Float32frombits(uint32(c.num)))
	case pdu.TagDouble:
		f = math.Float64frombits(c.num)
	case pdu.TagCounter32, pdu.TagCounter64, pdu.TagGauge32, pdu.TagTimeTicks, pdu.TagUinteger32:
		return float64(c.num), true
	default:
		return 0, false
	}
	return f, !math.IsNaN(f) && !math.IsInf(f, 0)
}
