package block

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/siteprobe/siteprobe/buffer/block/blockpb"
	"github.com/siteprobe/siteprobe/collectors"
)

// ID is the first 16 octets of a SHA-256: of a block's bytes, or of a schema's
// uncompressed ones.
type ID [16]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IDFrom reads an ID out of 16 octets.
func IDFrom(b []byte) (id ID, ok bool) {
	if len(b) != len(id) {
		return id, false
	}
	return ID(b), true
}

func hash(b []byte) ID {
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

// maxRawSchema bounds what a schema unpacks to.
const maxRawSchema = 1 << 20

// EncodeSchema returns the schema's name and its bytes as they are kept and sent:
// zstd over the protobuf. The name is taken over the protobuf before compression,
// so that another compressor gives the same one. It fails for a schema outside
// the bounds of package collectors.
func (c *Codec) EncodeSchema(s *collectors.Schema) (ID, []byte, error) {
	if err := s.Validate(); err != nil {
		return ID{}, nil, fmt.Errorf("schema of %s: %w", s.Source, err)
	}
	words := map[string]uint32{}
	p := &blockpb.Schema{Source: s.Source, Series: make([]*blockpb.Series, len(s.Series))}
	word := func(w string) uint32 {
		i, ok := words[w]
		if !ok {
			i = uint32(len(p.Word))
			words[w] = i
			p.Word = append(p.Word, w)
		}
		return i
	}
	for i := range s.Series {
		e := &s.Series[i]
		x := &blockpb.Series{Metric: word(e.Metric), Unit: word(e.Unit), Kind: uint32(e.Kind)}
		for _, l := range e.Labels {
			x.Label = append(x.Label, word(l.Name), word(l.Value))
		}
		p.Series[i] = x
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return ID{}, nil, fmt.Errorf("schema of %s: %w", s.Source, err)
	}
	if err := schemaShape.check(raw); err != nil {
		return ID{}, nil, fmt.Errorf("schema of %s %w", s.Source, err)
	}
	packed := c.enc.EncodeAll(raw, nil)
	if len(raw) > maxRawSchema || len(packed) > collectors.MaxSchema {
		return ID{}, nil, fmt.Errorf("schema of %s: %d bytes (at most %d)", s.Source, len(packed), collectors.MaxSchema)
	}
	return hash(raw), packed, nil
}

// DecodeSchema reads what EncodeSchema gave, from a hostile source: it returns
// the schema and the name that its bytes have.
func (c *Codec) DecodeSchema(b []byte) (ID, *collectors.Schema, error) {
	if len(b) > collectors.MaxSchema {
		return ID{}, nil, fmt.Errorf("schema of %d bytes (at most %d)", len(b), collectors.MaxSchema)
	}
	raw, err := c.unpack(b, maxRawSchema)
	if err != nil {
		return ID{}, nil, fmt.Errorf("unpacking a schema: %w", err)
	}
	if err := schemaShape.check(raw); err != nil {
		return ID{}, nil, fmt.Errorf("reading a schema: it %w", err)
	}
	p := &blockpb.Schema{}
	if err := proto.Unmarshal(raw, p); err != nil {
		return ID{}, nil, fmt.Errorf("reading a schema: %w", err)
	}
	if len(p.Series) > collectors.MaxSeries {
		return ID{}, nil, fmt.Errorf("schema of %d series (at most %d)", len(p.Series), collectors.MaxSeries)
	}
	s := &collectors.Schema{Source: p.Source, Series: make([]collectors.Series, len(p.Series))}
	word := func(i uint32) (w string) {
		if int(i) >= len(p.Word) {
			err = fmt.Errorf("schema of %q: word %d of %d", collectors.Clip(p.Source, 64), i, len(p.Word))
			return ""
		}
		return p.Word[i]
	}
	for i, x := range p.Series {
		e := collectors.Series{Metric: word(x.Metric), Unit: word(x.Unit), Kind: collectors.Kind(x.Kind)}
		if x.Kind > 255 || len(x.Label)%2 != 0 || len(x.Label) > 2*collectors.MaxLabels {
			return ID{}, nil, fmt.Errorf("schema of %q: series %d is malformed", collectors.Clip(p.Source, 64), i)
		}
		for j := 0; j < len(x.Label); j += 2 {
			e.Labels = append(e.Labels, collectors.Label{Name: word(x.Label[j]), Value: word(x.Label[j+1])})
		}
		s.Series[i] = e
	}
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		return ID{}, nil, err
	}
	return hash(raw), s, nil
}
