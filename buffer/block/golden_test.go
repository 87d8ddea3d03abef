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

// golden is what the golden blocks hold.
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
// they meant: golden bytes are never made anew once they have shipped. -update
// writes those of the present version.
func TestGolden(t *testing.T) {
	c := newCodec(t)
	head, s, want := golden()
	id, schema, err := c.EncodeSchema(s)
	if err != nil {
		t.Fatal(err)
	}
	rolled := head
	rolled.Tier = block.Quarter
	roller := block.NewRoller(s.Source, rolled.Tier, head.Offset)
	for i := range want {
		roller.Add(&want[i])
	}
	raw := block.Section{First: 9, Schema: id, Batches: want}
	rollup := block.Section{First: 9, Schema: id, Rollup: &roller.Rollup}
	if *update {
		for name, x := range map[string]struct {
			block.Head
			block.Section
		}{"testdata/v2.block": {head, raw}, "testdata/v2.rollup": {rolled, rollup}} {
			b, err := c.Encode(x.Head, []block.Section{x.Section})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, b.Bytes, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile("testdata/v1.schema", schema, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	packed, err := os.ReadFile("testdata/v1.schema")
	if err != nil {
		t.Fatal(err)
	}
	back, read, err := c.DecodeSchema(packed)
	if err != nil || back != id {
		t.Fatal(err, back)
	}
	if diff := cmp.Diff(read, s); diff != "" {
		t.Fatal(diff)
	}
	for name, want := range map[string]block.Section{"v1.block": raw, "v2.block": raw, "v2.rollup": rollup} {
		bytes, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := block.Parse(bytes)
		if err != nil {
			t.Fatal(name, err)
		}
		got, missing, err := c.Decode(b, func(x block.ID) *collectors.Schema {
			if x == id {
				return s
			}
			return nil
		}, nil)
		if err != nil || missing != 0 {
			t.Fatal(name, err, missing)
		}
		if diff := cmp.Diff(got, []block.Section{want}, cmp.AllowUnexported(collectors.Value{})); diff != "" {
			t.Fatal(name, diff)
		}
		if b.Probe != head.Probe || b.Epoch != head.Epoch || b.Offset != head.Offset || !b.Sure || b.Cover[0].First != 9 {
			t.Fatalf("%s: %+v", name, b.Head)
		}
	}
}
