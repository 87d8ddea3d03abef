package report

import (
	"fmt"
	"time"

	"github.com/siteprobe/siteprobe/collectors/sla"
)

// Bars are drawn by columns of one unit, each of which shows the worst that happened in
// it: so a minute of downtime can be seen, and a service that flaps for a year draws no
// more than one that does not.
const (
	barWidth  = 600 // of a day with 24 hours, or a month with 31 days
	barLeft   = 84
	barRight  = 76 // for the downtime of the row, and a day with 25 hours
	barHeight = 8
	barStep   = 9
	barTop    = 14
)

// byMonth is from how many days on a row is a month.
const byMonth = 63

// bars is the drawing of one service.
type bars struct {
	Width, Height int
	Left, Bottom  int
	Label         string // for who cannot see it
	Ticks         []tick
	Rows          []row
}

type tick struct {
	X    int
	Text string
}

type row struct {
	Y, TextY, Height, End int
	Name                  string
	Down                  string // how long, within the hours
	Rects                 []rect
}

type rect struct {
	X, Width int
	Class    string
	Faint    bool // outside the hours
}

func barsOf(r *sla.Result, loc *time.Location) bars {
	from, to := time.UnixMilli(r.From).In(loc), time.UnixMilli(r.To).In(loc)
	b := bars{Left: barLeft, Width: barLeft + barWidth + barRight, Label: "When " + clean(r.Service) + " was up, down, excluded and unmeasured"}
	unit, months := 24*time.Hour, to.Sub(from) > byMonth*24*time.Hour
	if months {
		unit = 31 * 24 * time.Hour
		for d := 0; d < 31; d += 5 {
			b.Ticks = append(b.Ticks, tick{barLeft + d*barWidth/31, fmt.Sprint(d + 1)})
		}
	} else {
		for h := 0; h <= 24; h += 3 {
			b.Ticks = append(b.Ticks, tick{barLeft + h*barWidth/24, fmt.Sprintf("%02d", h)})
		}
	}
	column := unit.Milliseconds() / barWidth
	spans := r.Spans
	for at := from; at.Before(to); {
		begin, next := day(at), nextDay(at)
		name := at.Format("Mon 2 Jan")
		if months {
			begin, next, name = time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, loc), time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, loc), at.Format("January 2006")
		}
		x := row{Y: barTop + len(b.Rows)*barStep, Height: barHeight, Name: name}
		x.TextY = x.Y + barHeight - 1
		end := min(next.UnixMilli(), r.To)
		var down int64
		x.Rects, down, spans = paint(spans, begin.UnixMilli(), end, column)
		if down > 0 {
			x.Down = sla.Words(down)
		}
		x.End = barLeft + max(barWidth, int((next.UnixMilli()-begin.UnixMilli())/column)) + 4
		b.Rows = append(b.Rows, x)
		at = next
	}
	b.Bottom = barTop + len(b.Rows)*barStep
	b.Height = b.Bottom + 2
	return b
}

// caption explains the drawings of a period.
func caption(from, to time.Time) string {
	unit, text := 24*time.Hour, "Each line is a day from midnight on, so a day on which clocks change is an hour shorter or longer."
	if to.Sub(from) > byMonth*24*time.Hour {
		unit, text = 31*24*time.Hour, "Each line is a month."
	}
	return fmt.Sprintf("%s The narrowest stroke is %s wide.", text, sla.Words(unit.Milliseconds()/barWidth))
}

// day is the first moment of the day that t is in, nextDay that of the one after it.
func day(t time.Time) time.Time {
	d := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
	if d.After(t) || d.Day() != t.Day() { // midnight comes twice, or not at all
		return t
	}
	return d
}

func nextDay(t time.Time) time.Time {
	for d := 1; ; d++ { // a day may be missing
		if n := time.Date(t.Year(), t.Month(), t.Day()+d, 0, 0, 0, 0, t.Location()); n.After(t) && n.Day() != t.Day() {
			return n
		}
	}
}

// paint makes the rectangles of one row, and returns its downtime within the hours and
// the spans that are left for the next row.
func paint(spans []sla.Stretch, from, to, column int64) (out []rect, down int64, rest []sla.Stretch) {
	worst := make([]int, (to-from+column-1)/column)
	for len(spans) > 0 && spans[0].From < to {
		s := spans[0]
		a, b := max(from, s.From), min(to, s.To)
		for i := (a - from) / column; a < b && i <= (b-1-from)/column; i++ {
			worst[i] = max(worst[i], weight(s))
		}
		if s.Class == sla.Down && s.Agreed {
			down += b - a
		}
		if s.To > to {
			break
		}
		spans = spans[1:]
	}
	for i := 0; i < len(worst); {
		j := i
		for j < len(worst) && worst[j] == worst[i] {
			j++
		}
		if worst[i] > 0 {
			class, faint := look(worst[i])
			out = append(out, rect{barLeft + i, j - i, class, faint})
		}
		i = j
	}
	return out, down, spans
}

// looks are the classes of the style sheet from what may be painted over on.
func looks() []string {
	return []string{"", "up", "excluded", "unmeasured", "customer", "undetermined", "msp", "isp"}
}

// weight says what a span may paint over: what is within the hours goes before what is
// not, and then the worse.
func weight(s sla.Stretch) int {
	name := s.Class.String()
	if s.Class == sla.Down {
		name = string(s.Owner)
	}
	n := 0
	for i, l := range looks() {
		if l == name {
			n = i
		}
	}
	if s.Agreed {
		n += len(looks())
	}
	return n
}

func look(weight int) (class string, faint bool) {
	n := len(looks())
	return looks()[weight%n], weight < n
}
