package block

import (
	"errors"
	"math"
	"unicode/utf8"

	"github.com/siteprobe/siteprobe/collectors"
)

// The bounds of a rollup that is decoded.
const (
	maxBuckets = 1<<12 - 1
	maxRolled  = 1 << 17 // buckets, cells and readings that stay, of a whole block
)

// The parts of a rollup, each with contexts of its own beside those of the metric.
const (
	ofLast = iota + 1
	ofCount
	ofLag
	ofRise
	ofMin
	ofMax
	ofSum
	ofFallen
	ofFallenAt
)

var errRollup = errors.New("its rollup is out of bounds")

// rollup codes one section of a coarser tier. Cover tells its source and how many
// batches it has; width and offset where its buckets can lie; left is how much the
// block may still hold, and is taken from before memory is.
func (m *model) rollup(r *Rollup, s *collectors.Schema, t0 collectors.Stamp, width, offset int64, left *int) error {
	n := int(m.raw(uint64(len(r.Buckets)), 12))
	cells := n
	if s != nil {
		cells += n * len(s.Series)
	}
	if *left -= cells; n == 0 || *left < 0 {
		return errRollup
	}
	if m.decoding {
		r.Buckets, r.Schema = make([]Bucket, n), s
	}
	if err := m.buckets(r, t0, width, offset); err != nil {
		return err
	}
	if m.overrun() {
		return errRollup
	}
	if s == nil {
		return nil
	}
	m.series += uint64(len(s.Series))
	if m.decoding {
		r.Lines = make([]Line, len(s.Series))
		cells := make([]Cell, n*len(s.Series))
		for i := range r.Lines {
			r.Lines[i].Cells = cells[i*n : (i+1)*n : (i+1)*n]
		}
	}
	for i := range s.Series {
		if err := m.line(&s.Series[i], r, &r.Lines[i], t0, left); err != nil {
			return err
		}
		if m.overrun() {
			return errRollup
		}
	}
	if m.decoding {
		return r.validate()
	}
	return nil
}

// validate tells whether a rollup that was decoded can be true.
func (r *Rollup) validate() error {
	last := int64(math.MinInt64)
	for i := range r.Buckets {
		b := &r.Buckets[i]
		if b.Start <= last || b.Last < r.T0 || b.Last > r.T1 || b.Full > r.Batches || !utf8.ValidString(b.Why) {
			return errRollup
		}
		last = b.Start
	}
	within := func(at collectors.Stamp) bool { return at >= r.T0 && at <= r.T1 }
	for i := range r.Lines {
		l := &r.Lines[i]
		for j := range l.Cells {
			if c := &l.Cells[j]; c.Count > r.Buckets[j].Full || c.Count > 0 && !within(c.LastAt) {
				return errRollup
			}
		}
		if !l.First.Missing() && !within(l.FirstAt) {
			return errRollup
		}
		for _, x := range l.Fallen {
			if !within(x.At) {
				return errRollup
			}
		}
	}
	return nil
}

// buckets codes when the buckets are and how the polls in them went.
func (m *model) buckets(r *Rollup, t0 collectors.Stamp, width, offset int64) error {
	part := func(name string, get func(i int) uint64, set func(i int, v uint64)) {
		m.part(column{name, 0}, len(r.Buckets), get, set)
	}
	// A rollup's own times first: from the head's lowest stamp.
	times := []*collectors.Stamp{&r.T0, &r.T1}
	m.part(column{"span", 0}, len(times), func(i int) uint64 { return uint64(*times[i] - t0) },
		func(i int, v uint64) { *times[i] = t0 + collectors.Stamp(v) })
	if r.T0 < t0 || r.T1 < r.T0 || r.T1 > 1<<45 { // as the head's bounds
		return errRollup
	}
	base := int64(t0) + offset
	base -= floorMod(base, width)
	last := base
	part("start", func(i int) uint64 {
		d := (r.Buckets[i].Start - last) / width
		last = r.Buckets[i].Start
		return uint64(d)
	}, func(i int, v uint64) {
		last += int64(min(v, 1<<20)) * width
		r.Buckets[i].Start = last
	})
	part("last", func(i int) uint64 { return uint64(int64(r.Buckets[i].Last) + offset - r.Buckets[i].Start) },
		func(i int, v uint64) {
			r.Buckets[i].Last = collectors.Stamp(r.Buckets[i].Start - offset + int64(min(v, uint64(width))))
		})
	for k := range 4 {
		part(collectors.Result(k).String(), func(i int) uint64 { return uint64(r.Buckets[i].Polls[k]) },
			func(i int, v uint64) { r.Buckets[i].Polls[k] = uint32(v) })
	}
	part("empty", func(i int) uint64 { return uint64(r.Buckets[i].Polls[0]) - uint64(r.Buckets[i].Full) },
		func(i int, v uint64) { r.Buckets[i].Full = r.Buckets[i].Polls[0] - uint32(v) })
	why := m.context(column{"why", 0})
	text, polls := "", uint64(0)
	for i := range r.Buckets {
		b := &r.Buckets[i]
		text = m.string(&why.text, text, i > 0, b.Why)
		b.Why = text
		polls += uint64(b.Polls[0]) + uint64(b.Polls[1]) + uint64(b.Polls[2]) + uint64(b.Polls[3])
	}
	if polls != uint64(r.Batches) {
		return errRollup
	}
	return nil
}

