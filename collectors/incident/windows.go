package incident

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Kinds of events of the daemon itself: from when it stopped to when it started nobody
// measured, whatever the edges say.
const (
	StartedEvent = "service_started"
	StoppedEvent = "service_stopped"
)

// All is the scope of what concerns every source.
const All = "all"

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
