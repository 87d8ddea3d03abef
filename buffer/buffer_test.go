package buffer_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// clock is set by hand.
type clock struct {
	now, offset int64
	sure        bool
}

func (c *clock) Now() collectors.Stamp { return collectors.Stamp(c.now) }
func (c *clock) Offset() (int64, bool) { return c.offset, c.sure }
func (c *clock) Boot() [16]byte        { return [16]byte{7} }
func (c *clock) step(d time.Duration)  { c.now += d.Milliseconds() }
func newClock() *clock                 { return &clock{now: 1_000_000, offset: 1_800_000_000_000, sure: true} }
func batch(s *collectors.Schema, at collectors.Stamp, v uint64) collectors.Batch {
	vs := make([]collectors.Value, len(s.Series))
	for i := range vs {
		vs[i] = collectors.CounterValue(v + uint64(i))
	}
	return collectors.Batch{Source: s.Source, At: at, Schema: s, Values: vs}
}

func counters(source string, n int) *collectors.Schema {
	s := &collectors.Schema{Source: source}
	for i := range n {
		s.Series = append(s.Series, collectors.Series{Metric: "ifHCInOctets", Unit: "bytes", Kind: collectors.Counter,
			Labels: []collectors.Label{{Name: "device", Value: strings.TrimPrefix(source, "device/")}, {Name: "ifIndex", Value: fmt.Sprint(i)}}})
	}
	return s
}

func config(dir string) buffer.Config {
	c := buffer.DefaultConfig()
	c.Path, c.Commit = filepath.Join(dir, "buffer.db"), 10*time.Minute
	return c
}

func open(t *testing.T, cfg buffer.Config, opt buffer.Options) *buffer.Buffer {
	t.Helper()
	opt.Probe = "t/s"
	if opt.Clock == nil {
		opt.Clock = newClock()
	}
	b, err := buffer.Open(cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func pending(t *testing.T, b *buffer.Buffer) []store.Pending {
	t.Helper()
	ps, err := b.PendingAfter(0, 1<<60, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

func ids(ps []store.Pending) (out []block.ID) {
	for _, p := range ps {
		out = append(out, p.ID)
	}
	return out
}

func schemasOf(t *testing.T, b []byte) []block.ID {
	t.Helper()
	h, _, err := block.ParseHead(b)
	if err != nil {
		t.Fatal(err)
	}
	return h.Schemas()
}

func flush(t *testing.T, b *buffer.Buffer) {
	t.Helper()
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestKeepsAndReadsBack(t *testing.T) {
	cfg, ck := config(t.TempDir()), newClock()
	b := open(t, cfg, buffer.Options{Clock: ck})
	s := counters("device/sw", 3)
	for i := range 10 {
		ck.step(time.Second)
		b.Add(batch(s, ck.Now(), uint64(i*100)))
	}
	if ps := pending(t, b); len(ps) != 0 {
		t.Fatal("shown before the commit")
	}
	flush(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg, buffer.Options{Clock: ck})
	ps := pending(t, b)
	if len(ps) != 1 || ps[0].Readings != 30 {
		t.Fatalf("%+v", ps)
	}
	got, err := b.History(store.Query{Device: "sw", Metric: "ifHCInOctets", Labels: []collectors.Label{{Name: "ifIndex", Value: "2"}}})
	if err != nil || len(got) != 1 || len(got[0].Points) != 10 {
		t.Fatal(got, err)
	}
	if p := got[0].Points[9]; p.V.Counter() != 902 || p.T != ck.now+ck.offset {
		t.Fatalf("%+v", p)
	}
	if n, readings, err := b.Delivered([]block.ID{ps[0].ID, {1}}); n != 1 || readings != 30 || err != nil {
		t.Fatal(n, readings, err)
	}
	if len(pending(t, b)) != 0 {
		t.Fatal("still pending")
	}
	if got, _ := b.History(store.Query{Device: "sw"}); len(got) != 3 {
		t.Fatal("delivered readings stay for look-ups")
	}
}

func TestEveryOpeningIsAnEpoch(t *testing.T) {
	cfg := config(t.TempDir())
	s := counters("device/sw", 1)
	seen := map[uint64]bool{}
	for i := range 3 {
		b := open(t, cfg, buffer.Options{})
		b.Add(batch(s, 0, uint64(i)))
		flush(t, b)
		st, err := b.Stats()
		if err != nil || seen[st.Epoch] {
			t.Fatal(st, err)
		}
		seen[st.Epoch] = true
		b.Close()
	}
	b := open(t, cfg, buffer.Options{}) // nothing added: leaves no trace
	a, err := b.Account(buffer.Everything)
	if err != nil || len(a.Lines) != 3 {
		t.Fatal(a, err)
	}
	for _, l := range a.Lines {
		if l.Next != 1 || len(l.Pending) != 1 || l.Pending[0].Count() != 1 {
			t.Fatalf("%+v", l)
		}
	}
}

func TestOffsetChangeSeals(t *testing.T) {
	ck := newClock()
	b := open(t, config(t.TempDir()), buffer.Options{Clock: ck})
	s := counters("device/sw", 1)
	b.Add(batch(s, ck.Now(), 1))
	ck.offset += 3_600_000
	ck.step(time.Second)
	b.Add(batch(s, ck.Now(), 2))
	flush(t, b)
	if ps := pending(t, b); len(ps) != 2 {
		t.Fatalf("%d blocks", len(ps))
	}
}

func TestInvalidBatchIsAFailedOne(t *testing.T) {
	b := open(t, config(t.TempDir()), buffer.Options{})
	s := counters("device/sw", 2)
	x := batch(s, 0, 1)
	x.Values = x.Values[:1]
	b.Add(x)
	flush(t, b)
	ps := pending(t, b)
	if len(ps) != 1 || ps[0].Readings != 0 {
		t.Fatalf("%+v", ps)
	}
}

func TestLargeLoadMakesBlocksThatFit(t *testing.T) {
	b := open(t, config(t.TempDir()), buffer.Options{NoSync: true})
	for d := range 40 {
		s := counters(fmt.Sprint("device/", d), 500)
		x := batch(s, 0, 0)
		for i := range x.Values {
			x.Values[i] = collectors.CounterValue(uint64(i*d+1) * 0x9E3779B97F4A7C15) // does not compress
		}
		b.Add(x)
	}
	flush(t, b)
	n := 0
	for _, p := range pending(t, b) {
		if len(p.Bytes) > block.MaxBlock {
			t.Fatal(len(p.Bytes))
		}
		n += p.Readings
	}
	if n != 20_000 {
		t.Fatal(n)
	}
}

func TestBudgetEvictsThenDropsWithGaps(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Budget = buffer.MinBudget
	b := open(t, cfg, buffer.Options{NoSync: true})
	s := counters("device/sw", 1000)
	noise := uint64(1)
	total := 0
	for range 1500 {
		x := batch(s, 0, 0)
		for i := range x.Values {
			noise = noise*6364136223846793005 + 1442695040888963407
			x.Values[i] = collectors.CounterValue(noise)
		}
		b.Add(x)
		total++
		if total%5 == 0 {
			flush(t, b)
		}
	}
	b.Event(collectors.Event{Kind: "test", Text: "events stay"})
	flush(t, b)
	st, err := b.Stats()
	if err != nil || st.File > int64(cfg.Budget) || st.Dropped == 0 || st.Trouble != "" {
		t.Fatalf("%+v %v", st, err)
	}
	a, err := b.Account(buffer.Everything)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range a.Lines {
		var all block.Ranges
		n := uint64(0)
		for _, p := range l.Pending {
			all = all.Union(p.Ranges)
			n += p.Count()
		}
		for _, g := range l.Gaps {
			if g.Reason != buffer.ReasonBudget {
				t.Fatal(g)
			}
			all = all.Add(g.Range)
			n += g.End - g.First
		}
		if len(all) != 1 || all[0].First != 0 || all[0].End != l.Next || n != l.Next {
			t.Fatalf("%s: next %d: %v (%d)", l.Source, l.Next, all, n)
		}
		if len(l.Gaps) > 1 {
			t.Fatal("adjacent gaps did not merge", l.Gaps)
		}
	}
}

func TestUnusableDatabaseIsSetAside(t *testing.T) {
	write := func(b []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		why  string
		make func(t *testing.T, path string)
	}{
		{"foreign", write([]byte("not a database at all, but somebody's text"))},
		{"damaged", write(append([]byte("SQLite format 3\x00"), bytes.Repeat([]byte{0xA5}, 8192)...))},
		{"newer", func(t *testing.T, path string) {
			s, err := store.Open(path, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[63] = 99 // user_version, big endian at 60 in SQLite's header
			write(b)(t, path)
		}},
	} {
		t.Run(c.why, func(t *testing.T) {
			cfg := config(t.TempDir())
			c.make(t, cfg.Path)
			b := open(t, cfg, buffer.Options{})
			b.Add(batch(counters("device/sw", 1), 0, 1))
			flush(t, b)
			if n := len(pending(t, b)); n != 2 { // the reading and the event
				t.Fatalf("%d blocks", n)
			}
			kept, _ := filepath.Glob(cfg.Path + "." + c.why + "-*")
			if len(kept) == 0 {
				t.Fatal("not kept")
			}
		})
	}
}

func TestTornEndIsKnown(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	b := open(t, cfg, buffer.Options{})
	s := counters("device/sw", 1)
	b.Add(batch(s, 0, 1))
	flush(t, b)
	old := snapshot(t, cfg.Path)
	b.Add(batch(s, 0, 2))
	flush(t, b)
	b.Close()
	restore(t, cfg.Path, old) // the database went back, the epoch file did not
	b = open(t, cfg, buffer.Options{})
	a, err := b.Account(buffer.Everything)
	if err != nil || len(a.Lines) != 1 || a.Lines[0].Next != 2 || a.Lines[0].Pending[0].Count() != 1 {
		t.Fatalf("%+v %v", a, err)
	}
	l := a.Lines[0]
	done, err := b.Apply(&buffer.Answer{Hub: "h", Lines: []buffer.AnswerLine{{Epoch: l.Epoch, Source: l.Source, Want: block.Ranges{{First: 1, End: 2}}}}})
	if err != nil || done.Gone != 1 {
		t.Fatal(done, err)
	}
}

// snapshot copies the database's files.
func snapshot(t *testing.T, path string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, suffix := range []string{"", "-wal"} {
		if b, err := os.ReadFile(path + suffix); err == nil {
			out[suffix] = b
		}
	}
	return out
}

func restore(t *testing.T, path string, files map[string][]byte) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(path + suffix)
		if b, ok := files[suffix]; ok {
			if err := os.WriteFile(path+suffix, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	cfg := config(t.TempDir())
	open(t, cfg, buffer.Options{})
	if _, err := buffer.Open(cfg, buffer.Options{Probe: "t/s", Clock: newClock()}); !errors.Is(err, store.ErrInUse) {
		t.Fatal(err)
	}
}
