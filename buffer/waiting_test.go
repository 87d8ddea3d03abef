package buffer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

func told(source, text string) collectors.Batch {
	return collectors.Batch{Source: source, Events: []collectors.Event{{Kind: "trap", Text: text}}}
}

// Who waits hears of the commit once, after it, whatever else was added.
func TestWaitingForTheCommit(t *testing.T) {
	committed := 0
	b := open(t, config(t.TempDir()), buffer.Options{NoSync: true, Manual: true, Committed: func(*block.Block) { committed++ }})
	calls := map[string]int{}
	for i := range 300 { // far more than the limit that Add's events have
		if !b.AddWaiting(told("trap", fmt.Sprint(i)), func(kept bool) {
			if committed == 0 || !kept {
				t.Error("called before the commit")
			}
			calls[fmt.Sprint(i)]++
		}) {
			t.Fatal("not taken")
		}
		b.Add(told("other", fmt.Sprint(i)))
	}
	if len(calls) > 0 {
		t.Fatal("called before the commit")
	}
	flush(t, b)
	flush(t, b)
	for i := range 300 {
		if calls[fmt.Sprint(i)] != 1 {
			t.Fatalf("batch %d: called %d times", i, calls[fmt.Sprint(i)])
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b.AddWaiting(told("trap", "late"), func(bool) { t.Error("called for a batch that was not taken") }) {
		t.Error("taken by a buffer that is closed")
	}
}

// Nothing is promised of a batch that is not kept as it was given, and while the disk
// fails: who waits hears that it is lost.
func TestWaitingInVain(t *testing.T) {
	cfg := config(t.TempDir())
	b := open(t, cfg, buffer.Options{NoSync: true, Manual: true, NewEpoch: func() uint64 { return 1 }})
	heard := map[string][]bool{}
	tell := func(name string) func(bool) { return func(kept bool) { heard[name] = append(heard[name], kept) } }
	x := told("trap", "")
	x.Events[0].Kind = ""
	b.AddWaiting(x, tell("outside the bounds"))
	flush(t, b)

	inTheWay := filepath.Join(cfg.Path+".epochs", fmt.Sprintf("%016x.new", 1))
	if err := os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 200 { // so many sources that the epoch file has to be made anew
		b.Add(told(fmt.Sprintf("device/%0100d", i), "x"))
	}
	b.AddWaiting(told("trap", "x"), tell("while the disk fails"))
	if err := b.Flush(); err == nil {
		t.Fatal("the epoch file was written")
	}
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	_ = b.Flush() // opens the database again
	b.AddWaiting(told("trap", "y"), tell("well again"))
	flush(t, b)
	want := map[string][]bool{"outside the bounds": {false}, "while the disk fails": {false}, "well again": {true}}
	if diff := cmp.Diff(want, heard); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
