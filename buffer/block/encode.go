package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/siteprobe/siteprobe/buffer/block/blockpb"
	"github.com/siteprobe/siteprobe/collectors"
)

// Section is consecutive batches of one source with one schema; batch i has the
// number First+i. In a block of readings above the raw tier it has a rollup of
// them in their place.
type Section struct {
	First   uint64
	Schema  ID // zero where no batch has values
	Batches []collectors.Batch
	Rollup  *Rollup
}

// cover is what the section has of a head's cover.
func (s *Section) cover() Cover {
	if r := s.Rollup; r != nil {
		return Cover{Source: r.Source, First: s.First, Count: r.Batches, Schema: s.Schema}
	}
	return Cover{Source: s.Batches[0].Source, First: s.First, Count: uint32(len(s.Batches)), Schema: s.Schema}
}

// rolled tells whether a block has rollups in place of batches. Events are kept
// whole in every tier: in the coarser ones alike events are told once, with their
// number.
func (h *Head) rolled() bool { return h.Tier != Raw && h.Class == Readings }

// ErrLarge says that a block would unpack to more than a reader takes.
var ErrLarge = errors.New("unpacks to too much")

// Encode makes a block of the sections. Of head the fields that the batches give
// (T0, T1, Readings, Cover) are filled in. The batches must be valid and have at
// least one in each section. A result over [MaxBlock], or an error that wraps
// [ErrLarge], is for the caller to split.
func (c *Codec) Encode(head Head, sections []Section) (*Block, error) {
	head.T0, head.T1, head.Readings = math.MaxInt64, 0, 0
	head.Cover = make([]Cover, len(sections))
	batches, cells := 0, 0
	for i := range sections {
		s := &sections[i]
		if len(s.Batches) == 0 && s.Rollup == nil || (s.Rollup != nil) != head.rolled() {
			return nil, fmt.Errorf("section %d has no batch, or is of another tier", i)
		}
		head.Cover[i] = s.cover()
		if r := s.Rollup; r != nil {
			if (r.Schema != nil) != (s.Schema != ID{}) {
				return nil, fmt.Errorf("section %d: a rollup has a schema and its name, or neither", i)
			}
			head.T0, head.T1 = min(head.T0, r.T0), max(head.T1, r.T1)
			head.Readings += r.readings()
			if len(r.Buckets) > maxBuckets {
				return nil, fmt.Errorf("%w: %d buckets", ErrLarge, len(r.Buckets))
			}
			continue
		}
		batches += len(s.Batches)
		for j := range s.Batches {
			b := &s.Batches[j]
			head.T0, head.T1 = min(head.T0, b.At), max(head.T1, b.At)
			head.Readings += b.Readings()
			cells += len(b.Values)
		}
	}
	if batches > maxBatches || cells > maxCells {
		return nil, fmt.Errorf("%w: %d batches, %d values", ErrLarge, batches, cells)
	}
	body, err := c.notes(sections)
	if err != nil {
		return nil, err
	}
	m, left := c.model(newEncoder(body)), maxRolled
	defer c.free(m)
	for i := range sections {
		if head.rolled() {
			s := &sections[i]
			if err := m.rollup(s.Rollup, s.Rollup.Schema, head.T0, head.Tier.Width().Milliseconds(), head.Offset, &left); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrLarge, err)
			}
			continue
		}
		if err := m.stamps(sections[i].Batches, head.T0); err != nil {
			return nil, err
		}
	}
	for i := range sections { // of a rollup there is nothing left
		var rows []*collectors.Batch
		var schema *collectors.Schema
		for j := range sections[i].Batches {
			if b := &sections[i].Batches[j]; len(b.Values) > 0 {
				rows, schema = append(rows, b), b.Schema
			}
		}
		if schema != nil {
			if err := m.values(schema, rows, true); err != nil {
				return nil, err
			}
		}
	}
	if err := m.end(); err != nil {
		return nil, err
	}
	packed := m.finish(len(body))
	hb, err := proto.Marshal(headTo(&head))
	if err != nil {
		return nil, fmt.Errorf("encoding a block's head: %w", err)
	}
	b, size := frame(Version, hb, packed)
	return &Block{Head: head, ID: hash(b), Bytes: b, HeadSize: size}, nil
}

// notes returns the beginning of a body: what there is to say of batches that are
// not plainly ok with values, packed, behind its length.
func (c *Codec) notes(sections []Section) ([]byte, error) {
	body, any := &blockpb.Body{Section: make([]*blockpb.Section, len(sections))}, false
	for i := range sections {
		p := &blockpb.Section{}
		for j := range sections[i].Batches {
			b := &sections[i].Batches[j]
			if b.Outcome.Result != collectors.OK || len(b.Values) == 0 {
				p.Note = append(p.Note, &blockpb.Note{
					Batch: uint32(j), Result: uint32(b.Outcome.Result), Why: b.Outcome.Why, Empty: len(b.Values) == 0,
				})
			}
			for k := range b.Events {
				p.Event = append(p.Event, eventTo(uint32(j), &b.Events[k]))
			}
		}
		body.Section[i] = p
		any = any || len(p.Note)+len(p.Event) > 0
	}
	if !any {
		return []byte{0}, nil
	}
	raw, err := proto.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding a block's notes: %w", err)
	}
	if len(raw) > maxBody {
		return nil, fmt.Errorf("%w: %d octets of notes", ErrLarge, len(raw))
	}
	if err := bodyShape.check(raw); err != nil {
		return nil, fmt.Errorf("%w: it %w", ErrLarge, err)
	}
	packed := c.enc.EncodeAll(raw, nil)
	return append(binary.AppendUvarint(make([]byte, 0, len(packed)+3), uint64(len(packed))), packed...), nil
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

func eventTo(batch uint32, e *collectors.Event) *blockpb.Event {
	p := &blockpb.Event{Batch: batch, Kind: e.Kind, Severity: uint32(e.Severity), Text: e.Text}
	for _, l := range e.Labels {
		p.Label = append(p.Label, &blockpb.Label{Name: l.Name, Value: l.Value})
	}
	return p
}
