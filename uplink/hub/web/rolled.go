package web

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// What is shown of rollups, which the pages call summaries: where a long outage left
// no room for all readings, the box keeps one of each quarter of an hour, or hour.

// tierWord is how long the buckets of a tier are.
func tierWord(t block.Tier) string {
	if t == block.Hour {
		return "1" + narrow + "h"
	}
	return "15" + narrow + "min"
}

// period is a stretch of time of which there are summaries of one tier.
type period struct {
	From, To int64 // Unix ms
	Tier     block.Tier
}

// spansOf returns where a series' points between two times are summaries, the oldest
// first. Where one is missing a span goes on; where there are readings it ends.
func spansOf(ps []store.Point, from, to int64) (out []period) {
	open := false
	begins := beginnings(ps)
	for i := range ps {
		x := &ps[i]
		switch r := x.Rolled; {
		case x.V.Missing() || x.T < from || begins[i] > to:
		case r == nil && begins[i] < x.T: // beside a fall of a counter
		case r == nil:
			open = false
		case open && out[len(out)-1].Tier == r.Tier:
			out[len(out)-1].To = min(x.T, to)
		default:
			open = true
			out = append(out, period{max(begins[i], from), min(x.T, to), r.Tier})
		}
	}
	return out
}

// legendRow says from when to when there are summaries.
type legendRow struct {
	Tier     string
	From, To when
}

// maxLegend bounds the spans that are named.
const maxLegend = 4

// legend says what of a plot is summaries, and how they are drawn.
type legend struct {
	Rows  []legendRow
	More  int // spans left out
	About string
	Line  string // what the line is, where there is a band
}

func (w *Web) legend(s *collectors.Series, spans []period) *legend {
	if len(spans) == 0 {
		return nil
	}
	l := &legend{More: max(0, len(spans)-maxLegend)}
	for _, x := range spans[:min(len(spans), maxLegend)] {
		l.Rows = append(l.Rows, legendRow{tierWord(x.Tier), w.whenMS(x.From), w.whenMS(x.To)})
	}
	switch {
	case s.Kind == collectors.Text:
		l.About = "Of each there is the last text."
	case isTotal(s):
		l.About = "The rate is the mean over each; shorter peaks do not show."
	case s.Kind == collectors.State:
		l.About, l.Line = "The line is the last state of each, the band spans the states in it.", "last"
	default:
		l.About, l.Line = "The line is the mean of each, the band goes from its lowest to its highest reading.", "mean"
	}
	return l
}

// rolledText says what a point stands for.
func (w *Web) rolledText(s *collectors.Series, r *store.Rolled) string {
	if r == nil {
		return ""
	}
	return tierWord(r.Tier) + ": " + plural(uint64(r.Count), "reading", "readings") + w.boundsText(s, r)
}

func (w *Web) boundsText(s *collectors.Series, r *store.Rolled) string {
	value := func(f float64) string {
		if s.Kind == collectors.State {
			return stateWord(s.Metric, int64(f)).Text
		}
		unit, factor := shownAs(s)
		return quantity(f*factor, unit)
	}
	switch {
	case s.Kind == collectors.Counter:
		return ", rose by " + count(r.Rise)
	case s.Kind == collectors.Text, r.Count == 1, isTotal(s), isInstant(s):
		return ""
	case r.Min == r.Max:
		return ", all the same"
	}
	return ", " + value(r.Min) + " to " + value(r.Max)
}

// title is what a sample's tooltip says.
func (d *drawing) title(s *sample) string {
	at := func(ms int64, layout string) string { return time.UnixMilli(ms).In(d.loc).Format(layout) }
	x := s.Of
	if x == nil {
		return at(s.T, "2 Jan 15:04:05 MST") + "  " + d.value(s.V)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s  ", at(x.From, "2 Jan 15:04"), at(s.T, "15:04 MST"))
	switch {
	case isTotal(d.series):
		fmt.Fprintf(&b, "%s on average", d.value(s.V))
	case d.series.Kind == collectors.State:
		fmt.Fprintf(&b, "at last %s", d.value(s.V))
	default:
		fmt.Fprintf(&b, "mean %s", d.value(s.V))
	}
	if x.Lo < x.Hi {
		fmt.Fprintf(&b, ", %s to %s", d.value(x.Lo), d.value(x.Hi))
	}
	fmt.Fprintf(&b, ", %s", plural(uint64(x.N), "reading", "readings"))
	return b.String()
}

// slab is a part of a band: the bounds of one or more summaries.
type slab struct {
	from, to int64 // Unix ms
	lo, hi   float64
}

// bands returns the areas between the bounds of summaries, in slabs of at least some
// width (ms): there may be more summaries than pixels.
func (l line) bands(width int64) (out [][]slab) {
	for _, run := range l.Runs {
		var area []slab
		for i := range run {
			s := &run[i]
			n := len(area)
			switch {
			case s.Of == nil:
				if n > 0 {
					out, area = append(out, area), nil
				}
			case n > 0 && s.T-area[n-1].from < width:
				x := &area[n-1]
				x.to, x.lo, x.hi = s.T, minOf(x.lo, s.Of.Lo), maxOf(x.hi, s.Of.Hi)
			default:
				area = append(area, slab{s.Of.From, s.T, s.Of.Lo, s.Of.Hi})
			}
		}
		if len(area) > 0 {
			out = append(out, area)
		}
	}
	return out
}

// addBands draws them.
func (f *figure) addBands(areas [][]slab, x func(int64) float64, y func(float64) float64) {
	for _, area := range areas {
		var top, bottom []string
		for i, s := range area {
			lo, hi := y(s.lo), y(s.hi)
			if !finite(lo) || !finite(hi) {
				continue
			}
			to := x(s.to)
			if i+1 < len(area) {
				to = x(area[i+1].from) // no seams
			}
			top = append(top, fmt.Sprintf("L%s %sH%s", coord(x(s.from)), coord(hi), coord(to)))
			bottom = append(bottom, fmt.Sprintf("L%s %sH%s", coord(to), coord(lo), coord(x(s.from))))
		}
		if len(top) == 0 {
			continue
		}
		slices.Reverse(bottom)
		f.Bands = append(f.Bands, "M"+strings.Join(top, "")[1:]+strings.Join(bottom, "")+"Z")
	}
}

// addSpans draws a rule above each span, with how long its summaries are where there
// is room to say it.
func (f *figure) addSpans(spans []period, x func(int64) float64, loc *time.Location) {
	for _, s := range spans {
		x0, x1 := x(s.From), x(s.To)
		b := spanBox{gapBox: gapBox{X: x0, W: max(x1-x0-2, 1.5), CX: (x0 + x1) / 2}}
		at := func(ms int64) string { return time.UnixMilli(ms).In(loc).Format("2 Jan 15:04") }
		b.Title = "Summaries of " + tierWord(s.Tier) + " from " + at(s.From) + " to " + at(s.To)
		if b.W > 40 {
			b.Label = tierWord(s.Tier)
		}
		f.Spans = append(f.Spans, b)
	}
}

// spanBox is a rule with a label.
type spanBox struct {
	gapBox
	Label string
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
