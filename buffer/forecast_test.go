package buffer

import (
	"math"
	"testing"
	"time"
)

func TestForecast(t *testing.T) {
	base := load{capacity: 100 << 20, written: 10 << 20, in: 24 * time.Hour, ratio: [3]float64{0.5, 0.05, 0.01}}
	with := func(f func(*load)) load {
		l := base
		f(&l)
		return l
	}
	for name, c := range map[string]struct {
		in   load
		want Forecast
		ok   bool
	}{
		"empty":            {base, Forecast{17, 170, 850}, true},
		"half full":        {with(func(l *load) { l.pending = 42.5 * (1 << 20) }), Forecast{8.5, 161.5, 841.5}, true},
		"over full":        {with(func(l *load) { l.pending = 200 << 20 }), Forecast{0, 130, 810}, true},
		"just started":     {with(func(l *load) { l.in = time.Minute }), Forecast{}, false},
		"next to nothing":  {with(func(l *load) { l.written = 100 }), Forecast{}, false},
		"a twice as large": {with(func(l *load) { l.capacity *= 2 }), Forecast{34, 340, 1700}, true},
	} {
		f, ok := forecast(c.in)
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }
		if ok != c.ok || !near(f.Raw, c.want.Raw) || !near(f.Quarter, c.want.Quarter) || !near(f.Hour, c.want.Hour) {
			t.Errorf("%s: %+v %v, want %+v", name, f, ok, c.want)
		}
	}
}
