package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// What a source recorded comes in the order in which it did so, also where the clock
// was set back between two blocks or two epochs.
func TestEventsRecordedASource(t *testing.T) {
	k := open(t)
	at := func(source string, t int64, texts ...string) collectors.Batch {
		b := collectors.Batch{Source: source, At: collectors.Stamp(t)}
		for _, s := range texts {
			b.Events = append(b.Events, collectors.Event{Kind: "k", Text: s})
		}
		return b
	}
	put := func(epoch uint64, offset int64, first uint64, bs ...collectors.Batch) {
		t.Helper()
		err := k.Update(func(tx *store.Tx) error {
			b, err := k.Codec().Encode(block.Head{Probe: probe, Epoch: epoch, Boot: [16]byte{1}, Class: block.Events, Offset: offset, Sure: true},
				[]block.Section{{First: first, Batches: bs}})
			if err != nil {
				return err
			}
			id, err := tx.Probe(probe)
			if err != nil {
				return err
			}
			if err := tx.PutEpoch(id, store.Epoch{ID: epoch, N: 100 - epoch}); err != nil { // epoch 9 is before 8
				return err
			}
			return tx.PutBlock(id, b, false)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put(9, 5000, 0, at("a", 1000, "one", "two"), at("a", 2000, "three"))
	put(9, 5000, 0, at("b", 1500, "of another source"))
	put(9, 1000, 2, at("a", 2500, "four")) // set back by 4 s
	put(8, 0, 0, at("a", 100, "five"))
	got := func(from, to int64) (text string) {
		es, err := k.EventsRecorded(context.Background(), probe, "a", from, to)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			text += fmt.Sprintf("%s@%d ", e.Text, e.T)
		}
		return text
	}
	if s := got(0, 0); s != "one@6000 two@6000 three@7000 four@3500 five@100 " {
		t.Error(s)
	}
	if s := got(3500, 7000); s != "one@6000 two@6000 four@3500 " {
		t.Error(s)
	}
	if es, err := k.EventsRecorded(context.Background(), "t/none", "a", 0, 0); len(es) != 0 || err != nil {
		t.Error(es, err)
	}
	if n, err := k.Newest(probe); n != 7000 || err != nil {
		t.Error(n, err)
	}
}
