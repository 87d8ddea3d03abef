package incident

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// All is the scope of what concerns every source.
const All = "all"

// Maintenance is one entry of the site file's maintenance: a time in which work is done
// at devices. Notices about them are held back. Where it was approved before it starts,
// it does not count for the service level either.
type Maintenance struct {
	Name     string        `yaml:"name"`
	Devices  []string      `yaml:"devices"`  // names, or all
	Start    string        `yaml:"start"`    // "2026-11-23 02:00" in the time zone, or RFC 3339
	End      string        `yaml:"end"`      // likewise
	Every    string        `yaml:"every"`    // instead of start and end: "Sun 02:00", "daily 02:00"
	Duration time.Duration `yaml:"duration"` // of every, or after start instead of end
	Approved string        `yaml:"approved"` // when the customer agreed, as start; empty: never
	Timezone string        `yaml:"timezone"` // empty: the site's
}

// Bounds of a window.
const (
	maxWindow  = 7 * 24 * time.Hour
	maxSilence = 30 * 24 * time.Hour
	maxWindows = 200
	ahead      = 24 * time.Hour // how long before its start a window is told of
	timeLayout = "2006-01-02 15:04"
)

// Validate reports the first setting that cannot work.
func (m Maintenance) Validate() error {
	loc, err := m.location(time.UTC)
	if err != nil {
		return err
	}
	switch {
	case m.Name == "" || len(m.Name) > 64:
		return errors.New("name: must have 1 to 64 characters")
	case len(m.Devices) == 0:
		return errors.New("devices: is missing; names of devices, or all")
	case len(m.Devices) > 1 && slices.Contains(m.Devices, All):
		return errors.New("devices: all stands alone")
	case (m.Every == "") == (m.Start == ""):
		return errors.New("start: needs either start and end, or every and duration")
	case m.Every != "" && m.End != "":
		return errors.New("end: has no use together with every; write duration")
	case m.Every != "" && m.Duration == 0, m.Start != "" && (m.Duration == 0) == (m.End == ""):
		return errors.New("duration: needs either end or duration")
	case m.Duration < 0 || m.Duration > maxWindow:
		return errors.New("duration: must be at most 7 days")
	}
	if m.Every != "" {
		if _, _, _, err := everyOf(m.Every); err != nil {
			return err
		}
		if daily := strings.HasPrefix(m.Every, "daily"); daily && m.Duration >= 24*time.Hour {
			return errors.New("duration: must be less than a day")
		}
	}
	if m.Approved != "" {
		if _, err := instant(m.Approved, loc); err != nil {
			return fmt.Errorf("approved: %w", err)
		}
	}
	if m.Start == "" {
		return nil
	}
	start, end, err := m.span(loc)
	switch {
	case err != nil:
		return err
	case !end.After(start):
		return errors.New("end: must be later than start")
	case end.Sub(start) > maxWindow:
		return errors.New("end: must be at most 7 days after start")
	}
	return nil
}

func (m Maintenance) location(site *time.Location) (*time.Location, error) {
	if m.Timezone == "" {
		return site, nil
	}
	loc, err := time.LoadLocation(m.Timezone)
	if err != nil || m.Timezone == "Local" {
		return nil, fmt.Errorf("timezone: %q is no time zone such as Europe/Berlin", collectors.Clip(m.Timezone, 40))
	}
	return loc, nil
}

// instant reads a time of a person: in a time zone, or RFC 3339.
func instant(s string, loc *time.Location) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	t, err := time.ParseInLocation(timeLayout, s, loc)
	if err != nil {
		return t, fmt.Errorf("%q is no time: write 2026-11-23 02:00", collectors.Clip(s, 40))
	}
	return t, nil
}

func (m Maintenance) span(loc *time.Location) (start, end time.Time, err error) {
	if start, err = instant(m.Start, loc); err != nil {
		return start, end, fmt.Errorf("start: %w", err)
	}
	if m.Duration != 0 {
		return start, start.Add(m.Duration), nil
	}
	if end, err = instant(m.End, loc); err != nil {
		err = fmt.Errorf("end: %w", err)
	}
	return start, end, err
}

// everyOf reads "Sun 02:00" or "daily 02:00"; day is -1 for daily.
func everyOf(s string) (day, hour, minute int, err error) {
	bad := fmt.Errorf("every: %q is not like Sun 02:00 or daily 02:00", collectors.Clip(s, 40))
	name, clock, _ := strings.Cut(s, " ")
	day = slices.IndexFunc([]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, func(d string) bool { return strings.EqualFold(d, name) })
	if day < 0 && !strings.EqualFold(name, "daily") {
		return 0, 0, 0, bad
	}
	t, err := time.Parse("15:04", strings.TrimSpace(clock))
	if err != nil {
		return 0, 0, 0, bad
	}
	return day, t.Hour(), t.Minute(), nil
}

