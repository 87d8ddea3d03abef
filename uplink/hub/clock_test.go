package hub_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// TestHubCorrectsUnsureBlocks: whatever order the blocks and the clock event come
// in, the hub ends up with the true times, and so does the box.
func TestHubCorrectsUnsureBlocks(t *testing.T) {
	const truth = 1_800_000_000_000
	ck := &clock{now: 5000, offset: 0, boot: 3, unsure: true} // it says 1970
	cfg := buffer.DefaultConfig()
	cfg.Path = filepath.Join(t.TempDir(), "buffer.db")
	b, err := buffer.Open(cfg, buffer.Options{Probe: "t/s", Clock: ck, NoSync: true, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := &collectors.Schema{Source: "device/sw", Series: []collectors.Series{{Metric: "m", Kind: collectors.Counter}}}
	const n = 60
	for i := range n {
		ck.now += 60_000
		if i == n/2 {
			ck.offset, ck.unsure = truth, false
		}
		b.Add(collectors.Batch{Source: s.Source, At: ck.Now(), Schema: s, Values: []collectors.Value{collectors.CounterValue(uint64(truth + ck.now))}})
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	all, err := b.PendingAfter(0, 1<<60, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := b.SchemaBytes(idOf(t, s))
	if err != nil {
		t.Fatal(err)
	}
	for name, order := range map[string]func(){
		"as they were sealed": func() {},
		"the newest first":    func() { slices.Reverse(all) },
		"in any order":        func() { rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] }) },
	} {
		t.Run(name, func(t *testing.T) {
			order()
			h, err := hub.Open(hub.Options{Path: filepath.Join(t.TempDir(), "hub.db"), NoSync: true})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			msgs := []hub.Message{{Site: site, Kind: wire.SchemaUp, Payload: wire.EncodeSchemas([][]byte{schema})[0]}}
			for _, p := range all {
				msgs = append(msgs, hub.Message{Site: site, Kind: wire.Backfill, Payload: p.Bytes})
				if _, err := h.Handle(msgs); err != nil {
					t.Fatal(err)
				}
				msgs = nil
			}
			for who, read := range map[string]func(store.Query) ([]store.Points, error){"hub": h.Store().History, "box": b.History} {
				for _, q := range []struct {
					from, to int64
					want     int
				}{{0, 0, n}, {truth + 5000 + 600_000, truth + 5000 + 1_200_000, 11}, {1, truth, 0}} {
					got, err := read(store.Query{Probe: "t/s", Source: s.Source, From: q.from, To: q.to})
					if err != nil || len(got) != min(q.want, 1) {
						t.Fatal(who, got, err)
					}
					if q.want == 0 {
						continue
					}
					if len(got[0].Points) != q.want {
						t.Fatalf("%s: %d points from %d to %d, want %d", who, len(got[0].Points), q.from, q.to, q.want)
					}
					for _, p := range got[0].Points {
						if p.Unsure || p.T != int64(p.V.Counter()) {
							t.Fatalf("%s: %+v", who, p)
						}
					}
				}
			}
		})
	}
}

func idOf(t *testing.T, s *collectors.Schema) block.ID {
	t.Helper()
	codec, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := codec.EncodeSchema(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestClonedDisk: two boxes that go on from one disk are told from one that only
// restarts, crashes, or loses its database.
func TestClonedDisk(t *testing.T) {
	dir := t.TempDir()
	h, err := hub.Open(hub.Options{Path: filepath.Join(dir, "hub.db"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	s := &collectors.Schema{Source: "device/sw", Series: []collectors.Series{{Metric: "m", Kind: collectors.Counter}}}
	run := func(dir string) {
		t.Helper()
		cfg := buffer.DefaultConfig()
		cfg.Path = filepath.Join(dir, "buffer.db")
		b, err := buffer.Open(cfg, buffer.Options{Probe: "t/s", Clock: &clock{now: 5000, offset: trueOffset}, NoSync: true, Manual: true})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		b.Add(collectors.Batch{Source: s.Source, Schema: s, Values: []collectors.Value{collectors.CounterValue(1)}})
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
		a, err := b.Account(buffer.Everything)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range wire.EncodeAccount(a) {
			if _, err := h.Handle([]hub.Message{{Site: site, Kind: wire.Accounts, Payload: m}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	cloned := func(want bool, after string) {
		t.Helper()
		p, err := hub.Verify(h.Store(), "t/s", 0, 0, false)
		if err != nil || p.Cloned != want {
			t.Fatalf("%s: %+v %v", after, p, err)
		}
	}
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	run(one)
	run(one)
	cloned(false, "restarted")
	if err := os.WriteFile(filepath.Join(one, "buffer.db"), []byte("this was a database once"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(one)
	run(one)
	cloned(false, "set aside")
	if err := os.CopyFS(two, os.DirFS(one)); err != nil {
		t.Fatal(err)
	}
	run(two)
	cloned(false, "a copy runs, the first does not: they are one box still")
	run(one)
	cloned(true, "both run")
}

// readTimes returns when each value of the ledger is, as a reader sees it.
func readTimes(st *store.Store) (map[uint64]store.Point, error) {
	out := map[uint64]store.Point{}
	all, err := st.History(store.Query{Probe: "t/s", Labels: []collectors.Label{{Name: "k", Value: "0"}}})
	for _, s := range all {
		for _, p := range s.Points {
			if p.V.Missing() {
				continue
			}
			if was, ok := out[p.V.Counter()]; ok {
				return nil, fmt.Errorf("value %d is there at %d and at %d", p.V.Counter(), was.T, p.T)
			}
			out[p.V.Counter()] = p
		}
	}
	return out, err
}

// told is what a boot's clock event says, and when it was made.
type told struct {
	offset int64
	at     collectors.Stamp
}

// toldBy notes the clock event that a stored batch may hold; the earliest of a boot
// counts.
func (w *world) toldBy(clocks map[[16]byte]told, b *block.Block, x *collectors.Batch) {
	for _, e := range x.Events {
		if e.Kind != store.ClockEvent {
			continue
		}
		if was, ok := clocks[b.Boot]; !ok || x.At < was.at {
			clocks[b.Boot] = told{b.Offset, x.At}
		}
	}
}

// times compares what a reader at the hub sees with the ledger: each reading at the
// wall time that its block or, where the clock was unsure, its boot's clock event
// gives it.
func (w *world) times(got map[name]bool, clocks map[[16]byte]told) {
	seen, err := readTimes(w.hub.Store())
	if err != nil {
		w.fail("I7 reading back: %v", err)
		return
	}
	order := map[[16]byte][]store.Point{} // of one boot, unsure and never told
	for n := range got {
		t := w.com[n]
		if t.value == 0 {
			continue
		}
		p, ok := seen[t.value]
		c, known := clocks[t.boot]
		switch {
		case !ok:
			w.fail("I7 the hub has %v and does not show it", n)
		case t.sure && (p.T != t.wall || p.Unsure):
			w.fail("I7 %v was at %d and is shown at %d (unsure %v)", n, t.wall, p.T, p.Unsure)
		case !t.sure && known && (p.T != int64(t.stamp)+c.offset || p.Unsure):
			w.fail("I7 %v was at %d, its clock event says %d and it is shown at %d (unsure %v)", n, t.wall, int64(t.stamp)+c.offset, p.T, p.Unsure)
		case !t.sure && !known:
			if !p.Unsure {
				w.fail("I7 %v is shown as if its time were known", n)
			}
			p.V = collectors.CounterValue(uint64(t.stamp))
			order[t.boot] = append(order[t.boot], p)
		}
	}
	for boot, ps := range order {
		slices.SortFunc(ps, func(a, b store.Point) int { return cmp.Compare(a.V.Counter(), b.V.Counter()) })
		if !slices.IsSortedFunc(ps, func(a, b store.Point) int { return cmp.Compare(a.T, b.T) }) {
			w.fail("I7 the readings of boot %x are out of order", boot[:2])
		}
	}
}
