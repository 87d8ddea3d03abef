package buffer_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/block/blocktest"
	"github.com/siteprobe/siteprobe/buffer/loadtest"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// live lets a site run for a time, with a commit every five seconds of it.
func live(t testing.TB, b *buffer.Buffer, site *loadtest.Site, ck *clock, d time.Duration) (readings int) {
	t.Helper()
	end := collectors.Stamp(ck.now).Add(d)
	for collectors.Stamp(ck.now) < end {
		ck.step(5 * time.Second)
		for x := range site.Until(ck.Now()) {
			readings += x.Readings()
			b.Add(x)
		}
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	return readings
}

func maintain(t testing.TB, b *buffer.Buffer) {
	t.Helper()
	if err := b.Maintain(); err != nil {
		t.Fatal(err)
	}
}

// holdings is what an account says is pending, by epoch and source.
func holdings(t testing.TB, b *buffer.Buffer) map[string]block.Ranges {
	t.Helper()
	a, err := b.Account(buffer.Everything)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]block.Ranges{}
	for _, l := range a.Lines {
		k := fmt.Sprint(l.Epoch, l.Source)
		for _, p := range l.Pending {
			if out[k].Intersect(p.Ranges) != nil {
				t.Fatal("a batch is in two blocks", k, p.Ranges)
			}
			out[k] = out[k].Union(p.Ranges)
		}
	}
	return out
}

func TestCompactionChangesNothingButTheSize(t *testing.T) {
	ck := newClock()
	b := open(t, config(t.TempDir()), buffer.Options{Clock: ck, NoSync: true, Manual: true})
	site := loadtest.New(loadtest.Thousand())
	n := live(t, b, site, ck, 3*time.Hour+20*time.Minute)
	read := func() []store.Points {
		out, err := b.History(store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	was, all := read(), holdings(t, b)
	before, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	maintain(t, b)
	after, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d readings: pending blocks %.2f B a reading before, %.2f after; used %.2f, then %.2f", n, float64(before.Pending.Bytes)/float64(n), float64(after.Pending.Bytes)/float64(n),
		float64(before.Used)/float64(n), float64(after.Used)/float64(n))
	samePoints(t, was, read())
	if diff := cmp.Diff(all, holdings(t, b)); diff != "" {
		t.Fatal(diff)
	}
	if before.Pending.Readings != after.Pending.Readings || after.Pending.Blocks > before.Pending.Blocks/4 {
		t.Fatalf("%+v, then %+v", before.Pending, after.Pending)
	}
	if before.Head != after.Head {
		t.Fatal("compaction is no news to the sender")
	}
}

func samePoints(t testing.TB, want, got []store.Points) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d series, then %d", len(want), len(got))
	}
	for i := range want {
		if diff := cmp.Diff(want[i], got[i], cmp.AllowUnexported(collectors.Value{})); diff != "" {
			t.Fatalf("%.2000s", diff)
		}
	}
}

