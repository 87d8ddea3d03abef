package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// Bounds of a site's page.
const (
	maxSources = 500
	maxDropped = 200
	maxEvents  = 50
	eventDays  = 7
)

// sitePage is one site.
type sitePage struct {
	base
	Site                        wire.Site
	Row                         *siteRow
	Status                      *wire.Status
	Facts                       []fact
	Sources                     []sourceRow
	More                        int // sources left out
	Proof                       *summary
	AsOf                        when
	Dropped                     []droppedRow
	MoreDropped                 int // ranges left out
	Incidents                   []incidentRow
	MoreIncidents, IncidentDays int
	Events                      []eventRow
	EventsPart                  bool // not all could be read in time
	EventDays                   int
}

// sourceRow is a source: how its last poll went, and what is proved of it.
type sourceRow struct {
	Name, URL string
	Outcome   word
	Why       string
	At        when
	Known     bool // the box named it in its status
	Expected  uint64
	Stored    uint64
	Coarse    uint64
	Dropped   uint64
	Pending   uint64
	Lost      uint64
	Complete  bool
}

// Kept is how many batches are stored in any form.
func (r sourceRow) Kept() uint64 { return r.Stored + r.Coarse }

type droppedRow struct {
	Source, URL string
	Count       uint64
	From, To    when
	Reason      string
}

type eventRow struct {
	At          when
	Source, URL string
	Severity    word
	Kind, Text  string
	Times       string // how many it stands for
	Since       when   // the first of them
	Labels      string
}

func (w *Web) site(r *http.Request) (*answer, error) {
	s, err := siteOf(r)
	if err != nil {
		return nil, err
	}
	x, err := w.hub.Site(s)
	if err != nil {
		return nil, err
	}
	proof, sum, err := w.proofs.whole(s.Probe())
	if err != nil {
		return nil, err
	}
	p := &sitePage{base: w.base(r, s.Probe(), 30), Site: s, Row: w.row(x, sum), Status: x.Status, Proof: sum, AsOf: w.when(clock(sum.AsOf)), EventDays: eventDays}
	p.Crumbs = []crumb{{"Sites", "/"}, {s.Probe(), ""}}
	p.Facts = w.statusFacts(x)
	p.Sources = w.sourceRows(s, x.Status, proof)
	if len(p.Sources) > maxSources {
		p.More = len(p.Sources) - maxSources
		p.Sources = p.Sources[:maxSources]
	}
	p.Dropped = w.droppedRows(s, proof)
	p.MoreDropped = len(proof.Dropped) - len(p.Dropped)
	told, err := w.incidents(r.Context(), s)
	if p.EventsPart = errors.Is(err, context.DeadlineExceeded); err != nil && !p.EventsPart {
		return nil, err
	}
	p.Incidents, p.IncidentDays = w.incidentRows(s, told), incidentDays
	p.MoreIncidents = len(told) - len(p.Incidents)
	p.Events, err = w.eventRows(r.Context(), s)
	if p.EventsPart = errors.Is(err, context.DeadlineExceeded); err != nil && !p.EventsPart {
		return nil, err
	}
	return &answer{page: "site", data: p}, nil
}

// statusFacts is the box's status in words.
func (w *Web) statusFacts(x *hub.SiteInfo) []fact {
	st := x.Status
	if st == nil {
		return nil
	}
	var out []fact
	add := func(name, text string, t when) {
		if text != "" || t.Text != "" {
			out = append(out, fact{Name: name, Text: text, At: t})
		}
	}
	add("Version", words(st.Version), when{})
	add("Said", "", w.when(clock(st.Time)))
	add("Running since", "", w.when(clock(st.Started)))
	add("Uplink", words(st.Uplink.State), w.when(clock(st.Uplink.Since)))
	add("Server", words(st.Uplink.Server), when{})
	add("Last error", words(st.Uplink.Error), when{})
	ack := words(st.Uplink.Ack)
	if ack != "" && !st.Uplink.Proved {
		ack += ": nothing shows that readings were stored"
	}
	add("Acknowledged by", ack, when{})
	backlog, oldest := w.backlog(x)
	add("Backlog", backlog.Text, when{})
	add("Oldest waiting", "", oldest)
	if b := st.Buffer; b.BudgetBytes > 0 {
		add("Buffer", quantity(float64(b.UsedBytes), "bytes")+" of "+quantity(float64(b.BudgetBytes), "bytes"), when{})
	}
	switch d, l := st.Buffer.DaysLeft, st.Buffer.Left; {
	case l != nil:
		add("Buffer lasts", days(l.Raw)+" with every reading, "+days(l.Quarter)+" as summaries of 15"+narrow+"min, "+days(l.Hour)+" of 1"+narrow+"h", when{})
	case d != nil:
		add("Buffer lasts", days(*d), when{})
	}
	if n := st.Buffer.Dropped; n != 0 {
		add("Dropped", plural(n, "reading", "readings"), when{})
	}
	return out
}