// part codes one number of each of n things.
func (m *model) part(k column, n int, get func(i int) uint64, set func(i int, v uint64)) *lane {
	x := &m.lanes[0]
	x.resize(n)
	clear(x.missing)
	if !m.decoding {
		for i := range n {
			x.v[i] = get(i)
		}
	}
	m.lane(m.context(k), x, nil, nil)
	if m.decoding {
		for i := range n {
			set(i, x.v[i])
		}
	}
	return x
}

// line codes one series.
func (m *model) line(e *collectors.Series, r *Rollup, l *Line, t0 collectors.Stamp, left *int) error {
	n := len(r.Buckets)
	of := func(p int) column { return column{e.Metric, e.Kind | collectors.Kind(p<<3)} }
	part := func(p int, get func(i int) uint64, set func(i int, v uint64)) { m.part(of(p), n, get, set) }
	part(ofCount, func(i int) uint64 { return uint64(r.Buckets[i].Full) - uint64(l.Cells[i].Count) },
		func(i int, v uint64) { l.Cells[i].Count = r.Buckets[i].Full - uint32(v) })
	part(ofLag, func(i int) uint64 { return lag(&r.Buckets[i], &l.Cells[i]) },
		func(i int, v uint64) {
			if l.Cells[i].Count > 0 {
				l.Cells[i].LastAt = r.Buckets[i].Last - collectors.Stamp(min(v, 1<<45))
			}
		})
	any := false
	for i := range l.Cells {
		any = any || l.Cells[i].Count > 0
	}
	if any {
		m.part(of(ofFallenAt), 1, func(int) uint64 { return uint64(l.FirstAt - t0) },
			func(_ int, v uint64) { l.FirstAt = t0 + collectors.Stamp(min(v, 1<<45)) })
	}
	if e.Kind == collectors.Text {
		m.rolledTexts(m.context(of(ofLast)), l, any)
		return nil
	}
	code := codeOf(e.Kind, l)
	if e.Kind != collectors.Counter {
		code.scale = m.small(&m.context(of(ofLast)).scale, code.scale)
	}
	m.lasts(m.context(of(ofLast)), l, any, code)
	switch e.Kind {
	case collectors.Counter:
		before := l.First.Counter()
		risen := func(i int) uint64 { // what it rose by, if it only rose
			if l.Cells[i].Count == 0 {
				return 0
			}
			last := l.Cells[i].Last.Counter()
			d := last - before
			before = last
			return d
		}
		part(ofRise, func(i int) uint64 { return l.Cells[i].Rise - risen(i) },
			func(i int, v uint64) { l.Cells[i].Rise = v + risen(i) })
	default:
		last := func(i int) uint64 { return code.to(l.Cells[i].Last) }
		number := func(f float64) uint64 { return code.number(f) }
		part(ofMin, func(i int) uint64 { return last(i) - number(l.Cells[i].Min) }, func(i int, v uint64) { l.Cells[i].Min = code.float(last(i) - v) })
		part(ofMax, func(i int) uint64 { return number(l.Cells[i].Max) - last(i) }, func(i int, v uint64) { l.Cells[i].Max = code.float(v + last(i)) })
		part(ofSum, func(i int) uint64 { return number(l.Cells[i].Sum) - code.times(last(i), l.Cells[i].Count) },
			func(i int, v uint64) { l.Cells[i].Sum = code.float(v + code.times(last(i), l.Cells[i].Count)) })
		for i := range l.Cells { // empty ones have no bounds
			if c := &l.Cells[i]; c.Count == 0 {
				c.Min, c.Max, c.Sum = 0, 0, 0
			}
		}
	}
	return m.fallen(of, l, code, t0, left)
}

