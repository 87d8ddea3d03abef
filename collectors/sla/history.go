package sla

import (
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
)

// Record is one event of the source [incident.Source] as it was kept.
type Record struct {
	T      int64 // when it was recorded: wall time in Unix ms, corrected as far as it can be
	Unsure bool  // by a clock that nothing has confirmed
	Event  collectors.Event
}

// Span is a stretch of wall time in Unix ms, without its end.
type Span struct{ From, To int64 }

// History is what events say. It is made once and serves all agreements.
type History struct {
	edges   map[string][]edge // by source, in the order in which they were recorded
	off     []interval        // nobody measured, in order
	Windows []Window          // those that count, in order of their start
	// Incidents are in order of their first evidence, each as it was told last.
	Incidents []Incident
	Unsure    int   // events that were recorded by a clock that nothing has confirmed
	Until     int64 // nothing is known from here on
}

// edge is an [incident.Edge] in wall time.
type edge struct {
	at int64
	state
}

// Incident is one as it was told last, in wall time.
type Incident struct {
	incident.Incident       // its stamps are not to be used
	First, Opened     int64 // Unix ms
	Closed            int64 // Unix ms; 0: open
	Count             int   // sources that it affects, of which Affected names some
}

// Window is one that counts.
type Window struct {
	incident.Window
	From, To int64 // Unix ms; To may be before its planned end
}

// Read makes a history of events in the order in which they were recorded, of the
// stretches after unclean ends in which nothing was measured, and of the time up to
// which the box is known to have run.
func Read(records []Record, unmeasured []Span, until int64) *History {
	h := &History{edges: map[string][]edge{}, Until: until}
	for _, s := range unmeasured {
		h.off = append(h.off, interval{s.From, s.To})
	}
	r := reader{h: h, incidents: map[string]int{}, windows: map[string]*window{}}
	for i := range records {
		r.read(&records[i])
	}
	if r.stopped {
		h.off = append(h.off, interval{r.since, never})
	}
	h.off = append(h.off, interval{until, never})
	h.off = ordered(h.off)
	for _, w := range r.windows {
		if x := w.counts; x != nil && x.From < x.To {
			h.Windows = append(h.Windows, *x)
		}
	}
	slices.SortFunc(h.Windows, func(a, b Window) int { return compare(a.From, b.From, a.ID, b.ID) })
	slices.SortStableFunc(h.Incidents, func(a, b Incident) int { return compare(a.First, b.First, a.ID, b.ID) })
	return h
}

// never is later than all that is asked for.
const never = 1 << 60

// reader is what reading has to remember.
type reader struct {
	h         *History
	run       int64 // when the present run began; 0: unknown
	stopped   bool
	since     int64 // when it stopped
	incidents map[string]int
	windows   map[string]*window
}

func (r *reader) read(x *Record) {
	if x.Unsure {
		r.h.Unsure++
	}
	e := &x.Event
	if edge, ok := incident.EdgeOf(e, collectors.Stamp(x.T)); ok {
		r.edge(edge, x.T)
		return
	}
	if c, n, ok := incident.ChangeOf(e, collectors.Stamp(x.T)); ok {
		r.change(c, n)
		return
	}
	if w, ok := incident.WindowOf(e); ok {
		r.window(w, x.T, strings.HasPrefix(part(e), "1/") || part(e) == "")
		return
	}
	switch e.Kind {
	case incident.StartedEvent:
		r.start(x.T)
	case incident.StoppedEvent:
		if !r.stopped {
			r.stopped, r.since = true, x.T
		}
	}
}

// start ends a stop, and makes all states unknown.
func (r *reader) start(t int64) {
	if r.stopped && r.since < t {
		r.h.off = append(r.h.off, interval{r.since, t})
	}
	r.stopped, r.run = false, t
	for s, es := range r.h.edges {
		r.h.edges[s] = append(es, edge{at: t, state: state{class: Unmeasured}})
	}
}

func (r *reader) edge(x incident.Edge, t int64) {
	at := int64(x.At)
	if t >= r.run { // else the clock was set back since, and says nothing of what was first
		at = max(at, r.run)
	}
	s := state{class: Unmeasured, incident: x.Incident}
	switch x.State {
	case incident.Up:
		s = state{class: Up}
	case incident.Down:
		s.class, s.owner = Down, x.Owner
		if !slices.Contains(Owners(), x.Owner) {
			s.owner = diagnosis.Nobody
		}
	}
	r.h.edges[x.Source] = append(r.h.edges[x.Source], edge{at, s})
}

func (r *reader) change(c incident.Change, affected int) {
	x := Incident{Incident: c.Incident, First: int64(c.Incident.First), Opened: int64(c.Incident.Opened), Closed: int64(c.Incident.Closed), Count: affected}
	if i, ok := r.incidents[x.ID]; ok {
		r.h.Incidents[i] = x
		return
	}
	r.incidents[x.ID] = len(r.h.Incidents)
	r.h.Incidents = append(r.h.Incidents, x)
}

// window is what was told of one.
type window struct {
	counts *Window
	latest bool // counts is the version that was told last
}

func (r *reader) window(x incident.Window, t int64, first bool) {
	w := r.windows[x.ID]
	switch {
	case first && w == nil:
		w = &window{}
		r.windows[x.ID] = w
		w.told(x, t)
	case first:
		w.told(x, t)
	case w != nil && w.latest: // more of its scope
		w.counts.Scope = append(w.counts.Scope, x.Scope...)
	}
}

// told takes in a version of a window that was recorded at t.
func (w *window) told(x incident.Window, t int64) {
	from, to := x.Start.UnixMilli(), x.End.UnixMilli()
	off := to <= from // called off
	w.latest = false
	if c := w.counts; c != nil && t >= c.From { // it has begun: it can be cut short and nothing else
		if off || from > c.From {
			to = t
		}
		c.To = min(c.To, to)
		return
	}
	w.counts = nil
	if !off && !x.Approved.IsZero() && x.Approved.Before(x.Start) && t < from {
		w.counts, w.latest = &Window{x, from, to}, true
	}
}

// part tells which part of a window's scope an event has, as "1/2".
func part(e *collectors.Event) string {
	for _, l := range e.Labels {
		if l.Name == "part" {
			return l.Value
		}
	}
	return ""
}

// covers tells whether a source is worked on.
func (w *Window) covers(source string) bool {
	return len(w.Scope) == 0 || slices.Contains(w.Scope, source)
}

// ordered puts intervals in order and joins those that touch or overlap.
func ordered(in []interval) (out []interval) {
	slices.SortFunc(in, func(a, b interval) int { return compare(a.from, b.from, "", "") })
	for _, x := range in {
		switch n := len(out); {
		case x.from >= x.to:
		case n > 0 && x.from <= out[n-1].to:
			out[n-1].to = max(out[n-1].to, x.to)
		default:
			out = append(out, x)
		}
	}
	return out
}
