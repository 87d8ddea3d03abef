package web

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

const minute = 60_000

// counterPoints makes points a minute apart; -1 is a poll without a value, -2 no
// poll at all.
func counterPoints(vs ...int64) *store.Points {
	p := &store.Points{Series: collectors.Series{Metric: "ifHCInOctets", Unit: "bytes", Kind: collectors.Counter}}
	for i, v := range vs {
		switch v {
		case -2:
		case -1:
			p.Points = append(p.Points, store.Point{T: int64(i) * minute})
		default:
			p.Points = append(p.Points, store.Point{T: int64(i) * minute, V: collectors.CounterValue(uint64(v))})
		}
	}
	return p
}

func gaugePoints(vs ...float64) *store.Points {
	p := &store.Points{Series: collectors.Series{Metric: "node_load1", Kind: collectors.Gauge}}
	for i, v := range vs {
		x := store.Point{T: int64(i) * minute}
		if !math.IsNaN(v) {
			x.V = collectors.GaugeValue(v)
		}
		p.Points = append(p.Points, x)
	}
	return p
}

func TestLineOf(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name string
		p    *store.Points
		runs [][]float64
		gaps []gap
	}{
		{"octets become bits a second", counterPoints(0, 750, 2250), [][]float64{{100, 200}}, nil},
		{"a counter at rest", counterPoints(7, 7, 7), [][]float64{{0, 0}}, nil},
		{"a reset has no rate", counterPoints(1000, 1750, 0, 750, 1500), [][]float64{{100}, {100, 100}}, []gap{{minute, 2 * minute, reset}}},
		{"a reset at once", counterPoints(1000, 0, 750), [][]float64{{100}}, []gap{{0, minute, reset}}},
		{"a poll without a value", counterPoints(0, 750, -1, 2250, 3000), [][]float64{{100}, {100}}, []gap{{minute, 3 * minute, unread}}},
		{"two polls missing", counterPoints(0, 750, 1500, -2, -2, 3750, 4500), [][]float64{{100, 100}, {100}}, []gap{{2 * minute, 5 * minute, nothing}}},
		{"one poll missing is no gap", counterPoints(0, 750, 1500, -2, 3000), [][]float64{{100, 100, 100}}, nil},
		{"one point", counterPoints(5), nil, nil},
		{"no point", counterPoints(), nil, nil},
		{"only polls without a value", counterPoints(-1, -1), nil, nil},
		{"a gauge", gaugePoints(1, 2, nan, nan, 5), [][]float64{{1, 2}, {5}}, []gap{{minute, 4 * minute, unread}}},
	} {
		l := lineOf(c.p)
		var runs [][]float64
		for _, r := range l.Runs {
			var vs []float64
			for _, s := range r {
				vs = append(vs, s.V)
			}
			runs = append(runs, vs)
		}
		if !slices.EqualFunc(runs, c.runs, slices.Equal[[]float64]) || !slices.Equal(l.Gaps, c.gaps) {
			t.Errorf("%s: %v and gaps %v, want %v and %v", c.name, runs, l.Gaps, c.runs, c.gaps)
		}
	}
}

func TestCountersBeyondFloats(t *testing.T) {
	p := counterPoints(0, 0)
	p.Points[0].V = collectors.CounterValue(math.MaxUint64 - 750)
	p.Points[1].V = collectors.CounterValue(math.MaxUint64)
	if l := lineOf(p); len(l.Runs) != 1 || l.Runs[0][0].V != 100 {
		t.Errorf("%+v: a small rise of a large counter was rounded away", l)
	}
}