// lag is how long before the bucket's last batch the series was read last.
func lag(b *Bucket, c *Cell) uint64 {
	if c.Count == 0 {
		return 0
	}
	return uint64(b.Last - c.LastAt)
}

// lasts codes the first reading and the last one of each bucket, as one series.
func (m *model) lasts(k *metric, l *Line, any bool, code code) {
	x := &m.lanes[0]
	x.resize(len(l.Cells) + 1)
	x.missing[0] = !any
	v := code.to(l.First)
	x.v[0] = v
	for i := range l.Cells {
		if x.missing[i+1] = l.Cells[i].Count == 0; !x.missing[i+1] {
			v = code.to(l.Cells[i].Last)
		}
		x.v[i+1] = v
	}
	m.lane(k, x, nil, nil)
	if !m.decoding {
		return
	}
	if any {
		l.First = code.from(x.v[0])
	}
	for i := range l.Cells {
		if l.Cells[i].Count > 0 {
			l.Cells[i].Last = code.from(x.v[i+1])
		}
	}
}

// fallen codes the readings that stay.
func (m *model) fallen(of func(int) column, l *Line, code code, t0 collectors.Stamp, left *int) error {
	n := uint64(len(l.Fallen))
	m.part(of(ofFallen), 1, func(int) uint64 { return n }, func(_ int, v uint64) { n = v })
	if n > uint64(*left) {
		return errRollup
	}
	if *left -= int(n); n == 0 {
		return nil
	}
	if m.decoding {
		l.Fallen = make([]Reading, n)
	}
	at := t0
	m.part(of(ofFallenAt), len(l.Fallen), func(i int) uint64 {
		d := l.Fallen[i].At - at
		at = l.Fallen[i].At
		return uint64(d)
	}, func(i int, v uint64) {
		at += collectors.Stamp(min(v, 1<<45))
		l.Fallen[i].At = at
	})
	if at > 1<<45 {
		return errRollup
	}
	m.part(of(ofLast), len(l.Fallen), func(i int) uint64 { return code.to(l.Fallen[i].V) }, func(i int, v uint64) { l.Fallen[i].V = code.from(v) })
	return nil
}

func (m *model) rolledTexts(k *metric, l *Line, any bool) {
	last := ""
	if any {
		last = m.string(&k.text, last, false, l.First.Text())
		l.First = collectors.TextValue(last)
	}
	for i := range l.Cells {
		if c := &l.Cells[i]; c.Count > 0 {
			last = m.string(&k.text, last, true, c.Last.Text())
			c.Last = collectors.TextValue(last)
		}
	}
}

// code turns a series' values into integers and back.
type code struct {
	kind  collectors.Kind
	scale uint32 // of gauges: decimals, or asBits
}

// codeOf finds the code of a line to be encoded.
func codeOf(kind collectors.Kind, l *Line) code {
	c := code{kind: kind}
	if kind == collectors.Counter {
		return c
	}
	take := func(f float64) {
		if kind == collectors.State && !isDecimal(f, 0) {
			c.scale = asBits
		}
		for c.scale != asBits && !isDecimal(f, int(c.scale)) {
			if c.scale++; int(c.scale) == len(pow10) {
				c.scale = asBits
			}
		}
	}
	value := func(v collectors.Value) {
		if kind == collectors.Gauge {
			take(v.Gauge())
		}
	}
	if !l.First.Missing() {
		value(l.First)
	}
	for i := range l.Cells {
		if x := &l.Cells[i]; x.Count > 0 {
			value(x.Last)
			take(x.Sum)
			take(x.Min)
			take(x.Max)
		}
	}
	return c
}

func (c code) to(v collectors.Value) uint64 {
	if c.kind == collectors.Gauge && c.scale != asBits {
		return c.number(v.Gauge())
	}
	return v.Counter()
}

func (c code) from(n uint64) collectors.Value {
	switch c.kind {
	case collectors.Counter:
		return collectors.CounterValue(n)
	case collectors.State:
		return collectors.StateValue(int64(n))
	}
	return collectors.GaugeValue(c.float(n))
}

// number is a sum or bound as an integer.
func (c code) number(f float64) uint64 {
	switch {
	case c.scale == asBits:
		return math.Float64bits(f)
	}
	return uint64(int64(math.Round(f * pow10[c.scale])))
}

func (c code) float(n uint64) float64 {
	switch {
	case c.scale == asBits:
		return math.Float64frombits(n)
	}
	return float64(int64(n)) / pow10[c.scale]
}

// times is what a sum would be were all readings like the last.
func (c code) times(last uint64, count uint32) uint64 {
	if c.scale == asBits {
		return last
	}
	return last * uint64(count)
}
