package web

import (
	"context"
	"net/http"
	"time"

	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// Bounds of what is shown of incidents.
const (
	incidentDays     = 31
	maxIncidents     = 50
	maxIncidentEvent = 5000 // events that are read
)

// incidentRow is an incident of a site.
type incidentRow struct {
	Open             bool
	Severity         word
	Summary          string
	Source, URL      string
	Cause, Owner     string
	Affected         string // how many sources, where that is more than one
	Since, Until     when
	Lasted, Silenced string
	ID               string
}

// incidents reads a site's incidents, open ones first. Where time ran out, it returns
// what it has found by then together with ctx's error.
func (w *Web) incidents(ctx context.Context, s wire.Site) ([]*incident.Told, error) {
	from := w.opt.Now().Add(-incidentDays * 24 * time.Hour).UnixMilli()
	events, err := w.hub.Store().EventsOf(ctx, s.Probe(), incident.Source, from, maxIncidentEvent)
	var t incident.Tell
	for i := range events {
		t.Add(&events[i].Event, time.UnixMilli(events[i].T), events[i].Unsure)
	}
	return t.List(), err
}

func (w *Web) incidentRows(s wire.Site, told []*incident.Told) []incidentRow {
	out := make([]incidentRow, 0, min(len(told), maxIncidents))
	for _, x := range told[:min(len(told), maxIncidents)] {
		until := w.opt.Now()
		r := incidentRow{Open: x.Closed.IsZero(), Summary: words(x.Summary), Source: words(x.Source), URL: sourceURL(s, x.Source),
			Cause: words(x.Cause), Owner: words(string(x.Owner)), Since: w.when(x.First), Silenced: words(x.Silenced), ID: words(x.ID),
			Severity: word{x.Severity.String(), []tone{mute, warn, bad}[min(int(x.Severity), 2)]}}
		if !r.Open {
			until, r.Until, r.Severity.Tone = x.Closed, w.when(x.Closed), mute
		}
		if d := until.Sub(x.First); d > 0 {
			r.Lasted = duration(d)
		}
		if x.Count > 1 {
			r.Affected = count(x.Count)
		}
		out = append(out, r)
	}
	return out
}

// incidentJSON is an incident in /api/v1/sites/{tenant}/{site}/incidents.
type incidentJSON struct {
	ID       string   `json:"id"`
	Key      string   `json:"key"`
	Kind     string   `json:"kind"`
	Cause    string   `json:"cause"`
	Owner    string   `json:"owner"`
	Severity string   `json:"severity"`
	Summary  string   `json:"summary"`
	Source   string   `json:"source"`
	Affected int      `json:"affected"`
	Sources  []string `json:"sources"` // the first of those affected
	Runbook  string   `json:"runbook,omitempty"`
	Evidence string   `json:"evidence,omitempty"` // SHA-256
	Silenced string   `json:"silenced,omitempty"`
	Since    string   `json:"since"`  // RFC 3339: the first evidence
	Opened   string   `json:"opened"` // when the box knew
	Closed   *string  `json:"closed"` // null: open
	Unsure   bool     `json:"clock_unsure,omitempty"`
}

func (w *Web) apiIncidents(r *http.Request) (*answer, error) {
	s, err := siteOf(r)
	if err != nil {
		return nil, err
	}
	if _, err := w.hub.Site(s); err != nil {
		return nil, err
	}
	told, err := w.incidents(r.Context(), s)
	if err != nil {
		return nil, err
	}
	out := make([]incidentJSON, 0, len(told))
	for _, x := range told {
		j := incidentJSON{ID: x.ID, Key: x.Key, Kind: string(x.Kind), Cause: x.Cause, Owner: string(x.Owner), Severity: x.Severity.String(),
			Summary: x.Summary, Source: x.Source, Affected: x.Count, Sources: x.Affected, Runbook: x.Runbook, Evidence: x.Evidence, Silenced: x.Silenced,
			Since: stamp(x.First), Opened: stamp(x.Opened), Unsure: x.Unsure}
		if !x.Closed.IsZero() {
			t := stamp(x.Closed)
			j.Closed = &t
		}
		out = append(out, j)
	}
	return jsonAnswer(out)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
