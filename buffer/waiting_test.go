package buffer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

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
		if !b.AddWaiting(told("trap", fmt.Sprint(i)), func() {
			if committed == 0 {
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
	if b.AddWaiting(told("trap", "late"), func() { t.Error("called after the end") }) {
		t.Error("taken by a buffer that is closed")
	}
}

// Nothing is promised of a batch that is not kept as it was given, and while the disk
// fails.
func TestWaitingInVain(t *testing.T) {
	cfg := config(t.TempDir())
	b := open(t, cfg, buffer.Options{NoSync: true, Manual: true, NewEpoch: func() uint64 { return 1 }})
	x := told("trap", "")
	x.Events[0].Kind = ""
	b.AddWaiting(x, func() { t.Error("called for a batch that is outside the bounds") })
	flush(t, b)

	inTheWay := filepath.Join(cfg.Path+".epochs", fmt.Sprintf("%016x.new", 1))
	if err := os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 200 { // so many sources that the epoch file has to be made anew
		b.Add(told(fmt.Sprintf("device/%0100d", i), "x"))
	}
	b.AddWaiting(told("trap", "x"), func() { t.Error("called although the commit failed") })
	if err := b.Flush(); err == nil {
		t.Fatal("the epoch file was written")
	}
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	_ = b.Flush() // opens the database again
	done := false
	b.AddWaiting(told("trap", "y"), func() { done = true })
	flush(t, b)
	if !done {
		t.Error("not called once the disk was well again")
	}
}
