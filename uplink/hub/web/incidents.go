package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
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
			Severity: severity(x.Severity.String())}
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
	Evidence string   `json:"evidence,omitempty"` // the name of its file on the box
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

// severity is the word for a severity, which anybody may have sent.
func severity(s string) word {
	switch s {
	case "info":
		return word{s, mute}
	case "warning":
		return word{s, warn}
	case "error":
		return word{s, bad}
	}
	return word{words(s), warn}
}

// openRow is an incident in the list of all that are open.
type openRow struct {
	Tenant, Site, SiteURL string
	incidentRow
	Said when // when the box said so
	Gone bool // the box is not there any more
	at   time.Time
}

// openPage lists what is open at all sites, as the boxes said last.
type openPage struct {
	base
	Rows         []openRow
	Query, Owner string
	Owners       []string
	All, More    int
}

// owners are those that an incident may have.
var owners = []string{"customer", "isp", "msp", "undetermined"}

// open answers with the open incidents of all sites, the worst first.
func (w *Web) open(r *http.Request) (*answer, error) {
	query, owner := strings.ToLower(strings.TrimSpace(r.URL.Query().Get("q"))), r.URL.Query().Get("owner")
	if len(query) > maxQuery {
		return nil, badQuery("The search is too long.")
	}
	if owner != "" && !slices.Contains(owners, owner) {
		return nil, badQuery("An owner is one of customer, isp, msp, undetermined.")
	}
	infos, err := w.hub.Sites()
	if err != nil {
		return nil, err
	}
	p := &openPage{base: w.base(r, "Incidents", 30), Query: query, Owner: owner, Owners: owners}
	p.Crumbs = []crumb{{"Sites", "/"}, {"Incidents", ""}}
	for i := range infos {
		x := &infos[i]
		if x.Status == nil {
			continue
		}
		gone := w.judge(x, nil).State.Tone == bad
		for _, in := range x.Status.Incidents {
			p.All++
			row := w.openRow(x.Site, &in)
			row.Gone, row.Said = gone, w.when(clock(x.Status.Time))
			text := strings.ToLower(x.Site.Probe() + " " + in.Summary + " " + in.Cause + " " + in.Source)
			if (owner == "" || in.Owner == owner) && strings.Contains(text, query) {
				p.Rows = append(p.Rows, row)
			}
		}
	}
	slices.SortStableFunc(p.Rows, func(a, b openRow) int {
		return cmp.Or(cmp.Compare(b.Severity.Tone.rank(), a.Severity.Tone.rank()), b.at.Compare(a.at))
	})
	if len(p.Rows) > maxRows {
		p.More, p.Rows = len(p.Rows)-maxRows, p.Rows[:maxRows]
	}
	return &answer{page: "incidents", data: p}, nil
}

func (w *Web) openRow(s wire.Site, x *wire.Incident) openRow {
	since := clock(x.Since)
	r := openRow{Tenant: s.Tenant, Site: s.Name, SiteURL: siteURL(s), at: since, incidentRow: incidentRow{
		Open: true, Severity: severity(x.Severity), Summary: words(x.Summary), Source: words(x.Source), URL: sourceURL(s, x.Source),
		Cause: words(x.Cause), Owner: words(x.Owner), Since: w.when(since), Silenced: words(x.Silenced), ID: words(x.ID)}}
	if d := w.opt.Now().Sub(since); !since.IsZero() && d > 0 {
		r.Lasted = duration(d)
	}
	if x.Affected > 1 {
		r.Affected = count(x.Affected)
	}
	return r
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
