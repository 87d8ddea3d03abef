package buffer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/collectors"
)

// A device whose series change with every poll must not fill the buffer with what
// describes them, nor push out what others read.
func TestChangingSchemasDoNotFillTheBuffer(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Budget = 2 << 20
	b := open(t, cfg, buffer.Options{NoSync: true})
	honest := counters("device/honest", 50)
	for i := range 700 {
		s := &collectors.Schema{Source: "device/noisy"}
		for k := range 400 {
			s.Series = append(s.Series, collectors.Series{Metric: "m", Kind: collectors.Counter,
				Labels: []collectors.Label{{Name: "ifName", Value: fmt.Sprintf("%x", uint64(i*400+k+1)*0x9E3779B97F4A7C15)}}})
		}
		b.Add(batch(s, 0, uint64(i)))
		b.Add(batch(honest, 0, uint64(i)))
		flush(t, b)
	}
	st, err := b.Stats()
	if err != nil || st.Trouble != "" || st.File > int64(cfg.Budget) {
		t.Fatalf("%+v %v", st, err)
	}
	// What is kept can be read: every pending block's schemas are there.
	n := 0
	for _, p := range pending(t, b) {
		for _, id := range schemasOf(t, p.Bytes) {
			if bytes, err := b.SchemaBytes(id); err != nil || bytes == nil {
				t.Fatalf("block %d lacks a schema: %v", p.Seq, err)
			}
			n++
		}
	}
	if n < 100 {
		t.Fatalf("only %d schemas are left in use", n)
	}
}

func TestSettledEpochsAreForgotten(t *testing.T) {
	cfg, ck := config(t.TempDir()), newClock()
	cfg.History, cfg.Rollups = 24*time.Hour, 24*time.Hour
	s := counters("device/sw", 1)
	for i := range 5 {
		b := open(t, cfg, buffer.Options{Clock: ck})
		b.Add(batch(s, ck.Now(), uint64(i)))
		flush(t, b)
		ps := pending(t, b)
		if _, _, err := b.Delivered(ids(ps)); err != nil {
			t.Fatal(err)
		}
		b.Close()
		ck.step(time.Hour)
	}
	ck.step(100 * 24 * time.Hour)
	for range 2 { // the first drops the blocks of the time before, the second their epochs
		b := open(t, cfg, buffer.Options{Clock: ck})
		b.Add(batch(s, ck.Now(), 9))
		flush(t, b)
		b.Close()
	}
	b := open(t, cfg, buffer.Options{Clock: ck})
	a, err := b.Account(buffer.Everything)
	if err != nil || len(a.Lines) != 2 {
		t.Fatalf("%d lines, want those of the last two epochs: %+v %v", len(a.Lines), a, err)
	}
}
