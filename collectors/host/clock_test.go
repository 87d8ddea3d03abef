package host

import (
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	const wall = floor + 1000_000_000 // the wall time at boot
	const hour = int64(time.Hour / time.Millisecond)
	type step struct {
		r      readings // wall is relative to the wall time at boot
		offset int64    // likewise
		sure   bool
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"never synchronised", []step{
			{readings{wall: 0, boot: 0}, 0, false},
			{readings{wall: 30 * hour, boot: 30 * hour}, 0, false},
		}},
		{"small differences do not show", []step{
			{readings{wall: 1000, boot: 1000, kernel: true}, 0, true},
			{readings{wall: 2049, boot: 2000, kernel: true}, 0, true},
			{readings{wall: 2951, boot: 3000, kernel: true}, 0, true},
			{readings{wall: 4050, boot: 4000, kernel: true}, 50, true},
			{readings{wall: 5001, boot: 5000, kernel: true}, 50, true},
			{readings{wall: 6000, boot: 6000, kernel: true}, 0, true},
		}},
		{"sure for a day after the last synchronisation", []step{
			{readings{wall: 0, boot: 0, kernel: true}, 0, true},
			{readings{wall: hour, boot: hour, kernel: true}, 0, true},
			{readings{wall: 25 * hour, boot: 25 * hour}, 0, true},
			{readings{wall: 25*hour + 1, boot: 25*hour + 1}, 0, false},
			{readings{wall: 26 * hour, boot: 26 * hour}, 0, false},
			{readings{wall: 27 * hour, boot: 27 * hour, kernel: true}, 0, true},
		}},
		{"set by hand", []step{
			{readings{wall: 0, boot: 0, kernel: true}, 0, true},
			{readings{wall: 7000, boot: 1000}, 6000, false},
			{readings{wall: 8000, boot: 2000}, 6000, false},
			{readings{wall: 3000, boot: 3000, kernel: true}, 0, true},
		}},
		{"stepped by the NTP client", []step{
			{readings{wall: 0, boot: 0}, 0, false},
			{readings{wall: 7000, boot: 1000, kernel: true}, 6000, true},
			{readings{wall: 8000, boot: 2000}, 6000, true},
		}},
		{"only timesyncd tells", []step{
			{readings{wall: 0, boot: 0}, 0, false},
			{readings{wall: 7000, boot: 1000, timesyncd: 5}, 6000, true},
			{readings{wall: 40*hour + 6000, boot: 40 * hour, timesyncd: 5}, 6000, true},
		}},
		{"timesyncd's note is older than a step by hand", []step{
			{readings{wall: 0, boot: 0, timesyncd: 5}, 0, true},
			{readings{wall: 7000, boot: 1000, timesyncd: 5}, 6000, false},
			{readings{wall: 8000, boot: 2000, timesyncd: 5}, 6000, false},
			{readings{wall: 9000, boot: 3000, timesyncd: 9}, 6000, true},
		}},
		{"a step that timesyncd made", []step{
			{readings{wall: 0, boot: 0, timesyncd: 5}, 0, true},
			{readings{wall: 7000, boot: 1000, timesyncd: 9}, 6000, true},
		}},
		{"before this was written", []step{
			{readings{wall: -wall, boot: 0, kernel: true, timesyncd: 5, assume: true}, -wall, false},
			{readings{wall: 1000, boot: 1000, assume: true}, 0, true},
		}},
		{"set by hand, where that counts", []step{
			{readings{wall: 0, boot: 0, manual: true}, 0, false},
			{readings{wall: 1500, boot: 1000, manual: true}, 500, false}, // too small to be somebody's
			{readings{wall: 90_000, boot: 2000, manual: true}, 88_000, true},
			{readings{wall: 80*hour + 88_000, boot: 80 * hour, manual: true}, 88_000, true},
			{readings{wall: 80*hour + 10_000, boot: 80*hour + 1, manual: true}, 9_999, true},
			{readings{wall: -wall + 80*hour + 2, boot: 80*hour + 2, manual: true}, -wall, false}, // to 1970
			{readings{wall: 80*hour + 3, boot: 80*hour + 3, manual: true}, 0, true},
		}},
		{"assumed, even after a step", []step{
			{readings{wall: 0, boot: 0, assume: true}, 0, true},
			{readings{wall: 7000, boot: 1000, assume: true}, 6000, true},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s clockState
			for i, step := range test.steps {
				step.r.wall += wall
				var offset int64
				var sure bool
				s, offset, sure = s.decide(step.r)
				if offset -= wall; offset != step.offset || sure != step.sure {
					t.Errorf("step %d: offset %d, sure %v; want %d, %v", i, offset, sure, step.offset, step.sure)
				}
			}
		})
	}
}

