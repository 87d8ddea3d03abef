package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

func TestOffset(t *testing.T) {
	for _, c := range []struct {
		interval, spread, below time.Duration
	}{
		{time.Minute, 30 * time.Second, 30 * time.Second},
		{5 * time.Second, 30 * time.Second, 5 * time.Second},
		{24 * time.Hour, 30 * time.Second, 30 * time.Second},
		{time.Minute, 0, time.Millisecond},
	} {
		var tenths [10]int
		for i := range 5000 {
			source := fmt.Sprintf("switch-%d", i)
			o := offset(source, c.interval, c.spread)
			if o < 0 || o >= collectors.Stamp(c.below.Milliseconds()) {
				t.Fatalf("offset(%s, %v, %v) = %d", source, c.interval, c.spread, o)
			}
			if o != offset(source, c.interval, c.spread) {
				t.Fatal("the offset is not stable")
			}
			tenths[int64(o)*10/c.below.Milliseconds()]++
		}
		if c.spread > 0 && (slices.Min(tenths[:]) < 400 || slices.Max(tenths[:]) > 600) {
			t.Errorf("%v/%v: not spread evenly: %v", c.interval, c.spread, tenths)
		}
	}
}

func TestSlotsDue(t *testing.T) {
	for _, c := range []struct {
		next, now, step collectors.Stamp
		want            int64
	}{
		{1000, 999, 100, 0},
		{1000, 1000, 100, 1},
		{1000, 1099, 100, 1},
		{1000, 1100, 100, 2},
		{1000, 101_000, 100, 1001},
		{farOff, 1000, 100, 0},
		{0, -100, 100, 0},
	} {
		if got := slotsDue(c.next, c.now, c.step); got != c.want {
			t.Errorf("slotsDue(%d, %d, %d) = %d, want %d", c.next, c.now, c.step, got, c.want)
		}
	}
}

func TestLayOut(t *testing.T) {
	for _, n := range []int64{-1, 0, 1, 2, maxEach, maxEach + 1, maxEach + 2, 1_000_000} {
		got := layOut(5000, 100, n)
		total, at := int64(0), collectors.Stamp(5000)
		for i, m := range got {
			if m.at != at || m.slots < 1 || (i > 0 && m.slots != 1) {
				t.Fatalf("n=%d: entry %d is %+v, want one at %d", n, i, m, at)
			}
			total += m.slots
			at += collectors.Stamp(m.slots) * 100
		}
		if total != max(n, 0) || len(got) > maxEach {
			t.Errorf("n=%d: %d entries stand for %d slots", n, len(got), total)
		}
	}
}

func TestTryEvery(t *testing.T) {
	for _, c := range []struct {
		after    int
		most     time.Duration
		interval time.Duration
		want     []int64 // after 1, 2, 3... failures
	}{
		{3, 5 * time.Minute, 10 * time.Second, []int64{1, 1, 2, 4, 8, 16, 30, 30, 30}},
		{3, 5 * time.Minute, time.Minute, []int64{1, 1, 2, 4, 5, 5}},
		{3, 5 * time.Minute, 70 * time.Second, []int64{1, 1, 2, 4, 4}},
		{3, 5 * time.Minute, 10 * time.Minute, []int64{1, 1, 1, 1, 1}},
		{1, time.Minute, time.Second, []int64{2, 4, 8, 16, 32, 60, 60}},
		{0, time.Minute, time.Second, []int64{1, 1, 1, 1, 1, 1, 1, 1}},
		{3, 0, time.Second, []int64{1, 1, 1, 1, 1}},
	} {
		cfg := Config{BackoffAfter: c.after, BackoffMax: c.most}
		for i, want := range c.want {
			if got := cfg.tryEvery(i+1, c.interval); got != want {
				t.Errorf("after %d, most %v, interval %v: %d failures: every %d slots, want %d",
					c.after, c.most, c.interval, i+1, got, want)
			}
		}
		cfg.tryEvery(1<<40, c.interval) // ends, and soon
	}
}
