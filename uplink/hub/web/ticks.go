package web

import (
	"math"
	"time"
)

// niceTicks returns multiples of 1, 2 or 5 times a power of ten that span lo to
// hi, about n of them; whole says that the numbers are integers.
func niceTicks(lo, hi float64, n int, whole bool) []float64 {
	if !(hi-lo > 1e-300) || math.IsInf(hi-lo, 0) { // also where either is no number
		hi = lo + 1
	}
	raw := (hi - lo) / float64(max(n, 1))
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * power
	for _, m := range []float64{1, 2, 5} {
		if m*power >= raw*0.999 {
			step = m * power
			break
		}
	}
	if whole {
		step = max(1, math.Ceil(step))
	}
	first, last := math.Floor(lo/step+1e-9), math.Ceil(hi/step-1e-9)
	var out []float64
	for k := first; k <= last && len(out) < 50; k++ {
		out = append(out, k*step+0) // + 0: no negative zero
	}
	return out
}

// span is the range of the vertical axis for values from lo to hi: from zero,
// unless the values lie in a narrow band far from it.
func span(lo, hi float64) (float64, float64) {
	switch {
	case lo >= 0 && lo < hi*0.6 || lo == hi && lo >= 0:
		lo = 0
	case hi <= 0 && hi > lo*0.6 || lo == hi:
		hi = 0
	}
	if lo == hi {
		hi = lo + 1
	}
	return lo, hi
}

// timeTicks returns round instants between two in a time zone, at most n, and the
// layout to write them in.
func timeTicks(from, to time.Time, n int, loc *time.Location) (at []time.Time, layout string) {
	steps := []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 96 * time.Hour}
	step := steps[len(steps)-1]
	for _, s := range steps {
		if to.Sub(from) <= s*time.Duration(n) {
			step = s
			break
		}
	}
	layout = "15:04"
	if step >= 24*time.Hour {
		layout = "Mon 2"
		days := int(step / (24 * time.Hour))
		d := from.In(loc)
		for t := time.Date(d.Year(), d.Month(), d.Day(), 0, 0, 0, 0, loc); !t.After(to); t = t.AddDate(0, 0, days) {
			if !t.Before(from) {
				at = append(at, t)
			}
		}
		return at, layout
	}
	// Round within the zone's own day: Truncate would round in UTC.
	_, offset := from.In(loc).Zone()
	shift := time.Duration(offset) * time.Second
	for t := from.Add(shift).Truncate(step).Add(-shift); !t.After(to); t = t.Add(step) {
		if !t.Before(from) {
			at = append(at, t.In(loc))
		}
	}
	return at, layout
}
