package block

import (
	"errors"
	"fmt"
	"math"

	"github.com/siteprobe/siteprobe/buffer/block/blockpb"
	"github.com/siteprobe/siteprobe/collectors"
)

// decode1 is Decode for version 1, in which the body says itself how the values lie
// and the whole of it is compressed by zstd.
func (c *Codec) decode1(b *Block, schema func(ID) *collectors.Schema, keep func(*Cover) bool) (sections []Section, want int, err error) {
	body, err := c.body(b.Bytes[b.HeadSize:len(b.Bytes)-4], len(b.Cover))
	if err != nil {
		return nil, 0, err
	}
	sections = make([]Section, len(b.Cover))
	columns := cursors(body.Column)
	for i := range b.Cover {
		cv := &b.Cover[i]
		sections[i] = Section{First: cv.First, Schema: cv.Schema}
		runs, err := columns.take(body.Section[i], cv)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: section %d: %w", ErrDamaged, i, err)
		}
		if keep != nil && !keep(cv) {
			continue
		}
		var s *collectors.Schema
		if cv.Schema != (ID{}) {
			if s = schema(cv.Schema); s == nil {
				want++
			} else if s.Source != cv.Source {
				return nil, 0, fmt.Errorf("%w: section %d has the schema of another source", ErrDamaged, i)
			}
		}
		if sections[i].Batches, err = decodeSection1(body.Section[i], runs, cv, b.T0, s); err != nil {
			return nil, 0, fmt.Errorf("%w: section %d: %w", ErrDamaged, i, err)
		}
	}
	return sections, want, nil
}

// cursor is what is left of a column.
type cursor struct {
	first []uint64
	delta []int64
	bits  []uint64
	text  []string
}

type cursorList []cursor

func cursors(cs []*blockpb.Column) cursorList {
	l := make(cursorList, len(cs))
	for i, c := range cs {
		l[i] = cursor{c.First, c.Delta, c.Bits, c.Text}
	}
	return l
}

// run is a run with its share of its column: as many values as it may need, of
// which its kind tells which it does.
type run struct {
	*blockpb.Run
	cursor
}

// take gives each run of a section its values. Which kind they are of, only the
// schema tells; but only one kind is in a column.
func (l cursorList) take(p *blockpb.Section, cv *Cover) ([]run, error) {
	full := int(cv.Count)
	for _, n := range p.Note {
		if n.Empty {
			full--
		}
	}
	if full < 0 {
		return nil, errors.New("more empty batches than there are")
	}
	out := make([]run, len(p.Run))
	for i, r := range p.Run {
		if int(r.Column) >= len(l) || r.Series > collectors.MaxSeries {
			return nil, errors.New("a run of a column that is not there")
		}
		c := &l[r.Column]
		series, cells := int(r.Series), int(r.Series)*full
		out[i].Run = r
		switch {
		case cells == 0:
		case r.Float:
			if len(c.bits) < cells {
				return nil, errors.New("a column ends early")
			}
			out[i].bits, c.bits = c.bits[:cells], c.bits[cells:]
		case len(c.text) > 0:
			if len(c.text) < cells {
				return nil, errors.New("a column ends early")
			}
			out[i].text, c.text = c.text[:cells], c.text[cells:]
		default:
			if len(c.first) < series || len(c.delta) < cells-series {
				return nil, errors.New("a column ends early")
			}
			out[i].first, c.first = c.first[:series], c.first[series:]
			out[i].delta, c.delta = c.delta[:cells-series], c.delta[cells-series:]
		}
	}
	return out, nil
}

func decodeSection1(p *blockpb.Section, runs []run, cv *Cover, t0 collectors.Stamp, schema *collectors.Schema) ([]collectors.Batch, error) {
	if len(p.Stamp) != int(cv.Count) {
		return nil, fmt.Errorf("%d stamps for %d batches", len(p.Stamp), cv.Count)
	}
	bs, empty, err := decodeNotes(p, cv)
	if err != nil {
		return nil, err
	}
	for i := range bs {
		if p.Stamp[i] > 1<<45 {
			return nil, errors.New("a stamp is out of range")
		}
		t0 += collectors.Stamp(p.Stamp[i])
		bs[i].At = t0
	}
	if schema != nil {
		if err := decodeValues1(runs, bs, empty, schema); err != nil {
			return nil, err
		}
	}
	return bs, validate(bs)
}

