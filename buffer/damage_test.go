package buffer_test

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// name is a batch's.
type name struct {
	epoch  uint64
	source string
	n      uint64
}

// witness knows independently of the buffer what was committed, and what a hub has.
type witness struct {
	t       testing.TB
	codec   *block.Codec
	schemas map[block.ID]*collectors.Schema
	known   map[*collectors.Schema]bool
	same    map[[2]*collectors.Schema]bool
	sealed  map[block.ID]bool // the blocks as they were committed
	batches map[name]collectors.Batch
	next    map[uint64]map[string]uint64
	hub     map[name]bool
	dropped map[name]string // the gaps before the crash, and why
	epoch   uint64
	clock   *clock
}

func newWitness(t testing.TB) *witness {
	codec, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	return &witness{t: t, codec: codec, schemas: map[block.ID]*collectors.Schema{}, known: map[*collectors.Schema]bool{}, same: map[[2]*collectors.Schema]bool{}, sealed: map[block.ID]bool{}, batches: map[name]collectors.Batch{},
		next: map[uint64]map[string]uint64{}, hub: map[name]bool{}, clock: newClock()}
}

// copy is for a run of its own.
func (l *witness) copy() *witness {
	c := *l
	c.same, c.sealed = map[[2]*collectors.Schema]bool{}, maps.Clone(l.sealed)
	c.batches, c.hub, c.next = maps.Clone(l.batches), maps.Clone(l.hub), map[uint64]map[string]uint64{}
	for e, m := range l.next {
		c.next[e] = maps.Clone(m)
	}
	ck := *l.clock
	c.clock = &ck
	return &c
}

func (l *witness) options() buffer.Options {
	return buffer.Options{NoSync: true, Manual: true, Clock: l.clock, NewEpoch: func() uint64 { l.epoch++; return l.epoch }, Committed: l.committed}
}

func (l *witness) add(b *buffer.Buffer, x collectors.Batch) {
	if x.Schema != nil && !l.known[x.Schema] {
		id, _, err := l.codec.EncodeSchema(x.Schema)
		if err != nil {
			l.t.Fatal(err)
		}
		l.schemas[id], l.known[x.Schema] = x.Schema, true
	}
	l.clock.step(time.Second)
	x.At = l.clock.Now()
	b.Add(x)
}

func (l *witness) committed(x *block.Block) {
	l.sealed[x.ID] = true
	l.each(x, func(id block.ID) *collectors.Schema { return l.schemas[id] }, func(k name, x collectors.Batch) {
		if _, ok := l.batches[k]; ok {
			l.t.Errorf("%v was committed twice", k)
		}
		l.batches[k] = x
		if l.next[k.epoch] == nil {
			l.next[k.epoch] = map[string]uint64{}
		}
		l.next[k.epoch][k.source] = max(l.next[k.epoch][k.source], k.n+1)
	})
}

// each calls f for the batches of a block; it tells whether all schemas were there.
func (l *witness) each(x *block.Block, schema func(block.ID) *collectors.Schema, f func(name, collectors.Batch)) bool {
	sections, want, err := l.codec.Decode(x, schema, nil)
	if err != nil {
		l.t.Errorf("a block is not readable: %v", err)
		return false
	}
	for i := range sections {
		if want > 0 {
			return false
		}
		for j, y := range sections[i].Batches {
			f(name{x.Epoch, x.Cover[i].Source, sections[i].First + uint64(j)}, y)
		}
	}
	return true
}

// receive is the hub taking a block: what is in it must be what was committed.
func (l *witness) receive(b *buffer.Buffer, p store.Pending) bool {
	x, err := block.Parse(p.Bytes)
	if err != nil {
		l.t.Errorf("a damaged block was handed out: %v", err)
		return false
	}
	if l.sealed[x.ID] { // these very bytes were: what is in them was compared when they were
		for i := range x.Cover {
			c := &x.Cover[i]
			if s := b.Schema(c.Schema); c.Schema != (block.ID{}) && (s == nil || !l.equal(s, l.schemas[c.Schema])) {
				return false
			}
		}
		for i := range x.Cover {
			for n := x.Cover[i].First; n < x.Cover[i].Range().End; n++ {
				l.hub[name{x.Epoch, x.Cover[i].Source, n}] = true
			}
		}
		return true
	}
	return l.each(x, b.Schema, func(k name, y collectors.Batch) {
		want, ok := l.batches[k]
		if !ok {
			if k.source != buffer.EventSource { // the buffer's own, told while it opened
				l.t.Errorf("%v was never committed", k)
			}
		} else if y.At != want.At || y.Outcome != want.Outcome || !slices.Equal(y.Values, want.Values) || !l.equal(y.Schema, want.Schema) ||
			!reflect.DeepEqual(y.Events, want.Events) {
			l.t.Errorf("%v is not what was committed: %+v, not %+v", k, y, want)
		}
		l.hub[k] = true
	})
}

