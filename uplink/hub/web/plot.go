package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// Bounds of a plot's page.
const (
	maxSeriesName = 32 << 10         // more than any name of a series, each octet of it quoted
	maxValues     = 200              // rows of the table
	lead          = 75 * time.Minute // what is read before and after: a summary is of an hour at most
)

// plotHours are the lengths of time to choose from.
var plotHours = []struct {
	Hours int
	Text  string
}{{1, "1 h"}, {6, "6 h"}, {24, "24 h"}, {168, "7 d"}}

// choice is a link among several, one of which is where the reader is.
type choice struct {
	Text, URL string
	Current   bool
}

// plotPage is a plot of one series.
type plotPage struct {
	base
	Site              wire.Site
	Source, SourceURL string
	Metric, Labels    string
	About             string // what is shown: the rate of a counter, or the unit
	Choices           []choice
	Earlier, Later    string
	From, To          when
	Stats             []fact
	Figures           []*figure
	Gaps              []gapRow
	Values            []valueRow
	More              int
	Found             bool
	Part              when // time ran out: there is nothing older than this on the page
	IsPart            bool
	Text              bool // the series is text
	Rate              bool
	Legend            *legend // of summaries, if there are any
}

type gapRow struct {
	From, To when
	Long     string
	Why      string
}

type valueRow struct {
	At   when
	Text string
	Tone tone
	Raw  string // of a total
	Of   string // what it stands for
}

// plotQuery is what a plot's address says.
type plotQuery struct {
	site           wire.Site
	source, series string
	hours          int
	to             int64 // Unix seconds; 0: now
}

func (w *Web) plotQuery(r *http.Request) (q plotQuery, err error) {
	if q.site, err = siteOf(r); err != nil {
		return q, err
	}
	v := r.URL.Query()
	q.source, q.series, q.hours = v.Get("source"), v.Get("series"), defaultHours
	if q.source == "" || len(q.source) > collectors.MaxName {
		return q, badQuery("The address must name a source.")
	}
	if q.series == "" || len(q.series) > maxSeriesName {
		return q, badQuery("The address must name a series.")
	}
	if h := v.Get("hours"); h != "" {
		if q.hours, err = strconv.Atoi(h); err != nil || !validHours(q.hours) {
			return q, badQuery("The hours must be 1, 6, 24 or 168.")
		}
	}
	if t := v.Get("to"); t != "" {
		const latest = 1 << 33 // the year 2242
		if q.to, err = strconv.ParseInt(t, 10, 64); err != nil || q.to < 0 || q.to > latest {
			return q, badQuery("The end must be a time in Unix seconds.")
		}
	}
	return q, nil
}

func validHours(h int) bool {
	for _, x := range plotHours {
		if x.Hours == h {
			return true
		}
	}
	return false
}

func (w *Web) plot(r *http.Request) (*answer, error) {
	q, err := w.plotQuery(r)
	if err != nil {
		return nil, err
	}
	if _, err := w.hub.Site(q.site); err != nil {
		return nil, err
	}
	now := w.opt.Now()
	to := now
	if q.to != 0 && time.Unix(q.to, 0).Before(now) {
		to = time.Unix(q.to, 0)
	} else {
		q.to = 0
	}
	from := to.Add(-time.Duration(q.hours) * time.Hour)
	metric, _, _ := strings.Cut(q.series, "{")
	points, holes, err := w.hub.Store().Line(r.Context(), store.Query{Probe: q.site.Probe(), Source: q.source, Metric: metric, Series: q.series,
		From: from.Add(-lead).UnixMilli(), To: to.Add(lead).UnixMilli()})
	part := errors.Is(err, context.DeadlineExceeded)
	if err != nil && !part {
		return nil, err
	}
	refresh := 60
	if q.to != 0 {
		refresh = 0 // the past stays as it is
	}
	p := &plotPage{base: w.base(r, words(metric)+" · "+words(q.source)+" · "+q.site.Probe(), refresh), Site: q.site,
		Source: words(q.source), SourceURL: sourceURL(q.site, q.source), Metric: words(metric), From: w.when(from), To: w.when(to), IsPart: part}
	p.Crumbs = []crumb{{"Sites", "/"}, {q.site.Probe(), siteURL(q.site)}, {words(q.source), p.SourceURL}, {words(metric), ""}}
	p.links(q, to)
	if points == nil {
		return &answer{page: "plot", data: p}, nil
	}
	p.Found = true
	if part {
		p.Part = w.whenMS(points.Points[0].T)
	}
	w.fill(r.Context(), p, q, points, holes, from.UnixMilli(), to.UnixMilli())
	return &answer{page: "plot", data: p}, nil
}

func (p *plotPage) links(q plotQuery, to time.Time) {
	for _, h := range plotHours {
		p.Choices = append(p.Choices, choice{h.Text, plotURL(q.site, q.source, q.series, h.Hours, q.to), h.Hours == q.hours})
	}
	step := int64(q.hours) * 3600
	p.Earlier = plotURL(q.site, q.source, q.series, q.hours, max(to.Unix()-step, 1))
	if q.to != 0 {
		p.Later = plotURL(q.site, q.source, q.series, q.hours, q.to+step)
	}
}

// fill draws what was found and writes it down.
func (w *Web) fill(ctx context.Context, p *plotPage, q plotQuery, points *store.Points, holes []store.Hole, from, to int64) {
	s := &points.Series
	p.Labels = labelsText(s.Labels)
	p.Rate = isTotal(s)
	unit, _ := shownAs(s)
	value := func(v float64) string {
		switch {
		case s.Kind == collectors.State && math.Abs(v) < 1<<53:
			return stateWord(s.Metric, int64(v)).Text
		case isInstant(s):
			return w.show(s, collectors.GaugeValue(v)).Text
		}
		return quantity(v, unit)
	}
	p.About = about(s, unit)
	spans := spansOf(points.Points, from, to)
	p.Legend = w.legend(s, spans)
	if s.Kind == collectors.Text {
		p.Text = true
		w.values(p, points, from, to)
		return
	}
	most := int64(gapFactor * float64(usual(points.Points)))
	l := lineOf(points).clip(from, to, w.opt.Now().UnixMilli(), most)
	d := &drawing{series: s, line: l, spans: spans, from: from, to: to, loc: w.opt.Location, value: value,
		why: w.explainer(q, holes)}
	p.Figures = []*figure{d.wide(), d.phone()}
	for _, f := range p.Figures {
		f.Label = words(s.Metric) + " from " + p.From.Text + " to " + p.To.Text + "; the values are in the table below"
	}
	p.Stats = stats(l, s, value)
	gaps := slices.Clone(l.Gaps)
	slices.Reverse(gaps)
	for _, g := range gaps[:min(len(gaps), 20)] {
		p.Gaps = append(p.Gaps, gapRow{w.whenMS(g.From), w.whenMS(g.To), duration(time.Duration(g.To-g.From) * time.Millisecond), w.reason(g, q, holes)})
	}
	w.values(p, points, from, to)
}

// about says what the numbers of a series are.
func about(s *collectors.Series, unit string) string {
	switch {
	case isTotal(s) && unit == "bits_per_second":
		return "rate of a counter, in bits per second"
	case isTotal(s):
		return "rate of a counter, per second"
	case s.Unit != "":
		return s.Kind.String() + ", in " + plain(strings.ReplaceAll(s.Unit, "_", " "), collectors.MaxName)
	}
	return s.Kind.String()
}

// stats are a plot's numbers at a glance. States have none that would say much.
func stats(l line, s *collectors.Series, value func(float64) string) []fact {
	lo, hi, sum, n := math.Inf(1), math.Inf(-1), 0.0, 0.0
	var last float64
	for _, run := range l.Runs {
		for _, x := range run {
			weight := 1.0
			if x.Of != nil {
				weight = float64(x.Of.N)
			}
			reach := x.reach()
			lo, hi, sum, last, n = minOf(lo, reach[1]), maxOf(hi, reach[2]), sum+x.V*weight, x.V, n+weight
		}
	}
	switch {
	case n == 0:
		return nil
	case s.Kind == collectors.State || isInstant(s):
		return []fact{{Name: "last", Text: value(last)}}
	}
	return []fact{{Name: "last", Text: value(last)}, {Name: "lowest", Text: value(lo)}, {Name: "mean", Text: value(sum / n)}, {Name: "highest", Text: value(hi)}}
}

// explainer returns what a gap's tooltip says.
func (w *Web) explainer(q plotQuery, holes []store.Hole) func(gap) string {
	return func(g gap) string {
		at := func(ms int64) string { return time.UnixMilli(ms).In(w.opt.Location).Format("2 Jan 15:04:05") }
		return "No readings from " + at(g.From) + " to " + at(g.To) + " (" + duration(time.Duration(g.To-g.From)*time.Millisecond) + "): " + w.reason(g, q, holes)
	}
}

// reason says why a gap is there, as far as the hub knows.
func (w *Web) reason(g gap, q plotQuery, holes []store.Hole) string {
	in := 0
	var last *store.Hole
	first, _ := slices.BinarySearchFunc(holes, g.From, func(h store.Hole, t int64) int { return int(max(-1, min(1, h.T-t))) })
	for i := first; i < len(holes) && holes[i].T <= g.To; i++ {
		in += holes[i].Polls
		last = &holes[i]
	}
	switch {
	case in > 0:
		text := plural(in, "poll", "polls") + " without readings, the last " + last.Result.String()
		if last.Why != "" {
			text += ": " + words(last.Why)
		}
		return text
	case g.Why == reset:
		return "the counter began anew"
	case g.Why == unread:
		return "the source was asked and gave no value"
	}
	if r := w.dropReason(q, g); r != "" {
		return "dropped by the box: " + r
	}
	return "nothing is stored here"
}

// dropReason looks among what the box said it dropped.
func (w *Web) dropReason(q plotQuery, g gap) string {
	proof, _, err := w.proofs.whole(q.site.Probe())
	if err != nil {
		return "" // the plot is worth showing without it
	}
	i := slices.IndexFunc(proof.Dropped, func(d hub.Dropped) bool {
		return d.Source == q.source && d.To != "" && clock(d.From).UnixMilli() <= g.To && clock(d.To).UnixMilli() >= g.From
	})
	if i < 0 {
		return ""
	}
	return words(proof.Dropped[i].Reason)
}

// values fills the table, the newest first.
func (w *Web) values(p *plotPage, points *store.Points, from, to int64) {
	s := &points.Series
	unit, _ := shownAs(s)
	rates := map[int64]float64{}
	if p.Rate {
		for _, run := range lineOf(points).Runs {
			for _, x := range run {
				rates[x.T] = x.V
			}
		}
	}
	for i := len(points.Points) - 1; i >= 0 && points.Points[i].T >= from; i-- {
		if x := &points.Points[i]; x.T > to && (x.Rolled == nil || x.Rolled.Start >= to) {
			continue
		}
		if len(p.Values) == maxValues {
			p.More++
			continue
		}
		x := points.Points[i]
		r := valueRow{At: w.whenMS(x.T), Of: w.rolledText(s, x.Rolled)}
		v, rated := rates[x.T]
		switch {
		case !p.Rate:
			y := w.show(s, x.V)
			r.Text, r.Tone = y.Text, y.Tone
		case rated:
			r.Text = quantity(v, unit)
		default:
			r.Text, r.Tone = none, mute
		}
		if p.Rate && !x.V.Missing() {
			r.Raw = lastReading(&x).Format(s.Kind)
		}
		p.Values = append(p.Values, r)
	}
}
