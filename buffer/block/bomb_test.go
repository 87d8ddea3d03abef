package block

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/siteprobe/siteprobe/collectors"
)

// A few thousand octets that claim hundreds of rollups of thousands of buckets are
// refused before memory is taken for them, and never made.
func TestRollupBombIsRefused(t *testing.T) {
	c, err := NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	head := Head{Probe: "t/s", Tier: Quarter, T1: 1 << 40}
	m := c.model(newEncoder([]byte{0}))
	width, left := Quarter.Width().Milliseconds(), 1<<30
	var sections []Section
	for i := range 400 {
		r := &Rollup{Source: fmt.Sprint("s", i), Batches: maxBuckets, T1: collectors.Stamp(maxBuckets * width)}
		for k := range int64(maxBuckets) {
			r.Buckets = append(r.Buckets, Bucket{Start: k * width, Last: collectors.Stamp(k * width), Polls: [4]uint32{1}})
		}
		sections = append(sections, Section{Rollup: r})
		head.Cover = append(head.Cover, Cover{Source: r.Source, Count: r.Batches})
		if err := m.rollup(r, nil, 0, width, 0, &left); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Encode(Head{Probe: "t/s", Tier: Quarter}, sections); !errors.Is(err, ErrLarge) {
		t.Errorf("made: %v", err)
	}
	hb, err := proto.Marshal(headTo(&head))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := frame(Version, hb, m.finish(1))
	p, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err = c.Decode(p, nil, nil)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrDamaged) || n > 32<<20 {
		t.Errorf("%d octets: %v, %d MB taken", len(b), err, n>>20)
	}
}
