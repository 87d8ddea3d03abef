package snmp

import (
	"slices"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// layout is the order in which a device's readings are emitted: parts of at most
// collectors.MaxSeries series, each with a schema of its own. It is made anew
// only when rows, their names or what they have changes, and a part that comes
// out as it was keeps its schema.
type layout struct {
	parts []*part
	// used: for each table, the columns that there are series of, and those that
	// did not come to their end: what they lack is to be seen in each poll.
	used [][]bool
}

type part struct {
	schema *collectors.Schema
	cells  []*cell // for each series, where its value is found
	texts  []text  // for those few that are text
	slots  []slot  // both, in the making
	words  map[string]struct{}
	size   int // bytes of the different words of the schema
}

// slot is where one series' value is found.
type slot struct {
	cell *cell
	text *string // of a text object; else nil
}

// text is where the text of a series of the part is found.
type text struct {
	series int
	text   *string
}

// maxWords bounds the bytes of the different words (names, label values) of one
// part. A schema is kept compressed, and text may be such as cannot be; with this
// many, and what 2048 series take besides, it stays below collectors.MaxSchema.
const maxWords = 36 << 10

// values reads the part's values out. It makes a new slice each time: whoever
// gets the batch keeps it.
func (p *part) values() []collectors.Value {
	vs := make([]collectors.Value, len(p.cells))
	for i, c := range p.cells {
		vs[i] = c.value(p.schema.Series[i].Kind, nil)
	}
	for _, t := range p.texts {
		vs[t.series] = p.cells[t.series].value(collectors.Text, t.text)
	}
	return vs
}

type layoutBuilder struct {
	source string
	device []collectors.Label // the first label of each series
	extra  []collectors.Label // the last ones
	layout layout
}

// scalar adds a series for what stands alone.
func (b *layoutBuilder) scalar(o *object, s slot) {
	labels := slices.Concat(b.device, b.extra)
	b.add([]collectors.Series{{Metric: o.name, Unit: o.unit, Kind: o.kind, Labels: labels}}, []slot{s})
}

// table adds the series of all rows. Those of one row stay together.
func (b *layoutBuilder) table(t *table) {
	used := make([]bool, len(t.cols))
	for c := range t.cols {
		used[c] = t.cols[c].state == open || t.cols[c].state == broken
	}
	for i := range t.rows {
		r := &t.rows[i]
		var labels []collectors.Label
		var series []collectors.Series
		var slots []slot
		for c := range t.cols {
			if !t.has(r, c) {
				continue
			}
			if labels == nil {
				labels = b.rowLabels(t, r)
			}
			used[c] = true
			o := &t.plan.columns[c]
			series = append(series, collectors.Series{Metric: o.name, Unit: o.unit, Kind: o.kind, Labels: labels})
			slots = append(slots, slot{&r.cells[c], t.text(r, c)})
		}
		b.add(series, slots)
	}
	b.layout.used = append(b.layout.used, used)
}

func (b *layoutBuilder) rowLabels(t *table, r *row) []collectors.Label {
	labels := slices.Clone(b.device)
	index := collectors.Clip(string(pdu.AppendIndex(nil, r.index)), collectors.MaxText)
	labels = append(labels, collectors.Label{Name: t.plan.index, Value: index})
	for i := range t.plan.labels {
		l := &t.plan.labels[i]
		if l.unless > 0 && *t.text(r, l.unless-1) != "" {
			continue
		}
		text := ""
		for _, c := range l.from {
			if text = *t.text(r, c-1); text != "" {
				break
			}
		}
		labels = append(labels, collectors.Label{Name: l.name, Value: text})
	}
	return exact(append(labels, b.extra...))
}

// add puts series that belong together into the last part, or into a new one
// where they don't fit.
func (b *layoutBuilder) add(series []collectors.Series, slots []slot) {
	if len(series) == 0 {
		return
	}
	var p *part
	if n := len(b.layout.parts); n > 0 {
		p = b.layout.parts[n-1]
	}
	if p == nil || len(p.slots)+len(slots) > collectors.MaxSeries || p.size+p.growth(series) > maxWords {
		p = &part{schema: &collectors.Schema{Source: b.source}, words: map[string]struct{}{}}
		b.layout.parts = append(b.layout.parts, p)
	}
	p.size += p.growth(series)
	for i := range series {
		for _, w := range words(&series[i]) {
			p.words[w] = struct{}{}
		}
	}
	p.schema.Series = append(p.schema.Series, series...)
	p.slots = append(p.slots, slots...)
}

// growth is how many bytes of new words series would bring, or a little more.
func (p *part) growth(series []collectors.Series) (n int) {
	for i := range series {
		if i > 0 && sameLabels(series[i].Labels, series[i-1].Labels) {
			n += 4 + len(series[i].Metric)
			continue
		}
		for _, w := range words(&series[i]) {
			if _, ok := p.words[w]; !ok {
				n += len(w) + 4
			}
		}
	}
	return n
}

// sameLabels tells whether two series share their labels.
func sameLabels(a, b []collectors.Label) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func words(s *collectors.Series) []string {
	ws := []string{s.Metric, s.Unit}
	for _, l := range s.Labels {
		ws = append(ws, l.Name, l.Value)
	}
	return ws
}

// build ends the work and keeps, of the parts, the schemas of the layout before
// that are the same.
func (b *layoutBuilder) build(before *layout) *layout {
	for i, p := range b.layout.parts {
		p.words = nil
		p.byMetric()
		if before != nil && i < len(before.parts) && sameSchema(before.parts[i].schema, p.schema) {
			p.schema = before.parts[i].schema
		}
	}
	l := b.layout
	return &l
}

// byMetric puts the series of one metric together, in the order in which metrics
// and rows came: a block keeps their values as one column.
func (p *part) byMetric() {
	rank := map[string]int{}
	for i := range p.schema.Series {
		m := p.schema.Series[i].Metric
		if _, ok := rank[m]; !ok {
			rank[m] = len(rank)
		}
	}
	order := make([]int, len(p.slots))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return rank[p.schema.Series[a].Metric] - rank[p.schema.Series[b].Metric]
	})
	series := make([]collectors.Series, len(order))
	p.cells = make([]*cell, len(order))
	for to, from := range order {
		s := p.slots[from]
		series[to], p.cells[to] = p.schema.Series[from], s.cell
		if s.text != nil {
			p.texts = append(p.texts, text{to, s.text})
		}
	}
	p.schema.Series, p.slots, p.texts = series, nil, exact(p.texts)
}

func sameSchema(a, b *collectors.Schema) bool {
	return a.Source == b.Source && slices.EqualFunc(a.Series, b.Series, func(x, y collectors.Series) bool {
		return x.Metric == y.Metric && x.Unit == y.Unit && x.Kind == y.Kind && slices.Equal(x.Labels, y.Labels)
	})
}