func decodeValues1(runs []run, bs []collectors.Batch, empty []bool, schema *collectors.Schema) error {
	var rows [][]collectors.Value
	full := 0
	for i := range bs {
		if !empty[i] {
			full++
		}
	}
	if full*len(schema.Series) > maxCells {
		return fmt.Errorf("%d batches of %d series", full, len(schema.Series))
	}
	for i := range bs {
		if !empty[i] {
			bs[i].Schema, bs[i].Values = schema, make([]collectors.Value, len(schema.Series))
			rows = append(rows, bs[i].Values)
		}
	}
	from := 0
	for i := range runs {
		if from >= len(schema.Series) {
			return errors.New("more runs than the schema has")
		}
		to := runEnd(schema, from)
		if int(runs[i].Series) != to-from {
			return fmt.Errorf("a run of %d series where the schema has %d", runs[i].Series, to-from)
		}
		if err := decodeRun1(&runs[i], schema.Series[from].Kind, rows, from, to); err != nil {
			return fmt.Errorf("%s: %w", schema.Series[from].Metric, err)
		}
		from = to
	}
	if from != len(schema.Series) && full > 0 {
		return errors.New("fewer runs than the schema has")
	}
	return nil
}

func decodeRun1(p *run, kind collectors.Kind, rows [][]collectors.Value, from, to int) error {
	series, cells := to-from, (to-from)*len(rows)
	if cells == 0 {
		return nil
	}
	if p.Missing != nil && len(p.Missing) != (cells+7)/8 {
		return errors.New("bitmap of the wrong length")
	}
	// each calls set for every cell that is not missing.
	each := func(set func(cell int) collectors.Value) {
		i := 0
		for s := from; s < to; s++ {
			for _, row := range rows {
				v := set(i)
				if p.Missing == nil || p.Missing[i/8]&(1<<(i%8)) == 0 {
					row[s] = v
				}
				i++
			}
		}
	}
	switch {
	case kind == collectors.Text:
		if len(p.text) != cells {
			return fmt.Errorf("%d texts for %d cells", len(p.text), cells)
		}
		for _, t := range p.text {
			if len(t) > collectors.MaxText {
				return errors.New("a text is too long")
			}
		}
		each(func(i int) collectors.Value { return collectors.TextValue(p.text[i]) })
		return nil
	case kind == collectors.Gauge && p.Float:
		each(func(i int) collectors.Value { return collectors.GaugeValue(math.Float64frombits(p.bits[i])) })
		return nil
	case len(p.first) != series || len(p.delta) != cells-series:
		return fmt.Errorf("%d first values and %d others for %d series of %d batches", len(p.first), len(p.delta), series, len(rows))
	case p.Scale >= uint32(len(pow10)):
		return fmt.Errorf("scale %d", p.Scale)
	}
	var prev uint64
	f, d := 0, 0
	each(func(i int) collectors.Value {
		if i%len(rows) == 0 {
			prev, f = p.first[f], f+1
		} else {
			prev, d = prev+uint64(p.delta[d]), d+1
		}
		switch kind {
		case collectors.Gauge:
			return collectors.GaugeValue(float64(unzigzag(prev)) / pow10[p.Scale])
		case collectors.State:
			return collectors.StateValue(unzigzag(prev))
		}
		return collectors.CounterValue(prev)
	})
	return nil
}

// runEnd returns where the run that begins at series from ends.
func runEnd(s *collectors.Schema, from int) int {
	first := &s.Series[from]
	to := from + 1
	for to < len(s.Series) && s.Series[to].Kind == first.Kind && s.Series[to].Metric == first.Metric {
		to++
	}
	return to
}

func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }
