package block

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/siteprobe/siteprobe/buffer/block/blockpb"
	"github.com/siteprobe/siteprobe/collectors"
)

// Section is consecutive batches of one source with one schema; batch i has the
// number First+i.
type Section struct {
	First   uint64
	Schema  ID // zero where no batch has values
	Batches []collectors.Batch
}

// ErrLarge says that a block would unpack to more than a reader takes.
var ErrLarge = errors.New("unpacks to too much")

// Encode makes a block of the sections. Of head the fields that the batches give
// (T0, T1, Readings, Cover) are filled in. The batches must be valid and have at
// least one in each section. A result over [MaxBlock], or an error that wraps
// [ErrLarge], is for the caller to split.
func (c *Codec) Encode(head Head, sections []Section) (*Block, error) {
	head.T0, head.T1, head.Readings = math.MaxInt64, 0, 0
	head.Cover = make([]Cover, len(sections))
	for i := range sections {
		s := &sections[i]
		if len(s.Batches) == 0 {
			return nil, fmt.Errorf("section %d has no batch", i)
		}
		head.Cover[i] = Cover{Source: s.Batches[0].Source, First: s.First, Count: uint32(len(s.Batches)), Schema: s.Schema}
		for j := range s.Batches {
			b := &s.Batches[j]
			head.T0, head.T1 = min(head.T0, b.At), max(head.T1, b.At)
			head.Readings += b.Readings()
		}
	}
	e := bodyEncoder{columns: map[column]uint32{}, body: &blockpb.Body{Section: make([]*blockpb.Section, len(sections))}}
	for i := range sections {
		e.body.Section[i] = e.section(&sections[i], head.T0)
	}
	raw, err := proto.Marshal(e.body)
	if err != nil {
		return nil, fmt.Errorf("encoding a block: %w", err)
	}
	if len(raw) > maxBody {
		return nil, fmt.Errorf("%w: %d octets", ErrLarge, len(raw))
	}
	if err := bodyShape.check(raw); err != nil {
		return nil, fmt.Errorf("%w: it %w", ErrLarge, err)
	}
	hb, err := proto.Marshal(headTo(&head))
	if err != nil {
		return nil, fmt.Errorf("encoding a block's head: %w", err)
	}
	b, size := frame(hb, c.enc.EncodeAll(raw, make([]byte, 0, len(raw)/2)))
	return &Block{Head: head, ID: hash(b), Bytes: b, HeadSize: size}, nil
}

func headTo(h *Head) *blockpb.Head {
	p := &blockpb.Head{
		Probe: h.Probe, Epoch: h.Epoch, Boot: h.Boot[:], Offset: h.Offset, Sure: h.Sure, Tier: uint32(h.Tier),
		Class: uint32(h.Class), T0: int64(h.T0), T1: int64(h.T1), Readings: uint32(h.Readings),
		Cover: make([]*blockpb.Cover, len(h.Cover)),
	}
	for i := range h.Cover {
		c := &h.Cover[i]
		x := &blockpb.Cover{Source: c.Source, First: c.First, Count: c.Count}
		if c.Schema != (ID{}) {
			x.Schema = c.Schema[:]
		}
		p.Cover[i] = x
	}
	return p
}

// bodyEncoder gathers the values of one metric, from all sections, in one column.
type bodyEncoder struct {
	body    *blockpb.Body
	columns map[column]uint32
}

type column struct {
	metric string
	kind   collectors.Kind
}

func (e *bodyEncoder) section(s *Section, t0 collectors.Stamp) *blockpb.Section {
	p := &blockpb.Section{Stamp: make([]uint64, len(s.Batches))}
	full := make([][]collectors.Value, 0, len(s.Batches)) // the batches that have values
	var schema *collectors.Schema
	last := t0
	for i := range s.Batches {
		b := &s.Batches[i]
		p.Stamp[i] = uint64(b.At - last)
		last = b.At
		if len(b.Values) > 0 {
			full = append(full, b.Values)
			schema = b.Schema
		}
		if b.Outcome.Result != collectors.OK || len(b.Values) == 0 {
			p.Note = append(p.Note, &blockpb.Note{
				Batch: uint32(i), Result: uint32(b.Outcome.Result), Why: b.Outcome.Why, Empty: len(b.Values) == 0,
			})
		}
		for j := range b.Events {
			p.Event = append(p.Event, eventTo(uint32(i), &b.Events[j]))
		}
	}
	if schema == nil {
		return p
	}
	for from := 0; from < len(schema.Series); {
		to := runEnd(schema, from)
		p.Run = append(p.Run, e.run(&schema.Series[from], full, from, to))
		from = to
	}
	return p
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

func (e *bodyEncoder) run(first *collectors.Series, full [][]collectors.Value, from, to int) *blockpb.Run {
	k := column{first.Metric, first.Kind}
	i, ok := e.columns[k]
	if !ok {
		i = uint32(len(e.body.Column))
		e.columns[k] = i
		e.body.Column = append(e.body.Column, &blockpb.Column{})
	}
	c := e.body.Column[i]
	if c.First == nil && first.Kind != collectors.Text {
		// Most blocks hold many devices of one kind.
		c.First = make([]uint64, 0, (to-from)*min(len(e.body.Section), 64))
	}
	p := &blockpb.Run{Column: i, Series: uint32(to - from), Missing: missing(full, from, to)}
	switch first.Kind {
	case collectors.Text:
		for s := from; s < to; s++ {
			for _, row := range full {
				c.Text = append(c.Text, row[s].Text())
			}
		}
	case collectors.Gauge:
		scale, ok := decimalScale(full, from, to)
		if !ok {
			p.Float = true
			for s := from; s < to; s++ {
				for _, row := range full {
					c.Bits = append(c.Bits, row[s].Counter())
				}
			}
			return p
		}
		p.Scale = uint32(scale)
		integers(c, full, from, to, func(v *collectors.Value) uint64 { return zigzag(int64(math.Round(v.Gauge() * pow10[scale]))) })
	case collectors.State:
		integers(c, full, from, to, func(v *collectors.Value) uint64 { return zigzag(v.State()) })
	default:
		integers(c, full, from, to, func(v *collectors.Value) uint64 { return v.Counter() })
	}
	return p
}

// integers appends to first and delta. A missing cell repeats the one before it.
func integers(c *blockpb.Column, full [][]collectors.Value, from, to int, of func(*collectors.Value) uint64) {
	for s := from; s < to; s++ {
		var prev uint64
		for i, row := range full {
			v := prev
			if !row[s].Missing() {
				v = of(&row[s])
			}
			if i == 0 {
				c.First = append(c.First, v)
			} else {
				c.Delta = append(c.Delta, int64(v-prev))
			}
			prev = v
		}
	}
}

// missing returns the bitmap of cells without a reading, nil where all have one.
func missing(full [][]collectors.Value, from, to int) []byte {
	var m []byte
	i := 0
	for s := from; s < to; s++ {
		for _, row := range full {
			if row[s].Missing() {
				if m == nil {
					m = make([]byte, ((to-from)*len(full)+7)/8)
				}
				m[i/8] |= 1 << (i % 8)
			}
			i++
		}
	}
	return m
}

func zigzag(n int64) uint64   { return uint64(n<<1) ^ uint64(n>>63) }
func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}

// decimalScale returns the smallest power of ten that makes every gauge of the
// run an integer that reads back to the very same float; ok is false where none
// does (then the floats are kept as they are).
func decimalScale(full [][]collectors.Value, from, to int) (scale int, ok bool) {
	for s := from; s < to; s++ {
		for _, row := range full {
			if row[s].Missing() {
				continue
			}
			for !isDecimal(row[s].Gauge(), scale) {
				if scale++; scale == len(pow10) {
					return 0, false
				}
			}
		}
	}
	return scale, true
}

func isDecimal(f float64, scale int) bool {
	n := math.Round(f * pow10[scale])
	return math.Abs(n) < 1<<53 && n/pow10[scale] == f && (n != 0 || !math.Signbit(f))
}

func eventTo(batch uint32, e *collectors.Event) *blockpb.Event {
	p := &blockpb.Event{Batch: batch, Kind: e.Kind, Severity: uint32(e.Severity), Text: e.Text}
	for _, l := range e.Labels {
		p.Label = append(p.Label, &blockpb.Label{Name: l.Name, Value: l.Value})
	}
	return p
}
