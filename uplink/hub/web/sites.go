package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/uplink/hub"
)

// siteRow is a site in the list of all.
type siteRow struct {
	Tenant, Name, URL string
	*health
	Heard   when
	Backlog note
	Oldest  when // of the backlog
	Devices note
	Dropped string // readings, as the box says; empty: none
	Gone    bool   // offline or silent, since it was heard
}

// sitesPage is the list of all sites.
type sitesPage struct {
	base
	Rows      []*siteRow
	Query     string
	All       int
	Good      int
	Warn, Bad int
	Open      int // incidents
	More      int // rows left out
}

// Bounds of the list.
const (
	maxQuery = 64
	maxRows  = 1000
)

// overview returns every site's health within half of the request's time.
func (w *Web) overview(ctx context.Context) ([]hub.SiteInfo, map[string]*summary, error) {
	ctx, cancel := context.WithTimeout(ctx, w.opt.Budget/2)
	defer cancel()
	infos, err := w.hub.Sites()
	if err != nil {
		return nil, nil, err
	}
	names := make([]string, len(infos))
	for i := range infos {
		names[i] = infos[i].Site.Probe()
	}
	sums, err := w.proofs.briefs(ctx, names)
	return infos, sums, err
}

func (w *Web) sites(r *http.Request) (*answer, error) {
	query := strings.ToLower(strings.TrimSpace(r.URL.Query().Get("q")))
	if len(query) > maxQuery {
		return nil, badQuery("The search is too long.")
	}
	infos, sums, err := w.overview(r.Context())
	if err != nil {
		return nil, err
	}
	p := &sitesPage{base: w.base(r, "Sites", 30), Query: query, All: len(infos)}
	for i := range infos {
		x := &infos[i]
		row := w.row(x, sums[x.Site.Probe()])
		if x.Status != nil {
			p.Open += len(x.Status.Incidents)
		}
		switch row.Tone {
		case bad:
			p.Bad++
		case warn:
			p.Warn++
		default:
			p.Good++
		}
		if strings.Contains(x.Site.Probe(), query) {
			p.Rows = append(p.Rows, row)
		}
	}
	slices.SortStableFunc(p.Rows, func(a, b *siteRow) int {
		return cmp.Or(cmp.Compare(b.Tone.rank(), a.Tone.rank()), cmp.Compare(b.State.Tone.rank(), a.State.Tone.rank()))
	})
	if len(p.Rows) > maxRows {
		p.More = len(p.Rows) - maxRows
		p.Rows = p.Rows[:maxRows]
	}
	return &answer{page: "sites", data: p}, nil
}

func (w *Web) row(x *hub.SiteInfo, sum *summary) *siteRow {
	h := w.judge(x, sum)
	row := &siteRow{Tenant: x.Site.Tenant, Name: x.Site.Name, URL: siteURL(x.Site), health: h, Heard: w.when(h.Heard)}
	row.Gone = h.State.Tone == bad && row.Heard.Text != ""
	if row.Tone == mute {
		row.Tone = good
	}
	st := x.Status
	if st == nil {
		return row
	}
	row.Backlog, row.Oldest = w.backlog(x)
	if row.Gone && st.Buffer.PendingReadings == 0 {
		row.Backlog.Text = "not known" // whatever it has collected since
	}
	if st.Devices.Total > 0 || st.Devices.Answering > 0 {
		row.Devices = note{Tone: mute, Text: count(st.Devices.Answering) + " / " + count(st.Devices.Total)}
		if st.Devices.Answering+st.Devices.Waiting < st.Devices.Total {
			row.Devices.Tone = warn
		}
	}
	if st.Buffer.Dropped != 0 {
		row.Dropped = count(st.Buffer.Dropped)
	}
	return row
}

// backlog is what waits at the box, as it said last.
func (w *Web) backlog(x *hub.SiteInfo) (note, when) {
	b := &x.Status.Buffer
	if b.PendingReadings == 0 && b.PendingBytes == 0 {
		return note{Tone: mute, Text: "none"}, when{}
	}
	n := note{Tone: mute, Text: count(b.PendingReadings) + " readings, " + quantity(float64(b.PendingBytes), "bytes")}
	var oldest time.Time
	if b.Oldest != nil {
		oldest = clock(*b.Oldest)
	}
	if !oldest.IsZero() && w.opt.Now().Sub(oldest) > time.Hour {
		n.Tone = warn
	}
	return n, w.when(oldest)
}
