package block_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/loadtest"
	"github.com/siteprobe/siteprobe/collectors"
)

// load is so many polls of the small site as one section a source.
func load(b testing.TB, c *block.Codec, polls int) (sections []block.Section, schema func(block.ID) *collectors.Schema) {
	site := loadtest.New(loadtest.Thousand())
	at := map[string]int{}
	schemas := map[block.ID]*collectors.Schema{}
	named := map[*collectors.Schema]block.ID{}
	for range polls * site.Sources() {
		x := site.Next()
		i, ok := at[x.Source]
		if !ok {
			i = len(sections)
			at[x.Source] = i
			sections = append(sections, block.Section{})
		}
		if len(x.Values) > 0 {
			if _, ok := named[x.Schema]; !ok {
				id, _, err := c.EncodeSchema(x.Schema)
				if err != nil {
					b.Fatal(err)
				}
				named[x.Schema], schemas[id] = id, x.Schema
			}
			sections[i].Schema = named[x.Schema]
		}
		sections[i].Batches = append(sections[i].Batches, x)
	}
	return sections, func(id block.ID) *collectors.Schema { return schemas[id] }
}

var head = block.Head{Probe: "northwind/acme-berlin", Epoch: 1 << 60, Offset: 1 << 40}

// BenchmarkEncode and BenchmarkDecode are of blocks as they are when fresh (one
// poll of a source) and when an hour stands together.
func BenchmarkEncode(b *testing.B) {
	for _, polls := range []int{1, 10, 40} {
		b.Run(fmt.Sprintf("polls=%d", polls), func(b *testing.B) {
			c := newCodec(b)
			sections, _ := load(b, c, polls)
			readings, size := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				x, err := c.Encode(head, sections)
				if err != nil {
					b.Fatal(err)
				}
				readings += x.Readings
				size += len(x.Bytes)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(readings), "ns/reading")
			b.ReportMetric(float64(size)/float64(readings), "B/reading")
		})
	}
}

// BenchmarkDecode: see BenchmarkEncode.
func BenchmarkDecode(b *testing.B) {
	for _, polls := range []int{1, 10, 40} {
		b.Run(fmt.Sprintf("polls=%d", polls), func(b *testing.B) {
			c := newCodec(b)
			sections, schema := load(b, c, polls)
			x, err := c.Encode(head, sections)
			if err != nil {
				b.Fatal(err)
			}
			readings := 0
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := c.Decode(x, schema, nil); err != nil {
					b.Fatal(err)
				}
				readings += x.Readings
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(readings), "ns/reading")
		})
	}
}

// Whatever a site gives comes back as it was, few polls or many together.
func TestRoundTripOfASite(t *testing.T) {
	c := newCodec(t)
	for _, polls := range []int{1, 3, 4, 30} {
		sections, schema := load(t, c, polls)
		x, err := c.Encode(head, sections)
		if err != nil {
			t.Fatal(err)
		}
		back, want, err := c.Decode(x, schema, nil)
		if err != nil || want != 0 {
			t.Fatal(err, want)
		}
		for i := range sections {
			if diff := cmp.Diff(sections[i], back[i], cmp.AllowUnexported(collectors.Value{})); diff != "" {
				t.Fatalf("%d polls: %.2000s", polls, diff)
			}
		}
	}
}
