package incident

import (
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Kinds of events that say what edges alone do not: when nobody measured, and what was
// agreed to be left out. Each one counts.
const (
	StartedEvent = "service_started" // the daemon measures from here on; it knows no state yet
	StoppedEvent = "service_stopped" // and no longer
	WindowEvent  = "service_window"
)

// Window is a stretch of time in which somebody works on some sources. It is planned by
// the calendar, so its times are wall times, which no correction of the box's clock
// moves. A service level leaves it out if it was approved, and the box knew of it,
// before it began.
type Window struct {
	ID        string   // a window that is told again has it again; one that is moved gets another
	Name      string   // for people
	Sources   []string // what is worked on; empty: the whole site
	Start     time.Time
	End       time.Time
	Approved  time.Time // zero: it is not
	By        string    // who approved it
	Cancelled bool      // it does not take place, or is over before its end
}

// maxScope is over how many labels the sources of a window go; of a longer list the
// end is left out, so that too little is excluded and never too much.
const maxScope = 7

// Covers tells whether a source is worked on.
func (w *Window) Covers(source string) bool {
	if len(w.Sources) == 0 {
		return true
	}
	for _, s := range w.Sources {
		if s == source {
			return true
		}
	}
	return false
}

// Event writes a window, when it becomes known and whenever something of it changes.
func (w *Window) Event() collectors.Event {
	var ls labels
	ls.add("id", w.ID)
	ls.add("name", w.Name)
	ls.instant("start", w.Start)
	ls.instant("end", w.End)
	ls.instant("approved", w.Approved)
	ls.add("by", w.By)
	if w.Cancelled {
		ls.add("cancelled", "true")
	}
	text := "Maintenance \"" + w.Name + "\" from " + utcText(w.Start) + " to " + utcText(w.End)
	scope := chunks(w.Sources)
	for i, s := range scope[:min(len(scope), maxScope)] {
		ls.add("sources_"+strconv.Itoa(i), s)
	}
	return collectors.Event{Kind: WindowEvent, Severity: collectors.Info, Text: collectors.Clip(text, collectors.MaxText), Labels: ls}
}

// WindowOf reads a window out of an event; ok is false for other events and for one
// without an ID or with times that make no sense.
func WindowOf(e *collectors.Event) (w Window, ok bool) {
	if e.Kind != WindowEvent {
		return w, false
	}
	r := read(e.Labels)
	w = Window{ID: r["id"], Name: r["name"], Start: r.instant("start"), End: r.instant("end"), Approved: r.instant("approved"),
		By: r["by"], Cancelled: r["cancelled"] == "true"}
	for i := range maxScope {
		if s := r["sources_"+strconv.Itoa(i)]; s != "" {
			w.Sources = append(w.Sources, strings.Split(s, "|")...)
		}
	}
	return w, w.ID != "" && !w.Start.IsZero() && w.Start.Before(w.End)
}

// chunks joins names by | into texts that each fit a label.
func chunks(names []string) (out []string) {
	for _, n := range names {
		if last := len(out) - 1; last >= 0 && len(out[last])+1+len(n) <= collectors.MaxText {
			out[last] += "|" + n
		} else {
			out = append(out, n)
		}
	}
	return out
}

func utcText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (l *labels) instant(name string, t time.Time) {
	if !t.IsZero() {
		l.add(name, t.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
}

// instant reads a wall time, to the millisecond; what cannot be read is the zero time.
func (v values) instant(name string) time.Time {
	t, err := time.Parse(time.RFC3339, v[name])
	if err != nil || t.Year() < 2000 || t.Year() > 2200 {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}
