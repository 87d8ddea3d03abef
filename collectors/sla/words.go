package sla

import (
	"fmt"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// PeriodWords names a period as a person would: November 2026, 2026, or from when to
// when, with the last day that is in it.
func PeriodWords(from, to time.Time) string {
	midnight := func(t time.Time) bool { return t.Add(-time.Minute).Day() != t.Day() }
	if !midnight(from) || !midnight(to) {
		return from.Format("2 January 2006 15:04") + " to " + to.Format("2 January 2006 15:04")
	}
	last := to.Add(-time.Minute)
	switch {
	case from.Day() == 1 && from.Month() == time.January && to.Day() == 1 && to.Month() == time.January && last.Year() == from.Year():
		return from.Format("2006")
	case from.Day() == 1 && to.Day() == 1 && last.Year() == from.Year() && last.Month() == from.Month():
		return from.Format("January 2006")
	case from.Format(time.DateOnly) == last.Format(time.DateOnly):
		return from.Format("2 January 2006")
	}
	return from.Format("2 January 2006") + " to " + last.Format("2 January 2006")
}

// HoursWords are the hours as they were written.
func (a *Agreement) HoursWords() string {
	if len(a.Hours) == 0 {
		return always
	}
	return collectors.Printable(strings.Join(a.Hours, ", "))
}

// Percent writes a ratio in percent, rounded down, with two to four decimals; a dash
// for none.
func (x Ratio) Percent() string {
	n, ok := x.Millionths()
	if !ok {
		return "-"
	}
	return Percent(n)
}

// Percent writes millionths as percent.
func Percent(n int64) string {
	s := fmt.Sprintf("%d.%04d", n/10_000, n%10_000)
	for range 2 {
		s = strings.TrimSuffix(s, "0")
	}
	return s
}

// Words writes a duration in ms for a person, to the second below an hour and to the
// minute above.
func Words(ms int64) string {
	s := (ms + 500) / 1000
	switch {
	case s == 0:
		return "0"
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600 && s%60 == 0:
		return fmt.Sprintf("%d min", s/60)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	}
	m := (s + 30) / 60
	if m%60 == 0 {
		return fmt.Sprintf("%d h", m/60)
	}
	return fmt.Sprintf("%d h %02d min", m/60, m%60)
}