func TestClipShowsTheEdges(t *testing.T) {
	l := lineOf(gaugePoints(1, 2, 3, 4))
	got := l.clip(-10*minute, 20*minute, 15*minute, 5*minute/2)
	want := []gap{{From: -10 * minute, To: 0}, {From: 3 * minute, To: 15 * minute}}
	if !slices.Equal(got.Gaps, want) {
		t.Errorf("gaps %v, want %v: nothing is missing in the future", got.Gaps, want)
	}
	if got := l.clip(minute, 4*minute, 4*minute, 5*minute/2); len(got.Gaps) != 0 || len(got.Runs[0]) != 3 {
		t.Errorf("%+v", got)
	}
	if got := l.clip(10*minute, 20*minute, 20*minute, minute); len(got.Runs) != 0 || len(got.Gaps) != 1 {
		t.Errorf("%+v: all of it is a gap", got)
	}
}

func TestThinKeepsExtremes(t *testing.T) {
	var l line
	for i := range 10_000 {
		s := sample{T: int64(i) * 1000, V: float64(i % 100)}
		if i == 7321 {
			s.V = 1e6
		}
		if i%7 == 0 { // many runs
			l.Runs = append(l.Runs, nil)
		}
		l.Runs[len(l.Runs)-1] = append(l.Runs[len(l.Runs)-1], s)
	}
	n, peak, last := 0, 0.0, int64(-1)
	for _, run := range l.thin(0, 10_000_000, 300) {
		for _, s := range run {
			n, peak = n+1, max(peak, s.V)
			if s.T <= last {
				t.Fatal("out of order")
			}
			last = s.T
		}
	}
	if n > 2*302 || peak != 1e6 {
		t.Errorf("%d samples with a peak of %v", n, peak)
	}
	if got := join([]gap{{0, 10, nothing}, {12, 20, reset}, {90, 99, unread}}, 5); !slices.Equal(got, []gap{{0, 20, reset}, {90, 99, unread}}) {
		t.Errorf("%v", got)
	}
}

func TestNiceTicks(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		n      int
		whole  bool
		want   []float64
	}{
		{0, 413, 5, false, []float64{0, 100, 200, 300, 400, 500}},
		{0, 1, 4, false, []float64{0, 0.5, 1}},
		{-3, 7, 4, false, []float64{-5, 0, 5, 10}},
		{1, 2, 5, true, []float64{1, 2}},
		{0, 0, 4, false, []float64{0, 0.5, 1}},
	} {
		if got := niceTicks(c.lo, c.hi, c.n, c.whole); !slices.Equal(got, c.want) {
			t.Errorf("niceTicks(%v, %v, %d, %v) = %v, want %v", c.lo, c.hi, c.n, c.whole, got, c.want)
		}
	}
	for _, x := range [][2]float64{{math.Inf(-1), math.Inf(1)}, {-1e300, 1e300}, {1e300, 1e300}, {5e-324, 1e-323}, {math.NaN(), 1}} {
		if got := niceTicks(x[0], x[1], 5, false); len(got) > 50 {
			t.Errorf("%v: %d ticks", x, len(got))
		}
	}
}

func TestTimeTicks(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones on this machine: ", err)
	}
	day := time.Date(2026, 3, 28, 17, 20, 0, 0, berlin)
	for _, c := range []struct {
		hours int
		want  string
	}{
		{1, "17:30 17:45 18:00 18:15"},
		{24, "18:00 00:00 07:00 13:00"}, // the clocks go forward
		{168, "Mon 30 Wed 1 Fri 3"},
	} {
		var got []string
		at, layout := timeTicks(day, day.Add(time.Duration(c.hours)*time.Hour), 5, berlin)
		for _, x := range at {
			got = append(got, x.Format(layout))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%d h: %v, want %s", c.hours, got, c.want)
		}
	}
}

