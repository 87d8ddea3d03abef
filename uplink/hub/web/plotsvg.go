package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/siteprobe/siteprobe/collectors"
)

// figure is a plot as the template writes it: coordinates in the units of its view
// box, text not yet escaped.
type figure struct {
	Class              string
	W, H               int
	Left, Right        float64 // of the plotting area
	Top, Bottom        float64
	Caption            string // the vertical axis' unit
	YTicks, XTicks     []tick
	Lines, Fills, Dots []string
	Bands              []string // between the bounds of summaries
	Spans              []spanBox
	Gaps               []gapBox
	Hits               []gapBox
	Label              string // the plot in words, for those who do not see it
}

// Height is that of the plotting area.
func (f *figure) Height() float64 { return f.Bottom - f.Top }

// SpanTop is where the rules above it are.
func (f *figure) SpanTop() float64 { return f.Top - 3 }

type tick struct {
	At    float64
	Label string
}

// gapBox is an area with a tooltip.
type gapBox struct {
	X, W  float64
	CX    float64
	CY    float64
	Title string
}

// drawing is what a figure is made of.
type drawing struct {
	series   *collectors.Series
	line     line
	spans    []period // of summaries
	from, to int64    // Unix ms
	loc      *time.Location
	why      func(gap) string
	value    func(float64) string
}

// wide and phone are the two sizes that a plot is drawn in: text in a drawing that
// is scaled down cannot be read.
func (d *drawing) wide() *figure  { return d.draw("wide", 1040, 320) }
func (d *drawing) phone() *figure { return d.draw("phone", 360, 260) }

func (d *drawing) draw(class string, w, h int) *figure {
	f := &figure{Class: class, W: w, H: h, Top: 34, Bottom: float64(h - 24), Right: float64(w - 12)}
	lo, hi := d.bounds()
	unit, _ := shownAs(d.series)
	sc := scaleOf(max(math.Abs(lo), math.Abs(hi)), unit)
	f.Caption = sc.suffix
	steps := d.series.Kind == collectors.State
	ticks := niceTicks(lo/sc.div, hi/sc.div, max(h/52, 3), steps)
	lo, hi = ticks[0]*sc.div, ticks[len(ticks)-1]*sc.div
	longest := 0
	for _, v := range ticks {
		t := tick{v, digits(roundTick(v, ticks), 6)}
		if steps {
			t.Label = stateWord(d.series.Metric, int64(v)).Text
		}
		longest = max(longest, utf8.RuneCountInString(t.Label))
		f.YTicks = append(f.YTicks, t)
	}
	f.Left = float64(14 + 7*min(longest, w/40))
	x := func(t int64) float64 {
		t = max(d.from, min(d.to, t)) // a summary may begin before, or end after
		return f.Left + (f.Right-f.Left)*float64(t-d.from)/float64(max(d.to-d.from, 1))
	}
	y := func(v float64) float64 { return f.Bottom - (f.Bottom-f.Top)*(v-lo)/(hi-lo) }
	for i := range f.YTicks {
		f.YTicks[i].At = y(f.YTicks[i].At * sc.div)
	}
	at, layout := timeTicks(time.UnixMilli(d.from), time.UnixMilli(d.to), (w-60)/70, d.loc)
	for _, t := range at {
		label := t.Format(layout)
		if layout == "15:04" && t.Hour() == 0 && t.Minute() == 0 {
			label = t.Format("Mon 2")
		}
		if px := x(t.UnixMilli()); px > f.Left+8 && px < f.Right-14 {
			f.XTicks = append(f.XTicks, tick{px, label})
		}
	}
	px := int(f.Right - f.Left)
	msPerPx := (d.to - d.from) / int64(px)
	for _, g := range join(d.line.Gaps, msPerPx*2) {
		x0, x1 := x(g.From), x(g.To)
		f.Gaps = append(f.Gaps, gapBox{X: x0, W: max(x1-x0, 1.5), Title: d.why(g)})
	}
	if !isTotal(d.series) {
		f.addBands(d.line.bands(msPerPx*2), x, y)
	}
	f.addSpans(d.spans, x, d.loc)
	thin := d.line.thin(d.from, d.to, px/2) // two samples for each two pixels
	for _, run := range thin {
		f.addRun(run, x, y, y(max(lo, min(hi, 0))), steps)
	}
	if class == "wide" {
		f.addHits(d, thin, x, y)
	}
	return f
}

