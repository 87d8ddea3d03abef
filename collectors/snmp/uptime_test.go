package snmp

import (
	"testing"
	"time"
)

func TestRestarted(t *testing.T) {
	const (
		hour = 3600 * second
		day  = 24 * hour
		wrap = sysWrap
	)
	start := time.Unix(1700000000, 0)
	for _, test := range []struct {
		name      string
		last, now uint64
		elapsed   time.Duration
		want      bool
	}{
		{"a minute on", 10 * day, 10*day + 60*second, time.Minute, false},
		{"it stands still", 10 * day, 10 * day, time.Hour, false},
		{"restarted", 10 * day, 20 * second, time.Minute, true},
		{"another unit has taken over", 10 * day, 5 * day, time.Minute, true},
		{"a clock set back by a little", 10 * day, 10*day - 50, time.Millisecond, false},
		{"wrapped", wrap - 30*second, 30 * second, time.Minute, false},
		{"wrapped while nobody looked", wrap - 2*day, 1 * day, 72 * time.Hour, false},
		{"restarted near the wrap, long before it", wrap - 5*day, 30 * second, time.Minute, true},
		{"too far on for a wrap", wrap - 30*second, 3 * hour, time.Minute, true},
		{"off for longer than it was up", 100 * second, 500 * second, 1000 * time.Second, true},
		{"a slow clock", 10 * day, 10*day + 55*second, time.Minute, false},
		{"a clock at half the speed", 10 * day, 11 * day, 48 * time.Hour, false},
	} {
		last := uptime{ticks: test.last, at: start, known: true}
		now := uptime{ticks: test.now, at: start.Add(test.elapsed), known: true}
		if got := restarted(last, now, sysWrap); got != test.want {
			t.Errorf("%s: restarted is %v", test.name, got)
		}
	}
	if restarted(uptime{}, uptime{ticks: 5, known: true}, sysWrap) {
		t.Error("the first reading is a restart")
	}
}
