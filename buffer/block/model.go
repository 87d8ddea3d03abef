package block

import (
	"errors"
	"math"

	"github.com/siteprobe/siteprobe/collectors"
)

// model codes the values of a block's sections, one after the other, and learns
// while it does so.
type model struct {
	*coder
	metrics [maxMetrics]*metric
	named   map[column]int      // metric and kind -> index of metrics
	after   [maxMetrics]follows // by index: what came after it when it came last
	series  uint64              // so many of all schemas so far
	at      int                 // index of the metric that came last
	time    metric
	lanes   [3]lane // this series and the two before it, in turns
}

type column struct {
	name string
	kind collectors.Kind
}

// maxMetrics bounds the memory of a model. Where a block has more, several share
// what is learned.
const maxMetrics = 128

// model returns a model that knows nothing.
func (c *Codec) model(x *coder) *model {
	m, ok := c.models.Get().(*model)
	if !ok {
		m = &model{named: map[column]int{}}
	}
	m.coder = x
	return m
}

// free takes a model back.
func (c *Codec) free(m *model) {
	m.coder = nil
	m.time, m.at, m.series = metric{}, 0, 0
	for i := range min(len(m.named), maxMetrics) {
		*m.metrics[i] = metric{}
	}
	clear(m.named)
	clear(m.after[:])
	c.models.Put(m)
}

// follows is a metric that came after another: it mostly does so again.
type follows struct {
	column
	i int
}

// context returns what was learned of a column.
func (m *model) context(k column) *metric {
	if f := m.after[m.at]; f.column == k {
		m.at = f.i
		return m.metrics[f.i]
	}
	i, ok := m.named[k]
	if !ok {
		i = len(m.named) % maxMetrics
		m.named[k] = i
		if m.metrics[i] == nil {
			m.metrics[i] = &metric{}
		}
	}
	m.after[m.at] = follows{k, i}
	m.at = i
	return m.metrics[i]
}

// stamps codes the batches' times.
func (m *model) stamps(bs []collectors.Batch, t0 collectors.Stamp) error {
	x := &m.lanes[0]
	x.resize(len(bs))
	clear(x.missing)
	for i := range bs {
		x.v[i] = uint64(bs[i].At - t0)
	}
	m.lane(&m.time, x, nil, nil)
	for i := range bs {
		if m.decoding {
			if x.missing[i] || x.v[i] > 1<<45 {
				return errors.New("a stamp is out of range")
			}
			bs[i].At = t0 + collectors.Stamp(x.v[i])
		}
	}
	return nil
}

// values codes the values of batches of one schema, series by series. When
// decoding and keep is false they are passed over.
func (m *model) values(s *collectors.Schema, rows []*collectors.Batch, keep bool) error {
	if m.decoding && keep {
		for _, b := range rows {
			b.Schema, b.Values = s, make([]collectors.Value, len(s.Series))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	m.series += uint64(len(s.Series))
	var beside, beyond *lane
	turn := 0
	for i := range s.Series {
		e := &s.Series[i]
		k := m.context(column{e.Metric, e.Kind})
		if e.Kind == collectors.Text {
			m.texts(k, i, rows, keep)
			continue
		}
		x := &m.lanes[turn%len(m.lanes)]
		turn++
		x.resize(len(rows))
		scale := uint32(0)
		if !m.decoding {
			scale = fill(x, e.Kind, i, rows)
		}
		if e.Kind == collectors.Gauge {
			scale = m.small(&k.scale, scale)
		}
		m.lane(k, x, beside, beyond)
		if m.decoding && keep {
			pour(x, e.Kind, scale, i, rows)
		}
		if m.overrun() {
			return errors.New("its values end early")
		}
		beside, beyond = x, beside
	}
	return nil
}

// asBits says in place of a scale that gauges are kept as the bits of their floats.
const asBits = 7

// fill takes a series out of the batches, as integers; of gauges scale tells how.
func fill(x *lane, kind collectors.Kind, series int, rows []*collectors.Batch) (scale uint32) {
	if kind == collectors.Gauge {
		scale = decimals(series, rows)
	}
	last := uint64(0)
	for i, b := range rows {
		v := &b.Values[series]
		x.missing[i] = v.Missing()
		switch {
		case x.missing[i]:
		case kind == collectors.Gauge && scale != asBits:
			last = uint64(int64(math.Round(v.Gauge() * pow10[scale])))
		default:
			last = v.Counter()
		}
		x.v[i] = last
	}
	return scale
}

// pour is the inverse of fill.
func pour(x *lane, kind collectors.Kind, scale uint32, series int, rows []*collectors.Batch) {
	for i, b := range rows {
		switch {
		case x.missing[i]:
		case kind == collectors.State:
			b.Values[series] = collectors.StateValue(int64(x.v[i]))
		case kind == collectors.Counter:
			b.Values[series] = collectors.CounterValue(x.v[i])
		case scale == asBits:
			b.Values[series] = collectors.GaugeValue(math.Float64frombits(x.v[i]))
		default:
			b.Values[series] = collectors.GaugeValue(float64(int64(x.v[i])) / pow10[scale])
		}
	}
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}

// decimals returns the smallest power of ten that makes every gauge of the series
// an integer that reads back to the very same float, asBits where none does.
func decimals(series int, rows []*collectors.Batch) uint32 {
	scale := 0
	for _, b := range rows {
		v := &b.Values[series]
		if v.Missing() {
			continue
		}
		for !isDecimal(v.Gauge(), scale) {
			if scale++; scale == len(pow10) {
				return asBits
			}
		}
	}
	return uint32(scale)
}

func isDecimal(f float64, scale int) bool {
	n := math.Round(f * pow10[scale])
	return math.Abs(n) < 1<<53 && n/pow10[scale] == f && (n != 0 || !math.Signbit(f))
}

// texts codes a series of texts.
func (m *model) texts(k *metric, series int, rows []*collectors.Batch, keep bool) {
	last, began, was := "", false, uint32(0)
	for _, b := range rows {
		var v collectors.Value
		if !m.decoding {
			v = b.Values[series]
		}
		if was = m.bit(&k.missing[2*was], flag(v.Missing())); was != 0 {
			continue
		}
		last = m.string(&k.text, last, began, v.Text())
		if began = true; m.decoding && keep {
			b.Values[series] = collectors.TextValue(last)
		}
	}
}

// end codes what must be so at the end: who decodes with schemas other than those it
// was encoded with would read nonsense, and who stops early has not read all.
func (m *model) end() error {
	if n := m.raw(m.series&255, 8); n != m.series&255 || m.decoding && m.pos < len(m.buf) || m.overrun() {
		return errors.New("its values are not those of the schema")
	}
	return nil
}
