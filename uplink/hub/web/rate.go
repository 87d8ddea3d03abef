package web

import (
	"math"
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// gapFactor times the usual distance between readings is a gap.
const gapFactor = 2.5

// sample is a number to be shown, and when.
type sample struct {
	T  int64 // Unix ms
	V  float64
	Of *stretch // what it stands for, if for more than one reading
}

// stretch is what a sample out of a rollup stands for: the readings since a time, of
// which the lowest and the highest are known, unless they are rates.
type stretch struct {
	From   int64 // Unix ms
	Lo, Hi float64
	N      uint32
	Tier   block.Tier
}

// from is when what a sample tells of begins.
func (s *sample) from() int64 {
	if s.Of != nil {
		return s.Of.From
	}
	return s.T
}

// reach is what a sample's drawing spans.
func (s *sample) reach() [3]float64 {
	if s.Of != nil {
		return [3]float64{s.V, s.Of.Lo, s.Of.Hi}
	}
	return [3]float64{s.V, s.V, s.V}
}

// gap is a stretch of time between readings that has none.
type gap struct {
	From, To int64 // Unix ms; of the readings on either side, or of the plot's edge
	Why      why
}

// why says what a gap is made of.
type why uint8

const (
	nothing why = iota // no reading is stored
	unread             // the source was asked and gave nothing
	reset              // the counter began anew
)

// line is a series as it is drawn: unbroken runs of samples, and the gaps between
// them.
type line struct {
	Runs [][]sample
	Gaps []gap
}

// isTotal tells whether a series is a total whose rise is of interest: a counter,
// or a gauge that is one by its name, as node_cpu_seconds_total is.
func isTotal(s *collectors.Series) bool {
	return s.Kind == collectors.Counter || s.Kind == collectors.Gauge && strings.HasSuffix(s.Metric, "_total")
}

// shownAs returns the unit in which a series is shown, and what its numbers are
// multiplied with: network octets are bits per second.
func shownAs(s *collectors.Series) (unit string, factor float64) {
	switch {
	case !isTotal(s):
		if s.Unit == "" && strings.HasSuffix(s.Metric, "_ratio") {
			return "ratio", 1
		}
		return s.Unit, 1
	case s.Unit == "bytes" && (strings.Contains(s.Metric, "Octets") || strings.HasPrefix(s.Metric, "node_network_")):
		return "bits_per_second", 8
	case s.Unit == "":
		return "per_second", 1
	case s.Unit == "seconds":
		return "ratio", 1 // seconds in a second
	}
	return s.Unit + "_per_second", 1
}

// usual is the median distance of readings in time, in ms; 0 with fewer than two.
func usual(ps []store.Point) int64 {
	if len(ps) < 2 {
		return 0
	}
	d := make([]int64, 0, len(ps)-1)
	for i := 1; i < len(ps); i++ {
		n := int64(1)
		if r := ps[i].Rolled; r != nil {
			n = int64(max(r.Count, 1))
		}
		d = append(d, (ps[i].T-ps[i-1].T)/n)
	}
	slices.Sort(d)
	return d[len(d)/2]
}

// beginnings returns for each point when what is known begins that leads up to it:
// at the point itself, or with the rollup that it is in.
func beginnings(ps []store.Point) []int64 {
	out := make([]int64, len(ps))
	start := int64(math.MaxInt64)
	for i := len(ps) - 1; i >= 0; i-- {
		if r := ps[i].Rolled; r != nil {
			start = r.Start
		}
		out[i] = min(ps[i].T, start)
	}
	return out
}

// lastReading is the newest reading that a point has: of a gauge's rollup not the
// mean.
func lastReading(x *store.Point) collectors.Value {
	if x.Rolled != nil {
		return x.Rolled.Last
	}
	return x.V
}

// lineOf makes a line of a series' points, which are in time order: totals become
// rates. Text has none.
func lineOf(p *store.Points) line {
	_, factor := shownAs(&p.Series)
	total := isTotal(&p.Series)
	most := int64(gapFactor * float64(usual(p.Points)))
	begins := beginnings(p.Points)
	var l line
	var run []sample
	// Of what is drawn so far: its last sample, or the total that the first rate
	// begins at.
	end, begun := int64(0), false
	broken := nothing
	interrupt := func(w why) {
		if len(run) > 0 {
			l.Runs, run = append(l.Runs, run), nil
		}
		broken = max(broken, w)
	}
	before := -1 // the point before, if it has a value
	for i := range p.Points {
		x := &p.Points[i]
		v, ok := x.V.Float(p.Series.Kind)
		if !ok {
			if !x.V.Missing() {
				continue // text
			}
			interrupt(unread)
			before = -1
			continue
		}
		if before >= 0 && most > 0 && begins[i]-p.Points[before].T > most {
			interrupt(nothing)
			before = -1
		}
		s, resumed := sample{T: x.T, V: v * factor}, begins[i]
		if r := x.Rolled; r != nil {
			s.Of = &stretch{From: max(begins[i], end), Lo: r.Min * factor, Hi: r.Max * factor, N: r.Count, Tier: r.Tier}
		}
		was := before
		before = i
		if total {
			if was < 0 {
				if !begun {
					end, begun = x.T, true
				}
				continue
			}
			w := &p.Points[was]
			rise, fell := riseOf(lastReading(w), x, p.Series.Kind)
			if fell {
				interrupt(reset)
				continue
			}
			s.V, resumed = rise*factor/(float64(x.T-w.T)/1000), begins[was]
			if broken == reset {
				resumed = w.T // it began anew between two readings
			}
			if s.Of != nil {
				s.Of.From, s.Of.Lo, s.Of.Hi = w.T, s.V, s.V
			}
		}
		if len(run) == 0 && begun && (len(l.Runs) > 0 || broken != nothing) {
			l.Gaps = append(l.Gaps, gap{end, max(resumed, end), broken})
		}
		broken = nothing
		run = append(run, s)
		end, begun = s.T, true
	}
	interrupt(nothing)
	return l
}

// riseOf is how far a total rose from a reading to a point, exactly; fell is true
// where it fell.
func riseOf(a collectors.Value, x *store.Point, k collectors.Kind) (rise float64, fell bool) {
	b := lastReading(x)
	if k == collectors.Counter {
		return float64(b.Counter() - a.Counter()), b.Counter() < a.Counter()
	}
	rise = b.Gauge() - a.Gauge()
	// A gauge's rollup does not say where it fell, only that it did.
	return rise, rise < 0 || x.Rolled != nil && (x.Rolled.Min < a.Gauge() || x.Rolled.Max > b.Gauge())
}

// clip keeps what lies between two times and adds the gaps at the edges: before
// the first sample and after the last, where they are wider than most (ms). The
// right edge is where readings could be by now.
func (l line) clip(from, to, edge, most int64) line {
	var out line
	for _, run := range l.Runs {
		run = slices.DeleteFunc(slices.Clone(run), func(s sample) bool {
			if s.Of != nil {
				return s.T <= from || s.Of.From >= to
			}
			return s.T < from || s.T > to
		})
		if len(run) > 0 {
			out.Runs = append(out.Runs, run)
		}
	}
	for _, g := range l.Gaps {
		g.From, g.To = max(g.From, from), min(g.To, to)
		if g.From < g.To {
			out.Gaps = append(out.Gaps, g)
		}
	}
	if len(out.Runs) == 0 {
		out.Gaps = []gap{{From: from, To: min(edge, to)}}
		return out
	}
	first, lastRun := out.Runs[0][0].from(), out.Runs[len(out.Runs)-1]
	last := lastRun[len(lastRun)-1].T
	before := slices.ContainsFunc(out.Gaps, func(g gap) bool { return g.From <= from && g.To <= first })
	if !before && first-from > most && !l.reaches(from, most) {
		out.Gaps = slices.Insert(out.Gaps, 0, gap{From: from, To: first})
	}
	if edge = min(edge, to); edge-last > most {
		out.Gaps = append(out.Gaps, gap{From: last, To: edge})
	}
	return out
}

// reaches tells whether a sample lies within most before t.
func (l line) reaches(t, most int64) bool {
	return slices.ContainsFunc(l.Runs, func(r []sample) bool {
		return slices.ContainsFunc(r, func(s sample) bool { return s.T <= t && t-s.T <= most })
	})
}

// thin keeps at most the lowest and the highest sample in each of n equal parts of
// the time between from and to.
func (l line) thin(from, to int64, n int) [][]sample {
	width := max((to-from)/int64(n), 1)
	type place struct{ run, i int }
	lo, hi := map[int64]place{}, map[int64]place{}
	for r, run := range l.Runs {
		for i, s := range run {
			k := (s.T - from) / width
			if p, ok := lo[k]; !ok || s.V < l.Runs[p.run][p.i].V {
				lo[k] = place{r, i}
			}
			if p, ok := hi[k]; !ok || s.V > l.Runs[p.run][p.i].V {
				hi[k] = place{r, i}
			}
		}
	}
	out := make([][]sample, 0, len(l.Runs))
	for r, run := range l.Runs {
		var kept []sample
		for i, s := range run {
			if k := (s.T - from) / width; lo[k] == (place{r, i}) || hi[k] == (place{r, i}) {
				kept = append(kept, s)
			}
		}
		if len(kept) > 0 {
			out = append(out, kept)
		}
	}
	return out
}

// join makes one gap of those that lie closer together than near (ms): there may
// be thousands, and a plot has some hundred pixels.
func join(gaps []gap, near int64) []gap {
	var out []gap
	for _, g := range gaps {
		if n := len(out); n > 0 && g.From-out[n-1].To < near {
			out[n-1].To, out[n-1].Why = g.To, max(out[n-1].Why, g.Why)
			continue
		}
		out = append(out, g)
	}
	return out
}