// Windows returns the windows of an entry that end after now and start within the next
// day. It is valid.
func (m Maintenance) Windows(now time.Time, site *time.Location) (out []Window) {
	loc, err := m.location(site)
	if err != nil {
		return nil
	}
	w := Window{Name: m.Name, Scope: ScopeOf(m.Devices)}
	if m.Approved != "" {
		w.Approved, _ = instant(m.Approved, loc) // it was checked
	}
	add := func(start, end time.Time) {
		if end.After(now) && start.Before(now.Add(ahead)) {
			w.Start, w.End = start.UTC(), end.UTC()
			w.ID = m.Name + "@" + w.Start.Format(time.RFC3339)
			out = append(out, w)
		}
	}
	if m.Every == "" {
		if start, end, err := m.span(loc); err == nil {
			add(start, end)
		}
		return out
	}
	day, hour, minute, err := everyOf(m.Every)
	if err != nil {
		return nil
	}
	today := now.In(loc)
	for d := -8; d <= 2; d++ { // as far back as a window is long
		start := time.Date(today.Year(), today.Month(), today.Day()+d, hour, minute, 0, 0, loc)
		if day < 0 || int(start.Weekday()) == day {
			add(start, start.Add(m.Duration))
		}
	}
	return out
}

// ScopeOf turns names of devices into sources; what has a slash is one already, and
// all of them are no scope.
func ScopeOf(devices []string) (out []string) {
	for _, d := range devices {
		if d == All {
			return nil
		}
		if !strings.ContainsAny(d, "/@") && d != Line { // an @ is in the ID of an incident
			d = "device/" + d
		}
		out = append(out, d)
	}
	return out
}

// Window is one time of maintenance.
type Window struct {
	ID       string
	Name     string
	Scope    []string  // sources; empty: all
	Start    time.Time // wall time, UTC
	End      time.Time
	Approved time.Time // zero: never
	By       string    // who has said so at the box; empty: the site file
}

// Excluded tells whether the window counts neither way for the service level: it was
// approved before its start.
func (w *Window) Excluded() bool { return !w.Approved.IsZero() && w.Approved.Before(w.Start) }

// Covers tells whether a source, or the one that it runs on, is within a scope.
func covers(scope []string, source, host string) bool {
	return len(scope) == 0 || slices.Contains(scope, source) || host != "" && slices.Contains(scope, host)
}

// WindowEvent is the kind of the events that tell of windows. The latest of an ID
// counts; one that ends when it starts was called off.
const WindowEvent = "service_window"

// Events writes a window. Its scope may take several events of one ID, each with some of
// it.
func (w *Window) Events() (out []collectors.Event) {
	scopes := []string{All}
	if len(w.Scope) > 0 {
		scopes = []string{""}
		for _, s := range w.Scope {
			last := &scopes[len(scopes)-1]
			if *last != "" && len(*last)+1+len(s) > collectors.MaxText {
				scopes = append(scopes, "")
				last = &scopes[len(scopes)-1]
			}
			if *last != "" {
				*last += "|"
			}
			*last += s
		}
	}
	for i, scope := range scopes {
		var ls labels
		ls.add("id", w.ID)
		ls.add("name", w.Name)
		ls.add("start", w.Start.UTC().Format(time.RFC3339))
		ls.add("end", w.End.UTC().Format(time.RFC3339))
		if !w.Approved.IsZero() {
			ls.add("approved", w.Approved.UTC().Format(time.RFC3339))
		}
		ls.add("scope", scope)
		ls.add("by", w.By)
		ls.add("part", strconv.Itoa(i+1)+"/"+strconv.Itoa(len(scopes)))
		text := fmt.Sprintf("Maintenance %q from %s to %s.", w.Name, w.Start.UTC().Format(time.RFC3339), w.End.UTC().Format(time.RFC3339))
		out = append(out, collectors.Event{Kind: WindowEvent, Severity: collectors.Info, Text: collectors.Clip(text, collectors.MaxText), Labels: ls})
	}
	return out
}

// WindowOf reads a window, or a part of one's scope, out of an event; ok is false for
// other events.
func WindowOf(e *collectors.Event) (w Window, ok bool) {
	if e.Kind != WindowEvent {
		return w, false
	}
	r := read(e.Labels)
	w = Window{ID: r["id"], Name: r["name"], By: r["by"]}
	var err1, err2 error
	w.Start, err1 = time.Parse(time.RFC3339, r["start"])
	w.End, err2 = time.Parse(time.RFC3339, r["end"])
	if r["approved"] != "" {
		w.Approved, _ = time.Parse(time.RFC3339, r["approved"]) // what cannot be read was not approved
	}
	if s := r["scope"]; s != All {
		w.Scope = strings.Split(s, "|")
	}
	return w, err1 == nil && err2 == nil && w.ID != "" && r["scope"] != ""
}

// Silence holds back notices. It changes nothing else.
type Silence struct {
	ID    string
	Scope []string // sources; empty: all
	Until time.Time
	Why   string
	By    string
}