// equal compares schemas, each pair once.
func (l *witness) equal(a, b *collectors.Schema) bool {
	k := [2]*collectors.Schema{a, b}
	same, known := l.same[k]
	if !known {
		same = reflect.DeepEqual(a, b)
		l.same[k] = same
	}
	return same
}

// drain delivers all that is pending and can be read; the rest is counted.
func (l *witness) drain(b *buffer.Buffer) (unreadable int) {
	for range 5 { // what is damaged is noticed by reading it
		ps, err := b.PendingAfter(0, b.Head(), 1<<30)
		if err != nil {
			_ = b.Flush()
			continue
		}
		unreadable = 0
		var ids []block.ID
		for _, p := range ps {
			if l.receive(b, p) {
				ids = append(ids, p.ID)
			} else {
				unreadable++
			}
		}
		if _, _, err := b.Delivered(ids); err != nil || b.Flush() != nil {
			continue
		}
		if len(ids) == 0 {
			return unreadable
		}
	}
	return unreadable
}

// settle has an account answered and returns how many batches are gone by it. After
// it, nothing is unknown.
func (l *witness) settle(b *buffer.Buffer) (gone int) {
	l.t.Helper()
	for range 5 {
		a, err := b.Account(buffer.Everything)
		if err != nil {
			_ = b.Flush()
			continue
		}
		answer, next := l.answer(a)
		for epoch, sources := range l.next {
			for source, n := range sources {
				if got := next[epoch][source]; got != n && source != buffer.EventSource {
					l.t.Errorf("epoch %d counts %d of %s, %d were committed", epoch, got, source, n)
				}
			}
		}
		if len(answer.Lines) == 0 {
			return gone
		}
		done, err := b.Apply(answer)
		if err != nil {
			_ = b.Flush()
			continue
		}
		gone += done.Gone
		l.drain(b)
	}
	l.t.Error("an account does not settle")
	return gone
}

// answer is the hub's, worked out from its holdings.
func (l *witness) answer(a *buffer.Account) (*buffer.Answer, map[uint64]map[string]uint64) {
	out, next := &buffer.Answer{Hub: "hub"}, map[uint64]map[string]uint64{}
	for _, line := range a.Lines {
		if next[line.Epoch] == nil {
			next[line.Epoch] = map[string]uint64{}
		}
		next[line.Epoch][line.Source] = max(next[line.Epoch][line.Source], line.Next)
		var have block.Ranges
		for n := line.From; n < line.Next && n < line.From+1<<20; n++ {
			if l.hub[name{line.Epoch, line.Source, n}] {
				have.Push(block.Range{First: n, End: n + 1})
			}
		}
		x := buffer.AnswerLine{Epoch: line.Epoch, Source: line.Source, Want: block.Ranges{{First: line.From, End: line.Next}}.Subtract(have)}
		for _, p := range line.Pending {
			x.Want = x.Want.Subtract(p.Ranges)
			if has := p.Ranges.Intersect(have); len(has) > 0 {
				x.Has = append(x.Has, buffer.TierRanges{Tier: p.Tier, Ranges: has})
			}
		}
		for _, g := range line.Gaps {
			x.Want = x.Want.Subtract(block.Ranges{g.Range})
		}
		if len(x.Want)+len(x.Has) > 0 {
			out.Lines = append(out.Lines, x)
		}
	}
	return out, next
}

// lost returns the committed batches that the hub lacks.
func (l *witness) lost() (out []name) {
	for k := range l.batches {
		if !l.hub[k] {
			out = append(out, k)
		}
	}
	return out
}

// shown compares what look-ups show with what was committed.
func (l *witness) shown(b *buffer.Buffer) (points int) {
	all, err := b.History(store.Query{})
	if err != nil {
		_ = b.Flush()
		if all, err = b.History(store.Query{}); err != nil {
			l.t.Errorf("look-ups fail: %v", err)
		}
	}
	type at struct {
		source string
		t      int64
	}
	want := make(map[at]collectors.Batch, len(l.batches))
	off, _ := l.clock.Offset()
	for _, x := range l.batches {
		want[at{x.Source, int64(x.At) + off}] = x
	}
	for _, s := range all {
		where := map[*collectors.Schema]int{} // the series' column
		for _, p := range s.Points {
			if p.V == (collectors.Value{}) {
				continue // a poll that gave nothing
			}
			x, ok := want[at{s.Source, p.T}]
			if !ok || x.Schema == nil {
				l.t.Errorf("%s has a reading at %d, which was never committed", s.Source, p.T)
				return points
			}
			i, known := where[x.Schema]
			if !known {
				i = slices.IndexFunc(x.Schema.Series, func(e collectors.Series) bool { return e.String() == s.Series.String() })
				where[x.Schema] = i
			}
			if i < 0 || x.Values[i] != p.V {
				l.t.Errorf("%s %s at %d: %v is shown, which is not what was committed", s.Source, s.Series.String(), p.T, p.V)
				return points
			}
			points++
		}
	}
	return points
}

