package buffer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
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
