package buffer_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/loadtest"
	"github.com/siteprobe/siteprobe/collectors"
)

// A line that is down for a month: a thousand series every minute, committed every
// five seconds, stay on the disk, and all of them come out of it again as they went
// in. In make test it is a day, committed every minute.
func TestOutage(t *testing.T) {
	days, commit := 1, time.Minute
	if os.Getenv("SITEPROBE_TORTURE") != "" {
		days, commit = 30, 5*time.Second
	}
	mix := loadtest.Thousand()
	if s := os.Getenv("SITEPROBE_SEED"); s != "" {
		var err error
		if mix.Seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	site := loadtest.New(mix)
	t.Logf("%d days of %d series every %v, seed %d", days, site.Series(), mix.Interval, mix.Seed)
	ck := &clock{now: int64(site.Now()), offset: 1_800_000_000_000, sure: true}
	b := open(t, config(t.TempDir()), buffer.Options{Clock: ck, NoSync: true, Manual: true})

	made := ledger{}
	began := time.Now()
	for end := site.Now().Add(time.Duration(days) * 24 * time.Hour); ck.Now() < end; {
		ck.step(commit)
		for x := range site.Until(ck.Now()) {
			made.add(x.Source, made[x.Source].batches, &x)
			b.Add(x)
		}
		flush(t, b)
	}
	report := func(what string) int64 {
		st, err := b.Stats()
		if err != nil || st.Dropped > 0 {
			t.Fatalf("%+v %v", st, err)
		}
		t.Logf("%s: %d readings in %d blocks, %.1f MB in use, %.2f bytes a reading, file of %.1f MB (%v)",
			what, st.Pending.Readings, st.Pending.Blocks, float64(st.Used)/1e6, float64(st.Used)/float64(st.Pending.Readings), float64(st.File)/1e6, time.Since(began).Round(time.Second))
		return st.Used
	}
	report("as committed")
	if err := b.Maintain(); err != nil {
		t.Fatal(err)
	}
	// 64 MB for a month; the last hour, which is not compacted yet, counts for more
	// in a day.
	if used, most := report("compacted"), 64e6*float64(days)/30+0.5e6; float64(used) > most {
		t.Errorf("%.1f MB in use, more than %.1f MB", float64(used)/1e6, most/1e6)
	}
	kept := ledger{}
	drain(t, b, func(s *block.Section) {
		for i := range s.Batches {
			x := &s.Batches[i]
			kept.add(x.Source, s.First+uint64(i), x)
		}
	})
	for source, want := range made {
		if got := kept[source]; got != want {
			t.Errorf("%s: %d batches with %d readings came out, %d with %d went in, or they are not the same ones",
				source, got.batches, got.readings, want.batches, want.readings)
		}
	}
	if len(kept) != len(made) {
		t.Errorf("%d sources came out, %d went in", len(kept), len(made))
	}
}

// ledger tells, for each source, whether two sets of batches are the same, in
// whatever order they come.
type ledger map[string]entry

type entry struct{ batches, readings, sum uint64 }

func (l ledger) add(source string, n uint64, x *collectors.Batch) {
	const prime = 0x9E3779B97F4A7C15
	h := n*prime ^ uint64(x.At)
	mix := func(v uint64) {
		h = (h ^ v) * prime
		h ^= h >> 29
	}
	mix(uint64(x.Outcome.Result))
	text := func(s string) {
		for i := range len(s) {
			mix(uint64(s[i]))
		}
	}
	text(x.Outcome.Why)
	for i := range x.Values {
		v := &x.Values[i]
		if v.Missing() {
			mix(prime)
			continue
		}
		mix(v.Counter())
		text(v.Text())
	}
	e := l[source]
	e.batches++
	e.readings += uint64(x.Readings())
	e.sum += h
	l[source] = e
}

// drain sends everything that is pending: f gets what a hub would unpack, and the
// blocks become delivered.
func drain(t *testing.T, b *buffer.Buffer, f func(*block.Section)) {
	t.Helper()
	c, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	after := int64(0)
	for {
		ps, err := b.PendingAfter(after, b.Head(), 256<<10)
		if err != nil {
			t.Fatal(err)
		}
		if len(ps) == 0 {
			return
		}
		for _, p := range ps {
			after = p.Seq
			x, err := block.Parse(p.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			sections, want, err := c.Decode(x, b.Schema, nil)
			if err != nil || want > 0 {
				t.Fatal(want, err)
			}
			for i := range sections {
				f(&sections[i])
			}
		}
		if _, _, err := b.Delivered(ids(ps)); err != nil {
			t.Fatal(err)
		}
	}
}