// A long outage in a small budget keeps its whole timeline, the oldest of it as
// rollups that say what the readings said.
func TestOutageLargerThanTheBudget(t *testing.T) {
	cfg, ck := config(t.TempDir()), newClock()
	cfg.Budget = 5 << 18
	b := open(t, cfg, buffer.Options{Clock: ck, NoSync: true, Manual: true})
	site := loadtest.New(loadtest.Mix{Switches: 1, Ports: 24, Checks: 4, Host: true, Interval: time.Minute, Seed: 3})
	began := ck.now + ck.offset
	truth := map[string][]collectors.Batch{}
	readings := 0
	for range 24 * 4 {
		end := ck.Now().Add(time.Hour)
		for ck.Now() < end {
			ck.step(time.Minute)
			for x := range site.Until(ck.Now()) {
				truth[x.Source] = append(truth[x.Source], x)
				readings += x.Readings()
				b.Add(x)
			}
			flush(t, b)
		}
		maintain(t, b)
	}
	st, err := b.Stats()
	if err != nil || st.Dropped != 0 || st.Used > int64(cfg.Budget) {
		t.Fatalf("%+v %v", st, err)
	}
	a, err := b.Account(buffer.Everything)
	if err != nil {
		t.Fatal(err)
	}
	tiers := map[block.Tier]uint64{}
	for _, l := range a.Lines {
		all := block.Ranges{}
		for _, p := range l.Pending {
			tiers[p.Tier] += p.Count()
			all = all.Union(p.Ranges)
		}
		if len(l.Gaps) != 0 || len(all) != 1 || all[0] != (block.Range{First: 0, End: l.Next}) || int(l.Next) != len(truth[l.Source]) {
			t.Fatalf("%s: %v of %d, gaps %v", l.Source, all, l.Next, l.Gaps)
		}
	}
	t.Logf("%d readings in %d octets: batches by tier %v", readings, st.Used, tiers)
	if tiers[block.Quarter] == 0 {
		t.Fatal("nothing was downsampled: the test is of no use")
	}
	rolled := checkRollups(t, b, truth)
	t.Logf("%d rollups are what the readings say", rolled)
	series, err := b.History(store.Query{Device: "sw001"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range series {
		if first := p.Points[0].T; first > began+2*time.Hour.Milliseconds() {
			t.Fatalf("%v begins %v late", p.Series.String(), time.Duration(first-began)*time.Millisecond)
		}
	}
}

// checkRollups compares every rollup that is pending with what the readings give.
func checkRollups(t *testing.T, b *buffer.Buffer, truth map[string][]collectors.Batch) (n int) {
	t.Helper()
	codec, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pending(t, b) {
		x, err := block.Parse(p.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		sections, want, err := codec.Decode(x, b.Schema, nil)
		if err != nil || want > 0 {
			t.Fatal(err, want)
		}
		for _, s := range sections {
			r := s.Rollup
			if r == nil {
				continue
			}
			bs := truth[r.Source][s.First : s.First+uint64(r.Batches)]
			if diff := cmp.Diff(blocktest.Recompute(bs, r.Schema, x.Tier, x.Offset), r, blocktest.Same(), cmpopts.IgnoreFields(block.Rollup{}, "Schema")); diff != "" {
				t.Fatalf("%s from %d: %.3000s", r.Source, s.First, diff)
			}
			n++
		}
	}
	return n
}

// Events that come again and again are told once with their number before any is
// dropped; those that are told apart stay.
func TestEventsCoalesce(t *testing.T) {
	cfg, ck := config(t.TempDir()), newClock()
	cfg.Budget = buffer.MinBudget
	b := open(t, cfg, buffer.Options{Clock: ck, NoSync: true, Manual: true})
	const n = 6000
	for i := range n {
		ck.step(time.Second)
		b.Add(collectors.Batch{Source: "device/sw", At: ck.Now(), Events: []collectors.Event{{Kind: "linkDown", Severity: collectors.Warning,
			Text: fmt.Sprintf("port %d went down for the %dth time, %d", i%7, i, i*i), Labels: []collectors.Label{{Name: "ifIndex", Value: fmt.Sprint(i % 7)}}}}})
		if i%20 == 0 {
			flush(t, b)
			maintain(t, b)
		}
	}
	flush(t, b)
	maintain(t, b)
	st, err := b.Stats()
	if err != nil || st.Dropped > 0 {
		t.Fatalf("%+v %v", st, err)
	}
	all := holdings(t, b)
	if len(all) != 1 {
		t.Fatal(all)
	}
	for k, r := range all {
		if len(r) != 1 || r[0] != (block.Range{First: 0, End: n}) {
			t.Fatal(k, r)
		}
	}
	path := cfg.Path
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(path, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	events, err := s.Events("t/s", n)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, e := range events {
		count := 1
		for _, l := range e.Labels {
			if l.Name == buffer.LabelCount {
				_, _ = fmt.Sscan(l.Value, &count)
			}
		}
		told += count
	}
	if told != n || len(events) > n/2 {
		t.Fatalf("%d events tell of %d", len(events), told)
	}
	t.Logf("%d events in %d blocks, told by %d in %d octets", n, st.Pending.Blocks, len(events), st.Pending.Bytes)
}

// A block that cannot be unpacked stays as it is, and stops nothing else.
func TestMaintenanceGoesOnWithoutASchema(t *testing.T) {
	cfg, ck := config(t.TempDir()), newClock()
	b := open(t, cfg, buffer.Options{Clock: ck, NoSync: true, Manual: true})
	gone := counters("device/gone", 3)
	b.Add(batch(gone, ck.Now(), 1))
	flush(t, b)
	live(t, b, loadtest.New(loadtest.Mix{Switches: 1, Ports: 8, Host: true, Interval: time.Minute, Seed: 5, Start: ck.Now()}), ck, 3*time.Hour)
	behind(t, cfg.Path, func(db *sql.DB) {
		id, _, err := codecOf(t).EncodeSchema(gone)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("DELETE FROM schema WHERE hash=?", id[:]); err != nil {
			t.Fatal(err)
		}
	})
	before := len(pending(t, b))
	maintain(t, b)
	if after := len(pending(t, b)); after > before/4 {
		t.Fatalf("%d blocks, then %d", before, after)
	}
}

func codecOf(t *testing.T) *block.Codec {
	t.Helper()
	c, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	return c
}