func TestClockConfirm(t *testing.T) {
	r := readings{wall: floor, boot: 5}
	c := &Clock{readings: func() readings { return r }}
	if _, sure := c.Offset(); sure {
		t.Error("sure without a reason")
	}
	c.Confirm()
	if _, sure := c.Offset(); !sure {
		t.Error("unsure after it was confirmed")
	}
	r.wall += steady
	if _, sure := c.Offset(); sure {
		t.Error("sure after a step")
	}
}

func TestClockDoubt(t *testing.T) {
	r := readings{wall: floor, boot: 5, kernel: true}
	c := &Clock{readings: func() readings { return r }}
	sure := func(want bool, when string) {
		t.Helper()
		if _, sure := c.Offset(); sure != want || (c.Doubted() != "") == want {
			t.Errorf("%s: sure %v, doubted %q", when, sure, c.Doubted())
		}
	}
	sure(true, "kept by an NTP client")
	c.Doubt("a server disagrees")
	sure(false, "doubted")
	c.Confirm()
	sure(true, "confirmed")
	c.Doubt("a server disagrees")
	r.wall += 5000
	sure(true, "stepped by the NTP client")
}

func TestClockRecall(t *testing.T) {
	r := readings{wall: floor + 7000, boot: 5}
	for _, c := range []struct {
		trust  []string
		offset int64
		sure   bool
	}{
		{[]string{TrustManual}, floor + 6995, true},
		{[]string{TrustManual}, floor + 3000, false},
		{nil, floor + 6995, false},
	} {
		k := &Clock{readings: func() readings { return r }, trust: ClockConfig{Trust: c.trust}}
		k.Recall(c.offset)
		if _, sure := k.Offset(); sure != c.sure {
			t.Errorf("%+v: sure %v", c, sure)
		}
	}
}

func TestClockTrust(t *testing.T) {
	for _, c := range []struct {
		trust []string
		r     readings
		sure  bool
	}{
		{nil, readings{kernel: true}, true},
		{nil, readings{timesyncd: 5}, true},
		{[]string{TrustNTP}, readings{kernel: true, timesyncd: 5}, false},
		{[]string{TrustKernel}, readings{timesyncd: 5}, false},
		{[]string{TrustTimesyncd}, readings{timesyncd: 5}, true},
	} {
		c.r.wall = floor + 5
		k := &Clock{readings: func() readings { return c.r }, trust: ClockConfig{Trust: c.trust}}
		if _, sure := k.Offset(); sure != c.sure {
			t.Errorf("trust %v, %+v: sure %v", c.trust, c.r, sure)
		}
	}
	if _, sure := NewClock(Config{Trust: ClockConfig{Trust: []string{TrustRTC}}}).Offset(); !sure {
		t.Error("the box's clock is not trusted although it should be whatever it shows")
	}
}

func TestClockForReal(t *testing.T) {
	c := NewClock(Config{AssumeSynchronised: true})
	if len(c.Boot()) != 36 {
		t.Errorf("boot %q", c.Boot())
	}
	a := c.Now()
	offset, _ := c.Offset()
	b := c.Now()
	if a <= 0 || b < a {
		t.Errorf("stamps %d, %d", a, b)
	}
	if off := time.Now().UnixMilli() - int64(b) - offset; off < -steady || off > 10_000 {
		t.Errorf("the stamp and the offset are %d ms off the wall clock", off)
	}
	if again, _ := c.Offset(); again != offset {
		t.Errorf("offset %d, then %d", offset, again)
	}
}

func TestClockBootWithoutProcfs(t *testing.T) {
	if got := NewClock(Config{Proc: t.TempDir()}).Boot(); got != "" {
		t.Errorf("boot %q", got)
	}
}

func BenchmarkOffset(b *testing.B) {
	c := NewClock(Config{})
	for b.Loop() {
		c.Offset()
	}
}
