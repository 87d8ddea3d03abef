package block

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/siteprobe/siteprobe/buffer/block/blockpb"
	"github.com/siteprobe/siteprobe/collectors"
)

// Decode unpacks a block's batches, section by section as its cover names them.
// schema gives the schema of a name, nil where it is not known: then the
// section's batches come without values, and so do those of the sections behind it
// (their values cannot be found); want says how many sections that were. keep, if
// not nil, chooses which cover entries are wanted; the others come as sections
// without batches. Errors wrap [ErrDamaged].
func (c *Codec) Decode(b *Block, schema func(ID) *collectors.Schema, keep func(*Cover) bool) (sections []Section, want int, err error) {
	switch b.Version() {
	case 1:
		return c.decode1(b, schema, keep)
	case 2:
		return c.decode2(b, schema, keep)
	}
	return nil, 0, fmt.Errorf("%w: %d", ErrVersion, b.Version())
}

func (c *Codec) decode2(b *Block, schema func(ID) *collectors.Schema, keep func(*Cover) bool) (sections []Section, want int, err error) {
	damaged := func(i int, err error) error { return fmt.Errorf("%w: section %d: %w", ErrDamaged, i, err) }
	notes, stream, err := c.split(b)
	if err != nil {
		return nil, 0, err
	}
	m := c.model(newDecoder(stream))
	defer c.free(m)
	sections = make([]Section, len(b.Cover))
	if b.rolled() {
		want, err := m.rollups(b, sections, schema, keep)
		return sections, want, err
	}
	empty := make([][]bool, len(b.Cover))
	for i := range b.Cover {
		cv := &b.Cover[i]
		sections[i] = Section{First: cv.First, Schema: cv.Schema}
		if sections[i].Batches, empty[i], err = decodeNotes(notes[i], cv); err != nil {
			return nil, 0, damaged(i, err)
		}
		if err := m.stamps(sections[i].Batches, b.T0); err != nil {
			return nil, 0, damaged(i, err)
		}
	}
	wanted := func(i int) bool { return keep == nil || keep(&b.Cover[i]) }
	cells, lost := 0, false
	for i := range b.Cover {
		if cv := &b.Cover[i]; cv.Schema != (ID{}) && !lost {
			s := schema(cv.Schema)
			if lost = s == nil; !lost {
				if s.Source != cv.Source {
					return nil, 0, damaged(i, errors.New("it has the schema of another source"))
				}
				rows := full(sections[i].Batches, empty[i])
				if cells += len(rows) * len(s.Series); cells > maxCells {
					return nil, 0, damaged(i, errors.New("too many values"))
				}
				if err := m.values(s, rows, wanted(i)); err != nil {
					return nil, 0, damaged(i, err)
				}
			}
		}
		switch {
		case !wanted(i):
			sections[i].Batches = nil
		case lost && b.Cover[i].Schema != (ID{}):
			want++
		}
		if err := validate(sections[i].Batches); err != nil {
			return nil, 0, damaged(i, err)
		}
	}
	if !lost {
		if err := m.end(); err != nil {
			return nil, 0, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return sections, want, nil
}

// rollups decodes the sections of a coarser tier. One whose schema is not known
// ends it: what comes behind cannot be found.
func (m *model) rollups(b *Block, sections []Section, schema func(ID) *collectors.Schema, keep func(*Cover) bool) (want int, err error) {
	width, left := b.Tier.Width().Milliseconds(), maxRolled
	if width == 0 {
		return 0, fmt.Errorf("%w: unknown tier %d", ErrDamaged, b.Tier)
	}
	for i := range b.Cover {
		cv := &b.Cover[i]
		sections[i] = Section{First: cv.First, Schema: cv.Schema}
		if want > 0 {
			want++
			continue
		}
		var s *collectors.Schema
		if cv.Schema != (ID{}) {
			if s = schema(cv.Schema); s == nil {
				want++
				continue
			}
			if s.Source != cv.Source {
				return 0, fmt.Errorf("%w: section %d has the schema of another source", ErrDamaged, i)
			}
		}
		r := &Rollup{Source: cv.Source, Batches: cv.Count}
		if err := m.rollup(r, s, b.T0, width, b.Offset, &left); err != nil {
			return 0, fmt.Errorf("%w: section %d: %w", ErrDamaged, i, err)
		}
		if keep == nil || keep(cv) {
			sections[i].Rollup = r
		}
	}
	if want == 0 {
		if err := m.end(); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return want, nil
}

// split finds the parts of a body: the notes of each section, and the coded stream.
func (c *Codec) split(b *Block) (notes []*blockpb.Section, stream []byte, err error) {
	raw := b.Bytes[b.HeadSize : len(b.Bytes)-4]
	n, k := binary.Uvarint(raw)
	if k <= 0 || n > uint64(len(raw)-k) {
		return nil, nil, fmt.Errorf("%w: its body is cut off", ErrDamaged)
	}
	batches := 0
	for i := range b.Cover {
		if batches += int(b.Cover[i].Count); batches > maxBatches && !b.rolled() {
			return nil, nil, fmt.Errorf("%w: too many batches", ErrDamaged)
		}
	}
	packed, stream := raw[k:k+int(n)], raw[k+int(n):]
	if n == 0 {
		return make([]*blockpb.Section, len(b.Cover)), stream, nil
	}
	body, err := c.body(packed, len(b.Cover))
	if err != nil {
		return nil, nil, err
	}
	return body.Section, stream, nil
}

// body unpacks the message of that name.
func (c *Codec) body(packed []byte, sections int) (*blockpb.Body, error) {
	raw, err := c.unpack(packed, maxBody)
	if err != nil {
		return nil, fmt.Errorf("%w: its body does not unpack: %w", ErrDamaged, err)
	}
	if err := bodyShape.check(raw); err != nil {
		return nil, fmt.Errorf("%w: its body %w", ErrDamaged, err)
	}
	body := &blockpb.Body{}
	if err := proto.Unmarshal(raw, body); err != nil {
		return nil, fmt.Errorf("%w: its body cannot be read", ErrDamaged)
	}
	if len(body.Section) != sections {
		return nil, fmt.Errorf("%w: %d sections for %d cover entries", ErrDamaged, len(body.Section), sections)
	}
	return body, nil
}

// decodeNotes makes a section's batches and puts in what their notes say; empty
// tells which have no values.
func decodeNotes(p *blockpb.Section, cv *Cover) (bs []collectors.Batch, empty []bool, err error) {
	if len(p.GetNote()) > int(cv.Count) {
		return nil, nil, fmt.Errorf("%d notes for %d batches", len(p.Note), cv.Count)
	}
	bs, empty = make([]collectors.Batch, cv.Count), make([]bool, cv.Count)
	for i := range bs {
		bs[i].Source = cv.Source
	}
	for _, n := range p.GetNote() {
		if n.Batch >= cv.Count || n.Result > uint32(collectors.Skipped) || len(n.Why) > collectors.MaxText {
			return nil, nil, errors.New("a note is out of bounds")
		}
		bs[n.Batch].Outcome = collectors.Outcome{Result: collectors.Result(n.Result), Why: n.Why}
		empty[n.Batch] = n.Empty
	}
	for _, e := range p.GetEvent() {
		if e.Batch >= cv.Count || len(bs[e.Batch].Events) >= collectors.MaxEvents || e.Severity > uint32(collectors.Error) {
			return nil, nil, errors.New("an event is out of bounds")
		}
		bs[e.Batch].Events = append(bs[e.Batch].Events, eventFrom(e))
	}
	return bs, empty, nil
}

// full lists the batches that have values.
func full(bs []collectors.Batch, empty []bool) (rows []*collectors.Batch) {
	for i := range bs {
		if !empty[i] {
			rows = append(rows, &bs[i])
		}
	}
	return rows
}

func validate(bs []collectors.Batch) error {
	for i := range bs {
		if err := bs[i].Validate(); err != nil {
			return err
		}
	}
	return nil
}

func eventFrom(p *blockpb.Event) collectors.Event {
	e := collectors.Event{Kind: p.Kind, Severity: collectors.Severity(p.Severity), Text: p.Text}
	for _, l := range p.Label {
		e.Labels = append(e.Labels, collectors.Label{Name: l.Name, Value: l.Value})
	}
	return e
}
