package buffer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// decode unpacks what is pending as the hub does and counts batches and events.
func decode(t *testing.T, b *buffer.Buffer) (batches, events int) {
	t.Helper()
	c, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pending(t, b) {
		x, err := block.Parse(p.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		sections, want, err := c.Decode(x, b.Schema, nil)
		if err != nil || want > 0 {
			t.Fatal(len(p.Bytes), p.Readings, want, err)
		}
		for _, s := range sections {
			batches += len(s.Batches)
			for i := range s.Batches {
				events += len(s.Batches[i].Events)
			}
		}
	}
	return batches, events
}

// Texts that repeat pack so well that a small block may hold more than a reader
// unpacks.
func TestRepeatedTextsCanBeReadBack(t *testing.T) {
	b := open(t, config(t.TempDir()), buffer.Options{NoSync: true, Manual: true})
	s := &collectors.Schema{Source: "device/sw"}
	text := collectors.TextValue(strings.Repeat("Cisco IOS Software, ", 12))
	var vs []collectors.Value
	for i := range 32 {
		s.Series = append(s.Series, collectors.Series{Metric: "ifAlias", Kind: collectors.Text, Labels: []collectors.Label{{Name: "i", Value: fmt.Sprint(i)}}})
		vs = append(vs, text)
	}
	total := 0
	for range 8 { // it learns how well they pack, and blocks grow
		for range 800 {
			b.Add(collectors.Batch{Source: s.Source, Schema: s, Values: vs})
			total++
		}
		flush(t, b)
	}
	if n, _ := decode(t, b); n != total {
		t.Fatalf("%d of %d", n, total)
	}
}

// Telling how many events were held back must not make the batch too large.
func TestEventsHeldBackAreToldWhereTheyFit(t *testing.T) {
	ck := newClock()
	b := open(t, config(t.TempDir()), buffer.Options{NoSync: true, Manual: true, Clock: ck})
	events := func(n, size int) collectors.Batch {
		x := collectors.Batch{Source: "trap/x", At: ck.Now()}
		for range n {
			x.Events = append(x.Events, collectors.Event{Kind: "k", Text: strings.Repeat("x", size)})
		}
		return x
	}
	b.Add(events(60, 10))
	b.Add(events(60, 10)) // 20 are held back
	ck.step(70 * time.Second)
	b.Add(events(63, 129)) // 8190 octets of text: no room for a word
	ck.step(70 * time.Second)
	b.Add(events(1, 10))
	flush(t, b)
	if batches, n := decode(t, b); batches != 4 || n != 100+63+1+1 {
		t.Fatal(batches, n)
	}
}

// A collector that takes another clock for its stamps makes no block that nobody
// can read.
func TestStampOfAnotherClock(t *testing.T) {
	ck := newClock()
	b := open(t, config(t.TempDir()), buffer.Options{NoSync: true, Manual: true, Clock: ck})
	s := counters("device/sw", 1)
	b.Add(batch(s, collectors.Stamp(time.Now().UnixNano()), 1))
	b.Add(batch(s, ck.Now(), 2))
	flush(t, b)
	if n, _ := decode(t, b); n != 2 {
		t.Fatal(n)
	}
	if _, err := b.Account(buffer.Everything); err != nil {
		t.Fatal(err)
	}
}
