package block

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/siteprobe/siteprobe/collectors"
)

// A few hundred octets that unpack to millions of empty messages are refused
// before memory is taken for each.
func TestEmptyPartsAreBounded(t *testing.T) {
	c, err := NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := c.Encode(Head{Probe: "t/s"}, []Section{{Batches: []collectors.Batch{{Source: "x", At: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	many := func(field protowire.Number) []byte {
		return bytes.Repeat(append(protowire.AppendTag(nil, field, protowire.BytesType), 0), 200_000)
	}
	in := func(field protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), b)
	}
	for name, raw := range map[string][]byte{
		"sections": many(1), "columns": many(2), "notes": in(1, many(2)), "runs": in(1, many(3)), "events": in(1, many(4)),
		"labels": in(1, in(4, many(5))), "texts": in(2, many(4)),
	} {
		b := *plain
		b.Bytes, b.HeadSize = frame(1, plain.Bytes[5:plain.HeadSize], c.enc.EncodeAll(raw, nil))
		n := testing.AllocsPerRun(1, func() { _, _, err = c.Decode(&b, nil, nil) })
		if err == nil || n > 1000 {
			t.Errorf("%s: %v after %.0f allocations", name, err, n)
		}
	}
	for name, raw := range map[string][]byte{"words": many(2), "series": many(3)} {
		packed := c.enc.EncodeAll(raw, nil)
		n := testing.AllocsPerRun(1, func() { _, _, err = c.DecodeSchema(packed) })
		if err == nil || n > 1000 {
			t.Errorf("%s: %v after %.0f allocations", name, err, n)
		}
	}
}
