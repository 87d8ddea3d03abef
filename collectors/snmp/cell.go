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
	num uint64
	tag byte
	// known: it has been seen since the row was, so there is a series for it.
	known bool
	pin   pinState // of a column that stands in for another
}

// set takes a value over, the text of a text object to where text points. What is
// absent or NULL leaves both as they were.
func (c *cell) set(v *pdu.Varbind, text *string) {
	if v.Absent() || v.Tag == pdu.TagNull || v.Tag == 0 {
		return
	}
	if text != nil {
		if now := v.Text(); now != *text {
			*text = now
		}
	}
	c.tag, c.num, c.known = v.Tag, v.Num, true
}

// value is the reading of the kind that the plan says the object has, or a missing
// one where the device sent what cannot be read so: kinds are never guessed. A
// text object's text is at text.
func (c *cell) value(kind collectors.Kind, text *string) collectors.Value {
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
	case collectors.Text:
		if c.tag != 0 && text != nil {
			return collectors.TextValue(*text)
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
