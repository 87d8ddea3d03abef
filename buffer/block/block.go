// Package block turns batches into blocks, the only form in which readings are
// kept, sent and stored: the same bytes lie in the box's database, in an MQTT
// message, on a stick and at the hub.
//
// # Frame
//
//	"SPB"  version   uvarint n   Head (n octets)   body   CRC-32C
//	3      1                                              4, little endian
//
// Head is the protobuf message of blockpb/block.proto. The CRC is over all octets
// before it. A block is named by the hash of its bytes ([Block.ID]); it is at most
// [MaxBlock] long and never changes.
//
// # What is in one
//
// Whole batches of one epoch, one clock offset and one tier. The head's cover
// says which: batch numbers first to first+count-1 of a source, all with one
// schema. The body has one section for each cover entry; no reading carries the
// name of its series. Above the raw tier a section is a [Rollup] of its batches.
//
// # The body of version 2
//
//	uvarint n   zstd(Body) (n octets; 0: there is nothing to note)   coded values
//
// Body says of which batches there is more to know than their values, and has the
// events. The values are one stream of an adaptive range coder (rangecoder.go):
// the stamps of all sections, then section by section and series by series the
// values as integers (a gauge by its decimals), each against what was foreseen from
// the values before it, from its slope, or from what the series beside it did,
// whichever takes the fewest bits (columns.go). What is likely is learned by metric,
// over all sources in the block. So a block is read from its beginning, with the
// schemas at hand; model.go and rollupcode.go describe the stream, for both ways at
// once.
//
// # A new version
//
// A reader must know the version octet; [ErrVersion] tells the hub to leave the
// block with the box until it is upgraded. Old versions stay readable forever, so
// what describes the stream of version 2 may not change any more once it has shipped:
// rangecoder.go, columns.go, model.go and rollupcode.go, their constants and the names
// in them included. A new version raises [Version], copies what it changes of these,
// takes the place of encode.go, and leaves version 2 a case in [Codec.Decode]; its
// golden bytes go into testdata.
//
// Everything that is decoded here may come from a hostile source: sizes are
// checked before memory is taken.
package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"github.com/siteprobe/siteprobe/buffer/block/blockpb"
	"github.com/siteprobe/siteprobe/collectors"
)

// MaxBlock is the largest block, in octets: with its topic it fits a message of
// 64 KB.
const MaxBlock = 60_000

// Version is the version octet that Encode writes.
const Version = 2

// The bounds of what a block unpacks to.
const (
	maxBody     = 4 << 20
	maxSections = 4096
	maxCells    = 1 << 20
	maxBatches  = 1 << 16
)

// Class tells readings from events: events have a budget of their own.
type Class uint8

// The classes.
const (
	Readings Class = 0
	Events   Class = 1
)

// Tier is how fine the readings are: 0 is raw, higher is coarser.
type Tier uint8

// Raw is the tier of readings as they were collected.
const Raw Tier = 0

// Errors that Parse and Decode wrap.
var (
	ErrDamaged = errors.New("damaged block")
	ErrVersion = errors.New("block of an unknown version")
)

// Head is what is known of a block without unpacking it.
type Head struct {
	Probe    string // "tenant/site"
	Epoch    uint64
	Boot     [16]byte
	Offset   int64 // wall time in Unix ms = stamp + Offset
	Sure     bool  // the clock was synchronised
	Tier     Tier
	Class    Class
	T0, T1   collectors.Stamp // lowest and highest stamp
	Readings int
	Cover    []Cover
}

// Wall returns the Unix time in ms of a stamp.
func (h *Head) Wall(s collectors.Stamp) int64 { return int64(s) + h.Offset }

// Cover names batches First to First+Count-1 of a source.
type Cover struct {
	Source string
	First  uint64
	Count  uint32
	Schema ID // zero: none of the batches has values
}

// Range returns the numbers that are covered.
func (c *Cover) Range() Range { return Range{c.First, c.First + uint64(c.Count)} }

// Block is a parsed block. Bytes is the whole; HeadSize says where the body
// begins in it.
type Block struct {
	Head
	ID       ID
	Bytes    []byte
	HeadSize int
}

// Schemas returns the names of the schemas without which the block cannot be
// decoded, each once.
func (h *Head) Schemas() []ID {
	var out []ID
	seen := map[ID]bool{{}: true}
	for i := range h.Cover {
		if id := h.Cover[i].Schema; !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// Version is the block's version octet.
func (b *Block) Version() byte { return b.Bytes[3] }

// Codec encodes and decodes. It keeps the compressor's memory (about 2 MB); it is
// safe for use by several goroutines.
type Codec struct {
	enc    *zstd.Encoder
	dec    *zstd.Decoder
	models sync.Pool // of *model
}

// NewCodec returns a codec.
func NewCodec() (*Codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithWindowSize(512<<10), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("making a zstd encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxBody), zstd.WithDecoderMaxWindow(1<<20))
	if err != nil {
		return nil, fmt.Errorf("making a zstd decoder: %w", err)
	}
	return &Codec{enc: enc, dec: dec}, nil
}

// Close says that its owner is done with the codec. Others may be decoding just
// then (a store is closed and opened again while it is read), which closing the
// decoder under them would crash; without a stream neither coder has anything that
// the garbage collector does not find.
func (c *Codec) Close() {}

// unpack decompresses at most limit octets.
func (c *Codec) unpack(b []byte, limit int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		return nil, err
	}
	if h.HasFCS && h.FrameContentSize > uint64(limit) {
		return nil, fmt.Errorf("unpacks to %d octets (at most %d)", h.FrameContentSize, limit)
	}
	out, err := c.dec.DecodeAll(b, nil)
	if err == nil && len(out) > limit {
		err = fmt.Errorf("unpacks to %d octets (at most %d)", len(out), limit)
	}
	return out, err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame puts head and packed body together.
func frame(version byte, head, body []byte) (b []byte, headSize int) {
	b = make([]byte, 0, 4+3+len(head)+len(body)+4)
	b = append(b, 'S', 'P', 'B', version)
	b = binary.AppendUvarint(b, uint64(len(head)))
	b = append(b, head...)
	headSize = len(b)
	b = append(b, body...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), headSize
}

// Parse checks a block's frame, CRC and head; it leaves the body packed. The
// block keeps b. Errors wrap [ErrVersion] or [ErrDamaged].
func Parse(b []byte) (*Block, error) {
	if len(b) > MaxBlock {
		return nil, fmt.Errorf("%w: %d octets (at most %d)", ErrDamaged, len(b), MaxBlock)
	}
	if len(b) < 9 || string(b[:3]) != "SPB" {
		return nil, fmt.Errorf("%w: no block", ErrDamaged)
	}
	if b[3] == 0 || b[3] > Version {
		return nil, fmt.Errorf("%w: %d", ErrVersion, b[3])
	}
	end := len(b) - 4
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, fmt.Errorf("%w: its CRC does not fit", ErrDamaged)
	}
	h, size, err := ParseHead(b[:end])
	if err != nil {
		return nil, err
	}
	return &Block{Head: *h, ID: hash(b), Bytes: b, HeadSize: size}, nil
}

// ParseHead reads the head alone, from bytes that hold at least the head; size
// says how far it reaches. It is for bytes whose CRC was checked when they came.
func ParseHead(b []byte) (h *Head, size int, err error) {
	if len(b) < 5 || string(b[:3]) != "SPB" {
		return nil, 0, fmt.Errorf("%w: no block", ErrDamaged)
	}
	if b[3] == 0 || b[3] > Version {
		return nil, 0, fmt.Errorf("%w: %d", ErrVersion, b[3])
	}
	n, k := binary.Uvarint(b[4:])
	if k <= 0 || n > uint64(len(b)-4-k) {
		return nil, 0, fmt.Errorf("%w: its head is cut off", ErrDamaged)
	}
	size = 4 + k + int(n)
	p := &blockpb.Head{}
	if err := proto.Unmarshal(b[4+k:size], p); err != nil {
		return nil, 0, fmt.Errorf("%w: its head cannot be read", ErrDamaged)
	}
	if h, err = headFrom(p); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return h, size, nil
}

// headFrom checks that a head can be true: numbers in order, nothing covered
// twice, stamps and wall times that a clock can show.
func headFrom(p *blockpb.Head) (*Head, error) {
	h := &Head{
		Probe: p.Probe, Epoch: p.Epoch, Offset: p.Offset, Sure: p.Sure, Tier: Tier(p.Tier), Class: Class(p.Class),
		T0: collectors.Stamp(p.T0), T1: collectors.Stamp(p.T1), Readings: int(p.Readings),
	}
	const centuries = 1 << 45 // ms: some 1,100 years
	switch {
	case p.Probe == "" || len(p.Probe) > collectors.MaxName:
		return nil, errors.New("no probe name")
	case len(p.Boot) != 16:
		return nil, errors.New("no boot id")
	case p.Tier > 9 || p.Class > uint32(Events):
		return nil, errors.New("unknown tier or class")
	case p.T0 < 0 || p.T1 < p.T0 || p.T1 > centuries || p.Offset < -centuries || p.Offset > centuries:
		return nil, errors.New("times out of range")
	case len(p.Cover) == 0 || len(p.Cover) > maxSections:
		return nil, fmt.Errorf("covers %d sections", len(p.Cover))
	case p.Readings > maxCells:
		return nil, fmt.Errorf("claims %d readings", p.Readings)
	}
	copy(h.Boot[:], p.Boot)
	h.Cover = make([]Cover, len(p.Cover))
	seen := make(map[string]*Ranges, len(p.Cover))
	for i, x := range p.Cover {
		c := Cover{Source: x.Source, First: x.First, Count: x.Count}
		if x.Source == "" || len(x.Source) > collectors.MaxName || x.Count == 0 || x.Count > maxCells || x.First > 1<<62 {
			return nil, fmt.Errorf("cover entry %d is out of bounds", i)
		}
		if len(x.Schema) > 0 {
			id, ok := IDFrom(x.Schema)
			if !ok {
				return nil, fmt.Errorf("cover entry %d has a malformed schema", i)
			}
			c.Schema = id
		}
		r := seen[x.Source]
		if r == nil {
			r = &Ranges{}
			seen[x.Source] = r
		}
		if r.Overlaps(c.Range()) {
			return nil, fmt.Errorf("cover entry %d covers a batch twice", i)
		}
		r.Push(c.Range())
		h.Cover[i] = c
	}
	return h, nil
}

// IDOf names bytes that may be a block of a version that this program cannot read.
func IDOf(b []byte) ID { return hash(b) }