// bounds returns the range of the vertical axis.
func (d *drawing) bounds() (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, run := range d.line.Runs {
		for i := range run {
			for _, v := range run[i].reach() {
				if !math.IsInf(v, 0) { // NaN changes nothing below
					lo, hi = minOf(lo, v), maxOf(hi, v)
				}
			}
		}
	}
	const most = 1e300 // beyond it the axis' arithmetic overflows
	switch {
	case lo > hi:
		return 0, 1
	case d.series.Kind == collectors.State:
		return lo, max(hi, lo+1)
	}
	return span(max(lo, -most), min(hi, most))
}

func minOf(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

func maxOf(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}

// roundTick takes off what adding floats has left behind.
func roundTick(v float64, ticks []float64) float64 {
	if len(ticks) < 2 {
		return v
	}
	step := ticks[1] - ticks[0]
	if step <= 0 {
		return v
	}
	p := math.Pow(10, max(0, 2-math.Floor(math.Log10(step))))
	if math.IsInf(p*v, 0) || p > 1e15 {
		return v
	}
	return math.Round(v*p) / p
}

func (f *figure) addRun(run []sample, x func(int64) float64, y func(float64) float64, zero float64, steps bool) {
	var b strings.Builder
	var first, lastY float64
	n := 0
	for _, s := range run {
		py := y(s.V)
		if math.IsNaN(py) || math.IsInf(py, 0) {
			continue
		}
		px := x(s.T)
		switch {
		case s.Of != nil && steps && s.Of.Lo == s.Of.Hi && n > 0: // the same all the time
			fmt.Fprintf(&b, "H%sV%sH%s", coord(x(s.Of.From)), coord(py), coord(px))
		case s.Of != nil && (!steps || s.Of.Lo == s.Of.Hi): // the mean of a time
			begin := x(s.Of.From)
			if n == 0 {
				first = begin
				fmt.Fprintf(&b, "M%s %sH%s", coord(begin), coord(py), coord(px))
			} else {
				fmt.Fprintf(&b, "L%s %sH%s", coord(begin), coord(py), coord(px))
			}
			n++ // a line, if alone
		case n == 0:
			first = px
			fmt.Fprintf(&b, "M%s %s", coord(px), coord(py))
		case steps && py != lastY:
			fmt.Fprintf(&b, "H%sV%s", coord(px), coord(py))
		case steps:
			fmt.Fprintf(&b, "H%s", coord(px))
		default:
			fmt.Fprintf(&b, "L%s %s", coord(px), coord(py))
		}
		lastY = py
		n++
	}
	switch {
	case n == 0:
	case n == 1:
		f.Dots = append(f.Dots, fmt.Sprintf("M%s %sh.01", coord(first), coord(lastY)))
	default:
		f.Lines = append(f.Lines, b.String())
		f.Fills = append(f.Fills, fmt.Sprintf("%sV%sH%sZ", b.String(), coord(zero), coord(first)))
	}
}

// maxHits bounds the areas that show a value when the mouse rests on them.
const maxHits = 180

func (f *figure) addHits(d *drawing, runs [][]sample, x func(int64) float64, y func(float64) float64) {
	width := (f.Right - f.Left) / maxHits
	next := f.Left
	for _, run := range runs {
		for _, s := range run {
			px, py := (x(s.from())+x(s.T))/2, y(s.V)
			if px < next || math.IsNaN(py) || math.IsInf(py, 0) {
				continue
			}
			next = px + width
			f.Hits = append(f.Hits, gapBox{X: px - width/2, W: width, CX: px, CY: py,
				Title: d.title(&s)})
		}
	}
}

func coord(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }
