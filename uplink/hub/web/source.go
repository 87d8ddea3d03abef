package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// polls is how many of a source's last polls are looked at: rates need two, and
// what is read only now and then (a device's name) needs more.
const polls = 12

// How far back a source's last readings are looked for, first and if there are
// none.
const (
	lookBack     = 24 * time.Hour
	lookFarther  = 35 * 24 * time.Hour
	samePoll     = 1000 // ms; a large source's poll is stored in parts
	defaultHours = 24
)

// fact is one thing that is known, and since when or of when.
type fact struct {
	Name, Labels string
	Text         string
	Tone         tone
	At           when
	URL          string // its plot
}

// view is a table as it is shown.
type view struct {
	Interfaces bool
	Index      []string
	Columns    []*column
	Rows       []viewRow
	Left       int
}

type viewRow struct {
	Index []string
	Cells []viewCell
	At    when
	Older bool // not of the newest poll
}

type viewCell struct {
	Head  string
	Text  string
	Small string
	Tone  tone
	URL   string
	Title string
}

// sourcePage is the latest readings of one source.
type sourcePage struct {
	base
	Site    wire.Site
	Source  string
	Outcome word
	Why     string
	Tried   when // the newest poll
	Read    when // the newest readings
	Stale   bool // the two differ
	Part    bool // time ran out
	Labels  string
	Facts   []fact
	Tables  []*view
}

func (w *Web) source(r *http.Request) (*answer, error) {
	s, err := siteOf(r)
	if err != nil {
		return nil, err
	}
	source := r.PathValue("source")
	if source == "" {
		source = r.URL.Query().Get("source")
	}
	if source == "" || len(source) > collectors.MaxName {
		return nil, errNotFound
	}
	if _, err := w.hub.Site(s); err != nil {
		return nil, err
	}
	recent, err := w.recent(r.Context(), s.Probe(), source)
	part := errors.Is(err, context.DeadlineExceeded)
	if err != nil && !part {
		return nil, err
	}
	p := &sourcePage{base: w.base(r, words(source)+" · "+s.Probe(), 30), Site: s, Source: words(source), Part: part}
	p.Crumbs = []crumb{{"Sites", "/"}, {s.Probe(), siteURL(s)}, {words(source), ""}}
	outcome, tried := recent.Result()
	p.Tried, p.Read = w.whenMS(tried), w.whenMS(recent.ReadAt)
	p.Stale = tried != recent.ReadAt
	if tried != 0 {
		p.Outcome, p.Why = resultWord(outcome.Result.String()), words(outcome.Why)
	}
	p.Labels = labelsText(commonLabels(recent.Series))
	alone, tables := pivot(recent.Series)
	for _, x := range alone {
		p.Facts = append(p.Facts, w.factOf(s, x))
	}
	for _, t := range tables {
		if v := w.viewOf(s, t, recent.ReadAt); len(v.Rows) > 0 {
			p.Tables = append(p.Tables, v)
		}
	}
	return &answer{page: "source", data: p}, nil
}

// recent looks a day back first, which nearly always is enough.
func (w *Web) recent(ctx context.Context, probe, source string) (store.Recent, error) {
	now := w.opt.Now()
	r, err := w.hub.Store().Recent(ctx, probe, source, now.Add(-lookBack).UnixMilli(), polls)
	if err == nil && r.ReadAt == 0 {
		return w.hub.Store().Recent(ctx, probe, source, now.Add(-lookFarther).UnixMilli(), polls)
	}
	return r, err
}

func labelsText(ls []collectors.Label) string {
	var out []string
	for _, l := range ls {
		out = append(out, words(l.Name)+"="+words(l.Value))
	}
	return strings.Join(out, ", ")
}

// factOf shows a series that stands alone: its newest reading, whenever that was.
func (w *Web) factOf(s wire.Site, p *store.Points) fact {
	x := *p
	if last := lastValue(p.Points); last >= 0 {
		x.Points = x.Points[:last+1]
	}
	v, at := w.showLast(&x)
	return fact{Name: words(p.Series.Metric), Text: v.Text, Tone: v.Tone, At: w.whenMS(at), URL: plotURL(s, p.Source, p.Series.String(), defaultHours, 0)}
}

