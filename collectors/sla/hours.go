package sla

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hours are when a service is agreed to be there: 24x7, or weekdays and times such as
// "mon-fri 08:00-18:00". Several lines add up.
type Hours []string

// always is the word for hours without an end.
const always = "24x7"

// maxHours bounds the lines of hours, maxHolidays the holidays of an agreement.
const (
	maxHours    = 64
	maxHolidays = 1000
)

const (
	daySeconds = 24 * 60 * 60
	dayMS      = daySeconds * 1000
)

// week has the stretches of each weekday's local time in seconds since midnight, in
// order and apart from one another; time.Sunday is 0.
type week [7][]stretch

type stretch struct{ from, to int }

func weekdays() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

// parse reads hours; none at all are 24x7.
func (h Hours) parse() (w week, err error) {
	if len(h) > maxHours {
		return w, fmt.Errorf("has more than %d lines", maxHours)
	}
	if len(h) == 0 {
		h = Hours{always}
	}
	for _, line := range h {
		if err := w.add(line); err != nil {
			return w, fmt.Errorf("%q: %w", line, err)
		}
	}
	for d := range w {
		w[d] = united(w[d])
	}
	return w, nil
}

func (w *week) add(line string) error {
	if line == always {
		for d := range w {
			w[d] = append(w[d], stretch{0, daySeconds})
		}
		return nil
	}
	days, times, ok := strings.Cut(line, " ")
	if !ok {
		return errors.New("is neither 24x7 nor days and times such as mon-fri 08:00-18:00")
	}
	first, last, several := strings.Cut(days, "-")
	if !several {
		last = first
	}
	a, b := slices.Index(weekdays(), first), slices.Index(weekdays(), last)
	if a < 0 || b < 0 {
		return errors.New("days are sun, mon, tue, wed, thu, fri, sat, or from one to another: mon-fri")
	}
	x, err := parseTimes(times)
	if err != nil {
		return err
	}
	for d := a; ; d = (d + 1) % 7 {
		w.put(d, x)
		if d == b {
			return nil
		}
	}
}

// put adds a stretch to a day; one that does not end after it begins goes on into the
// next day.
func (w *week) put(d int, x stretch) {
	if x.from < x.to {
		w[d] = append(w[d], x)
		return
	}
	next := (d + 1) % 7
	w[d] = append(w[d], stretch{x.from, daySeconds})
	if x.to > 0 {
		w[next] = append(w[next], stretch{0, x.to})
	}
}

func parseTimes(s string) (x stretch, err error) {
	from, to, ok := strings.Cut(s, "-")
	if ok {
		if x.from, ok = parseClock(from); ok {
			x.to, ok = parseClock(to)
		}
	}
	switch {
	case !ok || x.from == daySeconds:
		return x, errors.New("times are from one to another, such as 08:00-18:00 or 22:00-06:00")
	case x.from == x.to:
		return x, errors.New("begins when it ends; a whole day is 00:00-24:00")
	}
	return x, nil
}

// parseClock reads hh:mm, up to 24:00, as seconds since midnight.
func parseClock(s string) (seconds int, ok bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	h, errH := strconv.ParseUint(s[:2], 10, 8)
	m, errM := strconv.ParseUint(s[3:], 10, 8)
	seconds = int(h*3600 + m*60)
	return seconds, errH == nil && errM == nil && m < 60 && seconds <= daySeconds
}

// united puts stretches in order and joins those that touch.
func united(in []stretch) (out []stretch) {
	slices.SortFunc(in, func(a, b stretch) int { return a.from - b.from })
	for _, x := range in {
		if n := len(out); n > 0 && x.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, x.to)
			continue
		}
		out = append(out, x)
	}
	return out
}

// holidays are dates of one year (2026-12-24) or of every year (12-25).
type holidays map[string]bool

func parseHolidays(dates []string) (holidays, error) {
	if len(dates) > maxHolidays {
		return nil, fmt.Errorf("has more than %d", maxHolidays)
	}
	h := holidays{}
	for _, s := range dates {
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			if _, err := time.Parse(time.DateOnly, "2024-"+s); err != nil { // a leap year
				return nil, fmt.Errorf("%q: is no date such as 2026-12-24, or 12-25 for every year", s)
			}
		}
		h[s] = true
	}
	return h, nil
}

func (h holidays) has(day time.Time) bool {
	if len(h) == 0 {
		return false
	}
	s := day.Format(time.DateOnly)
	return h[s] || h[s[len(s)-len("12-25"):]]
}

// calendar is when an agreement holds.
type calendar struct {
	week week
	free holidays
	loc  *time.Location
}

// agreed returns the stretches of [from, to) that are within the hours, in order and
// apart from one another. Between two changes of the zone's offset local time is as even
// as UTC, so there each local day is looked at once.
func (c *calendar) agreed(from, to int64) (out []interval) {
	for from < to {
		t := time.UnixMilli(from).In(c.loc)
		_, seconds := t.Zone()
		offset := int64(seconds) * 1000
		end := to
		if _, change := t.ZoneBounds(); !change.IsZero() {
			end = min(to, change.UnixMilli())
		}
		for _, x := range c.even(from+offset, end+offset) {
			out = join(out, interval{x.from - offset, x.to - offset})
		}
		from = end
	}
	return out
}

// even is agreed in local time that has no changes, in ms as if it were UTC.
func (c *calendar) even(from, to int64) (out []interval) {
	midnight := from - mod(from, dayMS)
	for day := time.UnixMilli(midnight).UTC(); midnight < to; day, midnight = day.AddDate(0, 0, 1), midnight+dayMS {
		if c.free.has(day) {
			continue
		}
		for _, s := range c.week[day.Weekday()] {
			x := interval{max(from, midnight+int64(s.from)*1000), min(to, midnight+int64(s.to)*1000)}
			if x.from < x.to {
				out = append(out, x)
			}
		}
	}
	return out
}

// mod is what is left of a division that rounds down.
func mod(a, b int64) int64 { return ((a % b) + b) % b }

// interval is a stretch of wall time in Unix ms, without its end.
type interval struct{ from, to int64 }

// join appends an interval that begins no earlier than the last one ends.
func join(out []interval, x interval) []interval {
	if n := len(out); n > 0 && out[n-1].to == x.from {
		out[n-1].to = x.to
		return out
	}
	return append(out, x)
}