// gapsOf returns the batches that are in gaps, and why.
func gapsOf(a *buffer.Account) map[name]string {
	out := map[name]string{}
	for _, x := range a.Lines {
		for _, g := range x.Gaps {
			for n := g.First; n < g.End; n++ {
				out[name{x.Epoch, x.Source, n}] = g.Reason
			}
		}
	}
	return out
}

// wreckage is what lies on the disk when the process dies.
type wreckage struct {
	*witness
	files map[string][]byte // by name below the folder
}

// wrecked makes a buffer with everything in it, of about mb megabytes, and what a
// crash leaves of it.
func wrecked(t testing.TB, seed uint64, mb int) *wreckage {
	dir := t.TempDir()
	cfg := config(dir)
	l := newWitness(t)
	r := rand.New(rand.NewPCG(seed, 3))
	n := noise(seed)
	var schemas []*collectors.Schema
	for i := range 5 {
		schemas = append(schemas, counters(fmt.Sprint("device/sw", i), 40+40*i))
	}
	fill := func(b *buffer.Buffer, octets int) {
		for octets > 0 {
			for range 1 + r.IntN(12) {
				s := schemas[r.IntN(len(schemas))]
				x := n.batch(s)
				if r.IntN(9) == 0 {
					x = collectors.Batch{Source: s.Source, Outcome: collectors.Outcome{Result: collectors.Failed, Why: "no answer"}}
				}
				l.add(b, x)
				octets -= 8 * len(x.Values)
			}
			if r.IntN(30) == 0 {
				l.add(b, collectors.Batch{Source: "device/sw0", Events: []collectors.Event{{Kind: "reboot", Text: "it came back"}}})
			}
			before := b.Head()
			if err := b.Flush(); err != nil {
				t.Fatal(err)
			}
			ps, err := b.PendingAfter(before, b.Head(), 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			var ids []block.ID
			for _, p := range ps {
				if r.IntN(3) == 0 && l.receive(b, p) {
					ids = append(ids, p.ID)
				}
			}
			if _, _, err := b.Delivered(ids); err != nil {
				t.Fatal(err)
			}
		}
	}
	opened := func(c buffer.Config) *buffer.Buffer {
		o := l.options()
		o.Probe = "t/s"
		b, err := buffer.Open(c, o)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	small := cfg
	small.Budget = buffer.MinBudget
	b := opened(small)
	fill(b, 3<<19) // more than fits: gaps
	a, err := b.Account(buffer.Everything)
	if err != nil {
		t.Fatal(err)
	}
	l.dropped = gapsOf(a)
	b.Close()
	for range 2 {
		b = opened(cfg)
		fill(b, mb<<20/3)
		b.Close()
	}
	b = opened(cfg)
	fill(b, mb<<20/3)
	s := &wreckage{l, map[string][]byte{}}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".lock" {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if rel == "buffer.db-shm" {
			return nil
		}
		s.files[rel], err = os.ReadFile(path)
		return err
	})
	b.Close()
	if err != nil || len(s.files["buffer.db-wal"]) == 0 {
		t.Fatal("no log", err)
	}
	return s
}

// restore writes the files into a folder of their own and returns the settings for
// them, and the witness for what comes.
func (s *wreckage) restore(t testing.TB) (buffer.Config, *witness) {
	dir := t.TempDir()
	for name, b := range s.files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := s.witness.copy()
	l.t = t
	l.epoch += 1000
	return config(dir), l
}

// resume opens what is left and has it commit again, and fails if it needs help.
func (l *witness) resume(cfg buffer.Config) (*buffer.Buffer, time.Duration) {
	l.t.Helper()
	began := time.Now()
	o := l.options()
	o.Probe = "t/s"
	b, err := buffer.Open(cfg, o)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { b.Close() })
	l.serve(b)
	return b, time.Since(began)
}

// serve has a batch committed.
func (l *witness) serve(b *buffer.Buffer) {
	l.t.Helper()
	l.add(b, batch(counters("device/sw0", 10), 0, 7))
	err := b.Flush()
	for range 4 {
		if err == nil {
			return
		}
		err = b.Flush()
	}
	l.t.Fatalf("it does not commit again: %v", err)
}

// poll collects each source once more.
func (l *witness) poll(b *buffer.Buffer) {
	l.t.Helper()
	for s := range maps.Clone(l.known) {
		l.add(b, batch(s, 0, 7))
	}
	if err := b.Flush(); err != nil {
		l.t.Error(err)
	}
}

// seed is drawn, or given to replay a run.
func seed(t testing.TB) uint64 {
	s := uint64(time.Now().UnixNano())
	if x := os.Getenv("SITEPROBE_SEED"); x != "" {
		var err error
		if s, err = strconv.ParseUint(x, 10, 64); err != nil {
			t.Fatalf("SITEPROBE_SEED: %v", err)
		}
	}
	t.Logf("SITEPROBE_SEED=%d", s)
	return s
}

func torture() bool { return os.Getenv("SITEPROBE_TORTURE") != "" }
