package snmp

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// layout is the order in which a device's readings are emitted: parts of at most
// collectors.MaxSeries series, each with a schema of its own. It is made anew
// only when rows, their names or what they have changes, and a part that comes
// out as it was keeps its schema.
type layout struct {
	parts []*part
	// used: of all the device's columns, those that there are series of, and those
	// that did not come to their end: what they lack is to be seen in each poll.
	used []bool
	cut  bool // there were more series than are kept
	// empty names the tables that came to their end and that there are no series of.
	empty []string
}

// slot is where one series' value is found.
type slot struct {
	cell    *cell
	special *special // of a series whose value is not what the cell holds; else nil
}

// special is a series whose reading is made of what the device sent.
type special struct {
	series int
	o      *object
	cell   *cell
	text   *kept
	form   profile.TextForm
	arg    int64 // of a state set the state, of bits the bit
	sensor *sensorRow
}

// value makes the reading.
func (s *special) value(kind collectors.Kind) collectors.Value {
	switch {
	case s.cell.tag == 0:
		return collectors.Value{}
	case s.o.form == profile.Info:
		return collectors.GaugeValue(1)
	case s.o.form == profile.StateSet:
		if s.cell.tag != pdu.TagInteger && !s.cell.counts() {
			return collectors.Value{}
		}
		return truth(int64(s.cell.num) == s.arg)
	case s.o.form == profile.Bits:
		return truth(s.text.bit(s.arg))
	case kind == collectors.Text:
		return collectors.TextValue(s.o.plainText(*s.text, s.form))
	}
	return s.o.number(s.cell, kind, s.sensor)
}

func truth(is bool) collectors.Value {
	if is {
		return collectors.GaugeValue(1)
	}
	return collectors.GaugeValue(0)
}

// plainText is the text of an object, in its own form.
func (o *object) plainText(k kept, form profile.TextForm) string {
	if o.conv == nil {
		return k.text(profile.Clean, nil)
	}
	if o.conv.Layout != "" && k != "" {
		if t, ok := instant([]byte(k[1:]), form, o.conv.Layout); ok {
			return t.Format(time.RFC3339)
		}
		return ""
	}
	return extracted(o.conv.Extract, k.text(form, o.conv.Enum))
}

const (
	maxDeviceSeries = 1 << 16 // of one device
	maxTogether     = 128     // that are never parted, of one row
)

type layoutBuilder struct {
	source string
	labels labelling
	used   []bool
	layout layout
	series int
	seed   maphash.Seed
	seen   map[uint64]struct{} // series, by their hash
}