// lastValue is where the newest reading is, -1 where there is none.
func lastValue(ps []store.Point) int {
	i := len(ps) - 1
	for i >= 0 && ps[i].V.Missing() {
		i--
	}
	return i
}

// viewOf shows a table's readings of the newest poll. Rows that it no longer has
// are left out.
func (w *Web) viewOf(s wire.Site, t *table, readAt int64) *view {
	v := &view{Columns: t.Columns, Left: t.Left}
	var index []int
	v.Index, index = indexHeads(t.Index)
	v.Interfaces = len(t.Index) > 1 && t.Index[0] == "ifIndex"
	for _, r := range t.Rows {
		x := viewRow{}
		for _, i := range index {
			x.Index = append(x.Index, words(r.Index[i]))
		}
		var newest int64
		for _, c := range t.Columns {
			cell := viewCell{Head: c.Head, Text: none, Tone: mute}
			if p := r.cells[c]; p != nil {
				newest = max(newest, p.Points[len(p.Points)-1].T)
				cell = w.cellOf(s, c, p, r, readAt)
			}
			x.Cells = append(x.Cells, cell)
		}
		if newest <= readAt-samePoll {
			continue
		}
		x.At = w.whenMS(newest)
		v.Rows = append(v.Rows, x)
	}
	return v
}

// indexHeads names a table's label columns, and which labels they show. An
// interface's number, name and alias are what an engineer looks for.
func indexHeads(names []string) (heads []string, index []int) {
	short := map[string]string{"ifIndex": "#", "ifName": "Interface", "ifDescr": "Description", "ifAlias": "Alias"}
	for i, n := range names {
		if head, ok := short[n]; ok {
			heads = append(heads, head)
		} else {
			heads = append(heads, words(n))
		}
		index = append(index, i)
	}
	return heads, index
}

func (w *Web) cellOf(s wire.Site, c *column, p *store.Points, r *row, readAt int64) viewCell {
	cell := viewCell{Head: c.Head, URL: plotURL(s, p.Source, p.Series.String(), defaultHours, 0), Text: none, Tone: mute}
	last := p.Points[len(p.Points)-1]
	cell.Title = words(p.Series.Metric) + " at " + w.whenMS(last.T).Text
	if last.T <= readAt-samePoll {
		cell.Title += ": not in the newest poll"
		return cell
	}
	if !last.V.Missing() && isTotal(&p.Series) {
		cell.Title += ": " + plain(lastReading(&last).Format(p.Series.Kind), 40)
	}
	v, _ := w.showLast(p)
	cell.Text, cell.Tone = v.Text, v.Tone
	switch metric := p.Series.Metric; {
	case v.Text == none:
		if isTotal(&p.Series) && !last.V.Missing() {
			cell.Title += ", no rate: there is no reading just before it, or the counter was reset"
		}
	case metric == "ifOperStatus" && v.Tone == bad && adminDown(r):
		cell.Tone = mute
	case strings.Contains(metric, "Errors") || strings.Contains(metric, "Discards"):
		cell.Tone = mute
		if v.Text != "0"+narrow+"/s" {
			cell.Tone = warn
		}
	case strings.HasSuffix(metric, "Octets"):
		cell.Small = used(p, r)
	}
	return cell
}

// valueOf returns the newest number that a row has of the metrics.
func (r *row) valueOf(metrics ...string) (float64, bool) {
	for _, p := range r.cells {
		if slices.Contains(metrics, p.Series.Metric) {
			return lastReading(&p.Points[len(p.Points)-1]).Float(p.Series.Kind)
		}
	}
	return 0, false
}

func adminDown(r *row) bool {
	n, ok := r.valueOf("ifAdminStatus")
	return ok && n == 2
}

// used is what part of an interface's speed its rate is.
func used(p *store.Points, r *row) string {
	speed, ok := r.valueOf("ifHighSpeed")
	if speed *= 1e6; !ok {
		speed, ok = r.valueOf("ifSpeed")
	}
	l := lineOf(p)
	if !ok || speed <= 0 || len(l.Runs) == 0 {
		return ""
	}
	run := l.Runs[len(l.Runs)-1]
	part := run[len(run)-1].V / speed
	if !(part >= 0.005) || part > 2 {
		return ""
	}
	return digits(math.Round(part*100), 3) + narrow + "%"
}
