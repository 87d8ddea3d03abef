package snmp

import (
	"slices"

	"github.com/siteprobe/siteprobe/collectors"
)

// part is what one batch of a device holds.
type part struct {
	schema   *collectors.Schema
	cells    []*cell   // for each series, where its value is found
	specials []special // for those whose value is not what the cell holds

	// In the making.
	slots []slot
	words map[string]struct{}
	size  int // bytes of the different words of the schema
	texts int // bytes of the text readings, as they are now and some more
}

const (
	// maxWords bounds the bytes of the different words (names, label values) of one
	// part. A schema is kept compressed, and text may be such as cannot be; with
	// this many, and what 2048 series take besides, it stays below
	// collectors.MaxSchema.
	maxWords = 36 << 10
	// maxTexts bounds the bytes of text readings of a part, and maxEventText those
	// of events beside them: both, and the reason of the batch's outcome, are within
	// collectors.MaxBatchText.
	maxTexts     = 5 << 10
	maxEventText = collectors.MaxBatchText - maxTexts - collectors.MaxText
	textSlack    = 16
)

func newPart(source string) *part {
	return &part{schema: &collectors.Schema{Source: source}, words: map[string]struct{}{}}
}

// values reads the part's values out. It makes a new slice each time: whoever
// gets the batch keeps it.
func (p *part) values() []collectors.Value {
	vs := make([]collectors.Value, len(p.cells))
	for i, c := range p.cells {
		vs[i] = c.value(p.schema.Series[i].Kind)
	}
	left := maxTexts
	for i := range p.specials {
		s := &p.specials[i]
		v := s.value(p.schema.Series[s.series].Kind)
		if left -= len(v.Text()); left < 0 {
			v = collectors.Value{} // they have grown since the part was made
		}
		vs[s.series] = v
	}
	return vs
}

// fits tells whether series that belong together have room.
func (p *part) fits(series []collectors.Series, slots []slot) bool {
	return len(p.slots)+len(slots) <= collectors.MaxSeries && p.size+p.growth(series) <= maxWords &&
		(p.texts == 0 || p.texts+textBytes(series, slots) <= maxTexts)
}

func (p *part) add(series []collectors.Series, slots []slot) {
	p.size += p.growth(series)
	p.texts += textBytes(series, slots)
	for i := range series {
		for _, w := range words(&series[i]) {
			p.words[w] = struct{}{}
		}
	}
	p.schema.Series = append(p.schema.Series, series...)
	p.slots = append(p.slots, slots...)
}

func textBytes(series []collectors.Series, slots []slot) (n int) {
	for i := range series {
		if series[i].Kind == collectors.Text {
			n += textSlack + len(slots[i].special.o.plainText(*slots[i].special.text, slots[i].special.form))
		}
	}
	return n
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

// finish puts the series of one metric together, in the order in which metrics and
// rows came: a block keeps their values as one column.
func (p *part) finish() {
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
		if s.special != nil {
			s.special.series = to
			p.specials = append(p.specials, *s.special)
		}
	}
	p.schema.Series, p.slots, p.words, p.specials = series, nil, nil, exact(p.specials)
}
