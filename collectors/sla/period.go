package sla

import (
	"errors"
	"time"
)

// Periods of an agreement.
const (
	Month   = "month"
	Quarter = "quarter"
	Year    = "year"
)

// MaxPeriod bounds what is computed at once.
const MaxPeriod = 3 * 366 * 24 * time.Hour

// PeriodOf is the agreement's period that t is in, from midnight to midnight by its
// zone's clocks.
func (a *Agreement) PeriodOf(t time.Time) (from, to time.Time) {
	t = t.In(a.loc)
	y, m := t.Year(), t.Month()
	switch a.Period {
	case Quarter:
		m -= (m - 1) % 3
		return a.midnight(y, m, 1), a.midnight(y, m+3, 1)
	case Year:
		return a.midnight(y, 1, 1), a.midnight(y+1, 1, 1)
	}
	return a.midnight(y, m, 1), a.midnight(y, m+1, 1)
}

// ParseMonth reads 2026-11.
func (a *Agreement) ParseMonth(s string) (from, to time.Time, err error) {
	t, err := time.Parse("2006-01", s)
	if err != nil {
		return from, to, errors.New("a month is written as 2026-11")
	}
	return a.midnight(t.Year(), t.Month(), 1), a.midnight(t.Year(), t.Month()+1, 1), nil
}

// ParseTime reads a date, or a date and a time, by the agreement's clocks.
func (a *Agreement) ParseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return a.midnight(t.Year(), t.Month(), t.Day()), nil
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, s, a.loc); err == nil {
			return t, nil
		}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, errors.New("a time is written as 2026-11-23, 2026-11-23T10:00, or 2026-11-23T10:00:00Z")
	}
	return t, nil
}

// midnight is the first moment of a day, which is not 00:00 where clocks go forward at
// midnight, and the earlier one where it comes twice.
func (a *Agreement) midnight(y int, m time.Month, d int) time.Time {
	day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	t := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, a.loc)
	date := func(t time.Time) string { return t.Format(time.DateOnly) }
	if date(t) < date(day) { // there is no midnight: the day begins with the change
		_, t = t.ZoneBounds()
	}
	if start, _ := t.ZoneBounds(); !start.IsZero() {
		_, now := t.Zone()
		_, before := start.Add(-time.Second).In(a.loc).Zone()
		if earlier := t.Add(time.Duration(now-before) * time.Second); earlier.Before(start) && date(earlier) == date(day) {
			return earlier
		}
	}
	return t
}
