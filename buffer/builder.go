package buffer

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// builder gathers the batches of one block: of one class, one epoch and one clock
// offset.
type builder struct {
	head     block.Head
	hour     int64 // of wall time, in which it begins
	sections []block.Section
	last     map[string]int // source -> its last section
	cells    int
	overhead int // octets of head and texts
}

func newBuilder(head block.Head, hour int64) *builder {
	return &builder{head: head, hour: hour, last: map[string]int{}}
}

// hourOf counts the hours of wall time since 1970.
func hourOf(at collectors.Stamp, offset int64) int64 {
	return int64(math.Floor(float64(int64(at)+offset) / float64(time.Hour.Milliseconds())))
}

// add puts in the batch with number n; schema is zero for one without values.
func (b *builder) add(x collectors.Batch, n uint64, schema block.ID) {
	b.cells += len(x.Values)
	b.overhead += 8 + len(x.Outcome.Why)
	for i := range x.Events {
		b.overhead += 16 + len(x.Events[i].Kind) + len(x.Events[i].Text) + 32*len(x.Events[i].Labels)
	}
	if i, ok := b.last[x.Source]; ok {
		s := &b.sections[i]
		contiguous := s.First+uint64(len(s.Batches)) == n
		if contiguous && (schema == (block.ID{}) || s.Schema == (block.ID{}) || s.Schema == schema) {
			if schema != (block.ID{}) {
				s.Schema = schema
			}
			s.Batches = append(s.Batches, x)
			return
		}
	}
	b.overhead += 24 + len(x.Source)
	b.last[x.Source] = len(b.sections)
	b.sections = append(b.sections, block.Section{First: n, Schema: schema, Batches: []collectors.Batch{x}})
}

// schemas calls f for each section's schema.
func (b *builder) schemas(f func(block.ID, *collectors.Schema)) {
	for i := range b.sections {
		s := &b.sections[i]
		if k := slices.IndexFunc(s.Batches, func(x collectors.Batch) bool { return len(x.Values) > 0 }); k >= 0 {
			f(s.Schema, s.Batches[k].Schema)
		}
	}
}

func (b *builder) empty() bool { return len(b.sections) == 0 }

// fill is what a block is filled to by estimate; the rest is for the estimate's
// error.
const fill = block.MaxBlock * 85 / 100

// maxCells bounds what one block unpacks to, however well it is packed.
const maxCells = 200_000

// full tells whether the block has reached its size, with that many octets a
// value.
func (b *builder) full(perCell float64) bool {
	return b.cells > maxCells || float64(b.overhead)+float64(b.cells)*perCell > fill
}

// encode makes the block, or several where the estimate was off.
func (b *builder) encode(c *block.Codec) ([]*block.Block, error) {
	return encodeSections(c, b.head, b.sections)
}

// errTooLarge says that what cannot be split does not fit a block. One batch always
// does, by the bounds of package collectors; a rollup may not.
var errTooLarge = errors.New("it does not fit a block")

func encodeSections(c *block.Codec, head block.Head, s []block.Section) ([]*block.Block, error) {
	x, err := c.Encode(head, s)
	switch {
	case errors.Is(err, block.ErrLarge): // texts that repeat pack very well
	case err != nil:
		return nil, err
	case len(x.Bytes) <= block.MaxBlock:
		return []*block.Block{x}, nil
	}
	var lo, hi []block.Section
	if len(s) > 1 {
		lo, hi = s[:len(s)/2], s[len(s)/2:]
	} else if n := len(s[0].Batches); n > 1 {
		k := n / 2
		lo = []block.Section{{First: s[0].First, Schema: s[0].Schema, Batches: s[0].Batches[:k]}}
		hi = []block.Section{{First: s[0].First + uint64(k), Schema: s[0].Schema, Batches: s[0].Batches[k:]}}
	} else {
		return nil, errTooLarge
	}
	a, err := encodeSections(c, head, lo)
	if err != nil {
		return nil, err
	}
	z, err := encodeSections(c, head, hi)
	return append(a, z...), err
}
