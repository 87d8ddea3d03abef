package hub_test

import (
	"os"
	"path/filepath"
	"slices"
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
	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// A line that is down for longer than the budget has room for every reading: all of
// the timeline stays, the oldest of it as rollups that say what the readings said,
// and when the line is back the hub gets and proves all of it. In make torture it is
// a month of 1,000 series in 16 MB; in make test less of all.
func TestMonthInASmallBudget(t *testing.T) {
	mix, days, budget := loadtest.Mix{Switches: 1, Ports: 24, Checks: 6, Host: true, Interval: time.Minute, Seed: 9}, 4, buffer.Bytes(5<<18)
	commit := time.Minute
	if os.Getenv("SITEPROBE_TORTURE") != "" {
		mix, days, budget = loadtest.Thousand(), 30, 16<<20
		commit = 5 * time.Second
	}
	site := loadtest.New(mix)
	ck := &clock{now: int64(site.Now()), offset: trueOffset}
	cfg := buffer.DefaultConfig()
	cfg.Path, cfg.Budget = filepath.Join(t.TempDir(), "buffer.db"), budget
	b, err := buffer.Open(cfg, buffer.Options{Probe: "t/s", Clock: ck, NoSync: true, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	truth, readings := map[string][]collectors.Batch{}, 0
	began := ck.Now()
	for hours := range days * 24 {
		end := began.Add(time.Duration(hours+1) * time.Hour)
		for ck.Now() < end {
			ck.now += commit.Milliseconds()
			for x := range site.Until(ck.Now()) {
				truth[x.Source] = append(truth[x.Source], x)
				readings += x.Readings()
				b.Add(x)
			}
			if err := b.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Maintain(); err != nil {
			t.Fatal(err)
		}
	}
	st, err := b.Stats()
	if err != nil || st.Dropped > 0 || st.File > int64(budget) {
		t.Fatalf("%+v %v", st, err)
	}
	t.Logf("%d days of %d series, %d readings, in a file of %.1f MB (budget %.1f MB); %d of them became part of a rollup",
		days, site.Series(), readings, float64(st.File)/1e6, float64(budget)/1e6, st.Coarser)
	if st.Coarser == 0 {
		t.Fatal("nothing had to be downsampled: this shows nothing")
	}

	h, err := hub.Open(hub.Options{Path: filepath.Join(t.TempDir(), "hub.db"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	deliverAll(t, b, h)
	p, err := hub.Verify(h.Store(), "t/s", 0, 0, false)
	if err != nil || !p.Complete || p.Lost > 0 || p.Pending > 0 || len(p.Dropped) > 0 || p.Downsampled == 0 || p.Stored+p.Downsampled != p.Expected {
		t.Fatalf("%+v %v", p, err)
	}
	rollups, raw := checkStored(t, h, truth)
	t.Logf("at the hub: %d batches as they were, %d in %d rollups, all as the readings say; verify: complete", raw, p.Downsampled, rollups)
	if uint64(raw) < p.Stored { // the buffer's own events are not in the truth
		t.Errorf("%d batches of %d were compared", raw, p.Stored)
	}
}

// deliverAll lets box and hub talk until nothing is left to say.
func deliverAll(t *testing.T, b *buffer.Buffer, h *hub.Hub) {
	t.Helper()
	say := func(kind wire.Kind, payloads ...[]byte) {
		for len(payloads) > 0 {
			var ms []hub.Message
			for _, x := range payloads {
				ms = append(ms, hub.Message{Site: site, Kind: kind, Payload: x})
			}
			replies, err := h.Handle(ms)
			if err != nil {
				t.Fatal(err)
			}
			again := payloads[:0:0]
			if r := replies[site]; r != nil {
				if _, _, err := b.Delivered(r.Stored); err != nil {
					t.Fatal(err)
				}
				var schemas [][]byte
				for _, m := range r.Missing {
					for _, id := range m.Schemas {
						x, err := b.SchemaBytes(id)
						if err != nil || x == nil {
							t.Fatal(err)
						}
						schemas = append(schemas, x)
					}
					for _, x := range payloads {
						if block.IDOf(x) == m.Block {
							again = append(again, x)
						}
					}
				}
				for _, x := range wire.EncodeSchemas(schemas) {
					if _, err := h.Handle([]hub.Message{{Site: site, Kind: wire.SchemaUp, Payload: x}}); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := b.Apply(&buffer.Answer{Hub: r.Hub, Lines: r.Answer}); err != nil {
					t.Fatal(err)
				}
			}
			payloads = again
		}
	}
	for after := int64(0); ; {
		ps, err := b.PendingAfter(after, b.Head(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(ps) == 0 {
			break
		}
		after = ps[len(ps)-1].Seq
		var payloads [][]byte
		for _, p := range ps {
			payloads = append(payloads, p.Bytes)
		}
		say(wire.Live, payloads...)
	}
	a, err := b.Account(buffer.Everything)
	if err != nil {
		t.Fatal(err)
	}
	say(wire.Accounts, wire.EncodeAccount(a)...)
}

// sameBatch compares all but the schemas, value by value: there are millions.
func sameBatch(a, b collectors.Batch) bool {
	return a.Source == b.Source && a.At == b.At && a.Outcome == b.Outcome && slices.Equal(a.Values, b.Values) &&
		slices.EqualFunc(a.Events, b.Events, func(a, b collectors.Event) bool {
			return a.Kind == b.Kind && a.Severity == b.Severity && a.Text == b.Text && slices.Equal(a.Labels, b.Labels)
		})
}

// checkStored compares all that the hub has with what was collected.
func checkStored(t *testing.T, h *hub.Hub, truth map[string][]collectors.Batch) (rollups, raw int) {
	t.Helper()
	codec, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	err = h.Store().View(func(tx *store.Tx) error {
		return tx.Blocks("t/s", func(x *block.Block) error {
			sections, want, err := codec.Decode(x, tx.Schema, nil)
			if err != nil || want > 0 {
				t.Fatal(err, want)
			}
			for i, s := range sections {
				source := x.Cover[i].Source
				n := min(s.First+uint64(x.Cover[i].Count), uint64(len(truth[source])))
				bs := truth[source][min(s.First, n):n]
				switch {
				case source == buffer.EventSource:
					raw += len(s.Batches)
				case s.Rollup != nil:
					rollups++
					want := blocktest.Recompute(bs, s.Rollup.Schema, x.Tier, x.Offset)
					if diff := cmp.Diff(want, s.Rollup, blocktest.Same(), cmpopts.IgnoreFields(block.Rollup{}, "Schema")); diff != "" {
						t.Fatalf("%s from %d: %.3000s", source, s.First, diff)
					}
				default:
					raw += len(s.Batches)
					if !slices.EqualFunc(bs, s.Batches, sameBatch) {
						t.Fatalf("%s from %d differs", source, s.First)
					}
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return rollups, raw
}
