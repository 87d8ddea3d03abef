package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// contents is all that a database, the box's or the hub's, holds of the probe.
type contents struct {
	batches map[batchName]string // all that a batch says, as text
	values  []reading            // of ifHCInOctets
	blocks  int
	again   int              // batches that are in more than one block, the same each time
	clashes []string         // ... and not the same
	gaps    map[string]int   // batches in gaps, by reason
	pending map[block.ID]int // readings of blocks that wait, on the box
}

// reading is one value and where it stands.
type reading struct {
	name   batchName
	device string
	value  uint64
}

func newContents() *contents {
	return &contents{batches: map[batchName]string{}, gaps: map[string]int{}, pending: map[block.ID]int{}}
}

// readContents reads a database whose process has ended.
func readContents(t *testing.T, path string) *contents {
	t.Helper()
	st, err := store.Open(path, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	c := newContents()
	err = st.View(func(tx *store.Tx) error {
		id, err := tx.FindProbe(probeName)
		if err != nil {
			return err
		}
		err = tx.Blocks(probeName, func(b *block.Block) error { return c.add(st, tx, b) })
		if err != nil {
			return err
		}
		err = tx.Rows(func(r *store.Row) error { c.pending[r.ID] = r.Readings; return nil }, "WHERE p.seq IS NOT NULL")
		if err != nil {
			return err
		}
		return tx.Gaps(id, func(g store.Gap) error { c.gaps[g.Reason] += int(g.End - g.First); return nil })
	})
	if err != nil {
		t.Fatalf("reading %s: %v", path, err)
	}
	return c
}

func (c *contents) add(st *store.Store, tx *store.Tx, b *block.Block) error {
	c.blocks++
	sections, want, err := st.Codec().Decode(b, tx.Schema, nil)
	if err != nil {
		return err
	}
	if want > 0 {
		return fmt.Errorf("block %v lacks %d schemas", b.ID, want)
	}
	for i := range sections {
		for k := range sections[i].Batches {
			x := &sections[i].Batches[k]
			name := batchName{b.Epoch, x.Source, sections[i].First + uint64(k)}
			text := describe(b, x)
			switch was, ok := c.batches[name]; {
			case !ok:
				c.batches[name] = text
				c.values = append(c.values, readingsOf(name, x)...)
			case was == text:
				c.again++
			default:
				c.clashes = append(c.clashes, fmt.Sprintf("%v: %s, and %s", name, was, text))
			}
		}
	}
	return nil
}

// describe writes down all that a batch says.
func describe(b *block.Block, x *collectors.Batch) string {
	var s strings.Builder
	fmt.Fprintf(&s, "at %d (%d, sure %v) %v %q", x.At, b.Wall(x.At), b.Sure, x.Outcome.Result, x.Outcome.Why)
	for i := range x.Values {
		fmt.Fprintf(&s, " %s=%q", x.Schema.Series[i].String(), x.Values[i].Format(x.Schema.Series[i].Kind))
	}
	for _, e := range x.Events {
		fmt.Fprintf(&s, " event %v", e)
	}
	return s.String()
}

func readingsOf(name batchName, x *collectors.Batch) (out []reading) {
	for i := range x.Values {
		if s := &x.Schema.Series[i]; s.Metric == "ifHCInOctets" && !x.Values[i].Missing() {
			out = append(out, reading{name, s.Label("device"), x.Values[i].Counter()})
		}
	}
	return out
}

// comparison is what is wrong between the ledgers; empty where nothing is.
type comparison struct {
	lost      []batchName // committed by the log, and not at the hub
	forgotten []batchName // committed by the log, and not on the box: its disk lost it
	unknown   []batchName // at the hub, and not on the box: it was sent before its commit
	unlogged  int         // on the box, and not in the log: killed between commit and line
	different []batchName // at the hub and on the box, and not the same
	invented  []reading   // no agent ever answered that
	doubled   []string    // one value under two names
}

// compare holds the ledgers against each other.
func compare(l *ledger, f *fleet, box, hub *contents) comparison {
	var c comparison
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.batches {
		if _, ok := hub.batches[name]; !ok {
			c.lost = append(c.lost, name)
		}
		if _, ok := box.batches[name]; !ok {
			c.forgotten = append(c.forgotten, name)
		}
	}
	for name, text := range box.batches {
		if !l.batches[name] {
			c.unlogged++
			// What is on the box is committed, whether or not it could say so.
			if _, ok := hub.batches[name]; !ok {
				c.lost = append(c.lost, name)
			}
		}
		if at, ok := hub.batches[name]; ok && at != text {
			c.different = append(c.different, name)
		}
	}
	for name := range hub.batches {
		if _, ok := box.batches[name]; !ok {
			c.unknown = append(c.unknown, name)
		}
	}
	first := map[uint64]batchName{}
	for _, r := range hub.values {
		if !f.answered(r.device, r.value) {
			c.invented = append(c.invented, r)
		}
		if was, ok := first[r.value]; ok {
			c.doubled = append(c.doubled, fmt.Sprintf("%d is %v and %v", r.value, was, r.name))
		}
		first[r.value] = r.name
	}
	return c
}

// clip is the beginning of a list that may be long.
func clip[T any](list []T) []T { return list[:min(len(list), 10)] }

// assert fails the test for everything that is wrong apart from what is lost.
func (c *comparison) assert(t *testing.T) {
	t.Helper()
	for what, n := range map[string][]batchName{
		"committed by the log and not in the box's database": c.forgotten,
		"at the hub and not in the box's database":           c.unknown,
		"not the same at the hub and in the box's database":  c.different,
	} {
		if len(n) > 0 {
			t.Errorf("%d batches are %s: %v", len(n), what, clip(n))
		}
	}
	if len(c.invented) > 0 {
		t.Errorf("%d values at the hub were never answered by their device: %v", len(c.invented), clip(c.invented))
	}
	if len(c.doubled) > 0 {
		t.Errorf("%d values stand under two names: %v", len(c.doubled), clip(c.doubled))
	}
}
