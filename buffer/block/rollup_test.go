package block_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/block/blocktest"
	"github.com/siteprobe/siteprobe/buffer/loadtest"
	"github.com/siteprobe/siteprobe/collectors"
)

// polls makes batches that a site could give, with holes, resets and failures.
func polls(r *rand.Rand, s *collectors.Schema, n int, at collectors.Stamp) (out []collectors.Batch) {
	total := make([]uint64, len(s.Series))
	for range n {
		at += collectors.Stamp(1 + r.Int64N(120_000))
		b := collectors.Batch{Source: s.Source, At: at}
		switch r.IntN(12) {
		case 0:
			b.Outcome = collectors.Outcome{Result: collectors.Failed, Why: fmt.Sprint("no answer ", r.IntN(3))}
			out = append(out, b)
			continue
		case 1:
			b.Outcome = collectors.Outcome{Result: collectors.Partial, Why: "table cut"}
		}
		b.Schema, b.Values = s, make([]collectors.Value, len(s.Series))
		for i := range s.Series {
			if r.IntN(15) == 0 {
				continue
			}
			switch s.Series[i].Kind {
			case collectors.Counter:
				if total[i] += r.Uint64N(1e6); r.IntN(40) == 0 {
					total[i] = r.Uint64N(100)
				}
				b.Values[i] = collectors.CounterValue(total[i])
			case collectors.Gauge:
				b.Values[i] = collectors.GaugeValue(float64(r.IntN(200_000)-100_000) / 1e3)
			case collectors.State:
				b.Values[i] = collectors.StateValue(int64(r.IntN(3)))
			default:
				b.Values[i] = collectors.TextValue([]string{"up", "down", "ä"}[r.IntN(3)])
			}
		}
		out = append(out, b)
	}
	return out
}

// A rollup is what the batches say, whether it was made of them or of finer
// rollups of any parts of them, and survives being kept.
func TestRollupIsWhatTheBatchesSay(t *testing.T) {
	c := newCodec(t)
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		s := mixed("device/sw", 1+r.IntN(3))
		id, _, err := c.EncodeSchema(s)
		if err != nil {
			t.Fatal(err)
		}
		offset := r.Int64N(1<<41) - 1<<40
		bs := polls(r, s, 1+r.IntN(300), collectors.Stamp(r.Int64N(1<<40)))
		whole := s
		if bs[0].Values == nil && len(bs) == 1 {
			whole = nil
		}
		for _, tier := range []block.Tier{block.Quarter, block.Hour} {
			want := blocktest.Recompute(bs, whole, tier, offset)
			direct := block.NewRoller(s.Source, tier, offset)
			merged := block.NewRoller(s.Source, tier, offset)
			for i := 0; i < len(bs); {
				n := min(len(bs)-i, 1+r.IntN(100))
				part := block.NewRoller(s.Source, block.Quarter, offset)
				for j := range bs[i : i+n] {
					direct.Add(&bs[i+j])
					part.Add(&bs[i+j])
				}
				kept := roundTrip(t, c, block.Quarter, offset, &part.Rollup, id, s)
				merged.Merge(kept)
				i += n
			}
			if diff := cmp.Diff(want, &direct.Rollup, blocktest.Same()); diff != "" {
				t.Fatalf("seed %d tier %d: %s", seed, tier, diff)
			}
			if diff := cmp.Diff(want, &merged.Rollup, blocktest.Same()); diff != "" {
				t.Fatalf("seed %d tier %d, of parts: %s", seed, tier, diff)
			}
			if diff := cmp.Diff(want, roundTrip(t, c, tier, offset, want, id, s), blocktest.Same()); diff != "" {
				t.Fatalf("seed %d tier %d, kept: %s", seed, tier, diff)
			}
		}
	}
}

func roundTrip(t *testing.T, c *block.Codec, tier block.Tier, offset int64, r *block.Rollup, id block.ID, s *collectors.Schema) *block.Rollup {
	t.Helper()
	if r.Schema == nil {
		id = block.ID{}
	}
	x, err := c.Encode(block.Head{Probe: "t/s", Offset: offset, Tier: tier}, []block.Section{{First: 5, Schema: id, Rollup: r}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := block.Parse(x.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	out, want, err := c.Decode(p, func(block.ID) *collectors.Schema { return s }, nil)
	if err != nil || want > 0 || len(out) != 1 || p.Cover[0] != (block.Cover{Source: s.Source, First: 5, Count: r.Batches, Schema: id}) {
		t.Fatal(err, want, p.Cover)
	}
	return out[0].Rollup
}

// What a rollup costs, printed.
func TestRollupSize(t *testing.T) {
	c := newCodec(t)
	for _, tier := range []block.Tier{block.Quarter, block.Hour} {
		site := loadtest.New(loadtest.Thousand())
		rollers := map[string]*block.Roller{}
		ids := map[string]block.ID{}
		n := 0
		for range 24 * 60 * site.Sources() {
			x := site.Next()
			if rollers[x.Source] == nil {
				rollers[x.Source] = block.NewRoller(x.Source, tier, 1<<40)
			}
			if x.Schema != nil && ids[x.Source] == (block.ID{}) {
				id, _, err := c.EncodeSchema(x.Schema)
				if err != nil {
					t.Fatal(err)
				}
				ids[x.Source] = id
			}
			rollers[x.Source].Add(&x)
			n += x.Readings()
		}
		size := 0
		for source, r := range rollers {
			x, err := c.Encode(block.Head{Probe: "t/s", Offset: 1 << 40, Tier: tier}, []block.Section{{Schema: ids[source], Rollup: &r.Rollup}})
			if err != nil {
				t.Fatal(err)
			}
			size += len(x.Bytes)
		}
		t.Logf("a day of 1,000 series at 60 s, in %v: %d octets, %.3f a reading", tier.Width(), size, float64(size)/float64(n))
	}
}