func TestQuantity(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0, "bits_per_second", "0 bit/s"},
		{999.9, "bits_per_second", "1 kbit/s"},
		{35_441_234, "bits_per_second", "35.4 Mbit/s"},
		{1000, "megabits_per_second", "1 Gbit/s"},
		{900, "bytes", "900 B"},
		{1536, "bytes", "1.5 KiB"},
		{2 << 30, "bytes", "2 GiB"},
		{0.2309, "seconds", "231 ms"},
		{0.00004, "seconds", "40 µs"},
		{12.5, "seconds", "12.5 s"},
		{100_000, "seconds", "1 d 3 h"},
		{-100_000, "seconds", "−1 d 3 h"},
		{360_000_000, "centiseconds", "41 d"},
		{0.011857, "ratio", "1.19 %"},
		{48.126, "celsius", "48.1 °C"},
		{0.016667, "per_second", "0.0167 /s"},
		{1_834_211, "", "1.83 M"},
		{257, "", "257"},
		{-12345, "", "−12 345"},
		{1.2e-9, "", "1.2e-09"},
		{math.Inf(1), "", "Inf"},
		{math.NaN(), "bytes", "NaN"},
		{3, "widgets_per_second", "3 widgets/s"},
	} {
		if got := strings.ReplaceAll(quantity(c.v, c.unit), narrow, " "); got != c.want {
			t.Errorf("quantity(%v, %q) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 1 s", 45 * time.Minute: "45 min",
		3*time.Hour + 5*time.Minute: "3 h 5 min", 30 * time.Hour: "1 d 6 h", 400 * 24 * time.Hour: "400 d",
	} {
		if got := strings.ReplaceAll(duration(d), narrow, " "); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	if got := plain("a\x00b\u202ec\u2028\nd", 100); got != "a\uFFFDb\uFFFDc\uFFFD\uFFFDd" {
		t.Errorf("%q", got)
	}
	if got := plain(strings.Repeat("ä", 50), 11); got != "äääää…" {
		t.Errorf("%q", got)
	}
}

func TestNatural(t *testing.T) {
	got := []string{"Gi1/0/10", "Gi1/0/2", "a", "10", "2", "Gi1/0/2a", "99999999999999999999999", "007", "7"}
	slices.SortFunc(got, natural)
	want := []string{"2", "7", "007", "10", "99999999999999999999999", "Gi1/0/2", "Gi1/0/2a", "Gi1/0/10", "a"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestSpan(t *testing.T) {
	for _, c := range [][4]float64{{10, 100, 0, 100}, {40, 41, 40, 41}, {5, 5, 0, 5}, {0, 0, 0, 1}, {-5, -4, -5, -4}, {-100, -10, -100, 0}, {-5, -5, -5, 0}} {
		if lo, hi := span(c[0], c[1]); lo != c[2] || hi != c[3] {
			t.Errorf("span(%v, %v) = %v, %v", c[0], c[1], lo, hi)
		}
	}
}

// A drawing of anything has finite coordinates.
func TestDrawAnything(t *testing.T) {
	for name, p := range map[string]*store.Points{
		"nothing":  gaugePoints(),
		"one":      gaugePoints(3),
		"infinite": gaugePoints(1, math.Inf(1), 2, math.Inf(-1)),
		"huge":     gaugePoints(-math.MaxFloat64, math.MaxFloat64),
		"tiny":     gaugePoints(5e-324, 0, 1e-320),
		"states":   {Series: collectors.Series{Metric: "ifOperStatus", Kind: collectors.State}, Points: []store.Point{{T: 0, V: collectors.StateValue(math.MinInt64)}, {T: minute, V: collectors.StateValue(math.MaxInt64)}}},
	} {
		d := &drawing{series: &p.Series, line: lineOf(p).clip(0, 5*minute, 5*minute, minute), from: 0, to: 5 * minute, loc: time.UTC,
			why: func(gap) string { return "" }, value: func(float64) string { return "" }}
		for _, f := range []*figure{d.wide(), d.phone()} {
			for _, path := range slices.Concat(f.Lines, f.Fills, f.Dots) {
				if strings.ContainsAny(path, "NI") {
					t.Errorf("%s: %s", name, path)
				}
			}
			if len(f.YTicks) < 2 {
				t.Errorf("%s: %d ticks", name, len(f.YTicks))
			}
			for _, y := range f.YTicks {
				if math.IsNaN(y.At) || math.IsInf(y.At, 0) {
					t.Errorf("%s: a tick at %v", name, y.At)
				}
			}
		}
	}
}