// sourceRows joins what the box said of its sources with what is proved of them:
// those in trouble first.
func (w *Web) sourceRows(s wire.Site, st *wire.Status, proof *hub.Proof) []sourceRow {
	rows := map[string]*sourceRow{}
	row := func(source string) *sourceRow {
		if rows[source] == nil {
			rows[source] = &sourceRow{Name: words(source), URL: sourceURL(s, source)}
		}
		return rows[source]
	}
	for _, x := range proof.Sources { // one for each epoch
		r := row(x.Source)
		r.Expected += x.Expected
		r.Stored += x.Stored
		r.Coarse += x.Downsampled
		r.Dropped += x.Dropped
		r.Pending += x.Pending
		r.Lost += x.Lost
	}
	if st != nil {
		for _, x := range st.Devices.List {
			if x.Source == "" {
				continue
			}
			r := row(x.Source)
			r.Known, r.Outcome, r.Why, r.At = true, resultWord(x.Result), words(x.Why), w.when(clock(x.At))
		}
	}
	out := make([]sourceRow, 0, len(rows))
	for _, r := range rows {
		r.Complete = r.Stored+r.Coarse == r.Expected
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b sourceRow) int {
		return cmp.Or(cmp.Compare(b.rank(), a.rank()), natural(a.Name, b.Name), strings.Compare(a.URL, b.URL))
	})
	return out
}

func (r *sourceRow) rank() int {
	n := 0
	if r.Outcome.Tone.rank() >= warn.rank() {
		n = r.Outcome.Tone.rank()
	}
	if r.Lost > 0 {
		n = bad.rank() + 1
	}
	return n
}

// resultWord is the word for how a poll went.
func resultWord(s string) word {
	switch s {
	case "ok":
		return word{"ok", good}
	case "partial", "skipped":
		return word{s, warn}
	case "failed", "down":
		return word{s, bad}
	}
	return word{words(s), mute}
}

func (w *Web) droppedRows(s wire.Site, proof *hub.Proof) []droppedRow {
	dropped := slices.Clone(proof.Dropped)
	slices.SortStableFunc(dropped, func(a, b hub.Dropped) int { return clock(b.To).Compare(clock(a.To)) })
	dropped = dropped[:min(len(dropped), maxDropped)]
	out := make([]droppedRow, len(dropped))
	for i, d := range dropped {
		out[i] = droppedRow{words(d.Source), sourceURL(s, d.Source), d.Count, w.when(clock(d.From)), w.when(clock(d.To)), words(d.Reason)}
	}
	return out
}

func (w *Web) eventRows(ctx context.Context, s wire.Site) ([]eventRow, error) {
	from := w.opt.Now().Add(-eventDays * 24 * time.Hour).UnixMilli()
	events, err := w.hub.Store().EventsSince(ctx, s.Probe(), from, maxEvents)
	out := make([]eventRow, len(events))
	for i, e := range events {
		times, first := store.Told(&e.Event)
		sev := []tone{mute, warn, bad}[min(int(e.Severity), 2)]
		var labels []string
		for _, l := range e.Labels {
			if e.Apart() {
				break // what counts of them is told above, and in the text
			}
			if l.Name == "device" && "device/"+l.Value == e.Source || times > 1 && (l.Name == store.LabelCount || l.Name == store.LabelFirst) {
				continue // it is said already
			}
			labels = append(labels, words(l.Name)+"="+words(l.Value))
		}
		if e.Unsure {
			labels = append(labels, "clock unsure")
		}
		out[i] = eventRow{At: w.whenMS(e.T), Source: words(e.Source), URL: sourceURL(s, e.Source), Severity: word{e.Severity.String(), sev},
			Kind: words(e.Kind), Text: words(e.Text), Labels: strings.Join(labels, ", ")}
		if times > 1 {
			out[i].Times, out[i].Since = count(times), w.whenMS(first)
		}
	}
	return out, err
}
