package block_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

var update = flag.Bool("update", false, "write the golden files of the present version anew")

// golden is what the golden block of version 1 holds.
func golden() (block.Head, *collectors.Schema, []collectors.Batch) {
	s := mixed("device/golden", 4)
	r := rand.New(rand.NewPCG(42, 42))
	var bs []collectors.Batch
	for i := range 5 {
		bs = append(bs, randomBatch(r, s, collectors.Stamp(1000*(i+1))))
	}
	return block.Head{Probe: "t/golden", Epoch: 7, Boot: [16]byte{1, 2, 3}, Offset: 1_800_000_000_000, Sure: true}, s, bs
}

// Blocks of every version that was ever released stay readable, and mean what
// they meant: the bytes of this file's golden blocks are never made anew once
// they have shipped.
func TestGolden(t *testing.T) {
	c := newCodec(t)
	head, s, want := golden()
	if *update {
		id, schema, err := c.EncodeSchema(s)
		if err != nil {
			t.Fatal(err)
		}
		b, err := c.Encode(head, []block.Section{{First: 9, Schema: id, Batches: want}})
		if err != nil {
			t.Fatal(err)
		}
		for name, bytes := range map[string][]byte{"testdata/v1.block": b.Bytes, "testdata/v1.schema": schema} {
			if err := os.WriteFile(name, bytes, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	bytes, err := os.ReadFile("testdata/v1.block")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("testdata/v1.schema")
	if err != nil {
		t.Fatal(err)
	}
	id, schema, err := c.DecodeSchema(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(schema, s); diff != "" {
		t.Fatal(diff)
	}
	b, err := block.Parse(bytes)
	if err != nil {
		t.Fatal(err)
	}
	got, missing, err := c.Decode(b, func(x block.ID) *collectors.Schema {
		if x == id {
			return schema
		}
		return nil
	}, nil)
	if err != nil || missing != 0 {
		t.Fatal(err, missing)
	}
	for i := range want {
		if want[i].Schema != nil {
			want[i].Schema = schema
		}
	}
	if diff := cmp.Diff(got[0].Batches, want, cmp.AllowUnexported(collectors.Value{})); diff != "" {
		t.Fatal(diff)
	}
	if b.Probe != head.Probe || b.Epoch != head.Epoch || b.Offset != head.Offset || !b.Sure || b.Cover[0].First != 9 {
		t.Fatalf("%+v", b.Head)
	}
}