// once tells whether a series is not there yet: no two of a source are alike.
func (b *layoutBuilder) once(s *collectors.Series) bool {
	if b.seen == nil {
		b.seed, b.seen = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	var h maphash.Hash
	h.SetSeed(b.seed)
	word := func(w string) { _, _ = h.WriteString(w); _ = h.WriteByte(0) }
	word(s.Metric)
	for _, l := range s.Labels {
		word(l.Name)
		word(l.Value)
	}
	_, twice := b.seen[h.Sum64()]
	b.seen[h.Sum64()] = struct{}{}
	return !twice
}

// alone adds a series that no object of the plan stands for.
func (b *layoutBuilder) alone(name, unit string, c *cell) {
	labels := slices.Concat(b.labels.device, b.labels.extra)
	b.add([]collectors.Series{{Metric: name, Unit: unit, Kind: collectors.Gauge, Labels: labels}}, []slot{{cell: c}})
}

// table adds the series of all rows. Those of one row stay together.
func (b *layoutBuilder) table(t *table, device []labelPlan) {
	for c := range t.cols {
		b.used[t.first+c] = t.cols[c].state == open || t.cols[c].state == broken
	}
	if t.plan.lookup {
		return
	}
	any := false
	for i := range t.rows {
		r := &t.rows[i]
		var labels []collectors.Label
		var series []collectors.Series
		var slots []slot
		for k := range t.plan.objects {
			if !t.has(r, k) {
				continue
			}
			o := &t.plan.objects[k]
			if t.cols != nil {
				b.used[t.first+o.column] = true
			}
			mine := labels
			switch {
			case len(o.labels) > 0:
				mine = b.labels.of(t, r, o.labels, t.plan.labels, device)
			case labels == nil:
				labels = b.labels.of(t, r, t.plan.labels, device)
				mine = labels
			}
			more, at := seriesOf(t, r, k, mine)
			for n := range more {
				if b.once(&more[n]) {
					series, slots = append(series, more[n]), append(slots, at[n])
					continue
				}
				// A row whose labels do not tell it from another bears its index.
				more[n].Labels = with(more[n].Labels, "index", string(pdu.AppendIndex(nil, r.index)))
				if b.once(&more[n]) {
					series, slots = append(series, more[n]), append(slots, at[n])
				}
			}
		}
		any = any || len(series) > 0
		b.add(series, slots)
	}
	if !any && t.cols != nil && t.whole() && !slices.Contains(b.layout.empty, t.plan.name) {
		b.layout.empty = append(b.layout.empty, t.plan.name)
	}
}

// seriesOf gives the series of one object of a row.
func seriesOf(t *table, r *row, k int, labels []collectors.Label) ([]collectors.Series, []slot) {
	o, c := &t.plan.objects[k], &r.cells[k]
	s := collectors.Series{Metric: o.name, Unit: o.unit, Kind: cmp.Or(o.kind, c.kind), Labels: labels}
	if o.form == profile.Plain && o.conv == nil && s.Kind != collectors.Text {
		return []collectors.Series{s}, []slot{{cell: c}}
	}
	x := special{o: o, cell: c, text: t.text(r, k)}
	if o.conv != nil {
		x.form = t.form(r, o.conv.Text, o.typeOf)
	}
	switch o.form {
	case profile.Info:
		s.Labels = with(labels, cmp.Or(o.from.FormLabel, o.name), o.plainText(*x.text, x.form))
	case profile.StateSet, profile.Bits:
		return sets(s, x)
	}
	if o.sensor != nil {
		sensor, unit := sensorOf(t.plan, r, o.sensor)
		x.sensor, s.Unit = &sensor, cmp.Or(unit, s.Unit)
	}
	return []collectors.Series{s}, []slot{{c, &x}}
}

// sets gives a series for each state or bit that has a name, and for the state that
// holds and has none.
func sets(s collectors.Series, x special) (series []collectors.Series, slots []slot) {
	var words map[int64]string
	if x.o.conv != nil {
		words = x.o.conv.Enum
	}
	add := func(n int64, word string) {
		one, at := s, x
		one.Labels, at.arg = with(s.Labels, cmp.Or(x.o.from.FormLabel, s.Metric), collectors.Clip(word, collectors.MaxText)), n
		series, slots = append(series, one), append(slots, slot{x.cell, &at})
	}
	for _, n := range slices.Sorted(maps.Keys(words)) {
		add(n, words[n])
	}
	if n := int64(x.cell.num); x.o.form == profile.StateSet && x.cell.tag != 0 && words[n] == "" {
		add(n, strconv.FormatInt(n, 10))
	}
	return series, slots
}

// with adds a label, unless there is one of its name; where there are as many as
// there may be, in place of the last.
func with(labels []collectors.Label, name, value string) []collectors.Label {
	if named(labels, name) {
		return labels
	}
	return append(slices.Clone(labels[:min(len(labels), collectors.MaxLabels-1)]), collectors.Label{Name: name, Value: value})
}

// add puts series that belong together into the last part, or into a new one
// where they don't fit.
func (b *layoutBuilder) add(series []collectors.Series, slots []slot) {
	for len(series) > 0 {
		n := together(series, slots)
		if b.series+n > maxDeviceSeries {
			b.layout.cut = true
			return
		}
		b.series += n
		var p *part
		if n := len(b.layout.parts); n > 0 {
			p = b.layout.parts[n-1]
		}
		if p == nil || !p.fits(series[:n], slots[:n]) {
			p = newPart(b.source)
			b.layout.parts = append(b.layout.parts, p)
		}
		p.add(series[:n], slots[:n])
		series, slots = series[n:], slots[n:]
	}
}

// together is how many series of a row are never parted.
func together(series []collectors.Series, slots []slot) int {
	n := min(len(series), maxTogether)
	for n > 1 && textBytes(series[:n], slots[:n]) > maxTexts {
		n /= 2
	}
	return n
}

// build ends the work and keeps, of the parts, the schemas of the layout before
// that are the same.
func (b *layoutBuilder) build(before *layout) *layout {
	for i, p := range b.layout.parts {
		p.finish()
		if before != nil && i < len(before.parts) && sameSchema(before.parts[i].schema, p.schema) {
			p.schema = before.parts[i].schema
		}
	}
	l := b.layout
	l.used = b.used
	return &l
}

func sameSchema(a, b *collectors.Schema) bool {
	return a.Source == b.Source && slices.EqualFunc(a.Series, b.Series, func(x, y collectors.Series) bool {
		return x.Metric == y.Metric && x.Unit == y.Unit && x.Kind == y.Kind && slices.Equal(x.Labels, y.Labels)
	})
}
