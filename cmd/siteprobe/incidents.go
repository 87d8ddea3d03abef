package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/collectors/runbook"
	"github.com/siteprobe/siteprobe/provisioning/config"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// shownIncident is what `incidents --json` prints, one a line. Scripts rely on its keys.
type shownIncident struct {
	ID       string     `json:"id"`
	Key      string     `json:"key"`
	Kind     string     `json:"kind"`
	Cause    string     `json:"cause"`
	Owner    string     `json:"owner"`
	Severity string     `json:"severity"`
	State    string     `json:"state"` // open, closed
	Summary  string     `json:"summary"`
	Source   string     `json:"source"`
	Affected []string   `json:"affected"` // all of an open one; of others the first of them
	Count    int        `json:"affected_count"`
	Runbook  string     `json:"runbook"`
	Evidence string     `json:"evidence,omitempty"`
	Silenced string     `json:"silenced,omitempty"`
	First    time.Time  `json:"first"` // evidence
	Opened   time.Time  `json:"opened"`
	Closed   *time.Time `json:"closed"`
	Unsure   bool       `json:"clock_unsure,omitempty"`
}

func shownOf(i *incident.Incident, first, opened time.Time, closed *time.Time, count int, unsure bool) shownIncident {
	s := shownIncident{ID: i.ID, Key: i.Key, Kind: string(i.Kind), Cause: i.Cause, Owner: string(i.Owner), Severity: i.Severity.String(), State: "open",
		Summary: i.Summary, Source: i.Source, Affected: append([]string{}, i.Affected...), Count: count, Runbook: i.Runbook, Evidence: i.Evidence,
		Silenced: i.Silenced, First: first.UTC(), Opened: opened.UTC(), Closed: closed, Unsure: unsure}
	if closed != nil {
		s.State = "closed"
	}
	return s
}

// incidentsOpen are those that are open, by the box's clock.
func (d *appliance) incidentsOpen() []shownIncident {
	offset, sure := d.clock.Offset()
	at := func(s collectors.Stamp) time.Time {
		return time.UnixMilli(int64(s) + offset).Truncate(time.Millisecond)
	}
	out := []shownIncident{}
	for _, i := range d.engine.Incidents() {
		out = append(out, shownOf(&i, at(i.First), at(i.Opened), nil, len(i.Affected), !sure))
	}
	return out
}

// openIncidents are those of a status, the worst first.
func (d *appliance) openIncidents() []wire.Incident {
	out := []wire.Incident{}
	for _, i := range d.incidentsOpen() {
		out = append(out, wire.Incident{ID: i.ID, Kind: string(i.Kind), Cause: i.Cause, Owner: string(i.Owner), Severity: i.Severity,
			Summary: i.Summary, Source: i.Source, Affected: i.Count, Since: rfc3339(i.First), Silenced: i.Silenced})
	}
	worst := []string{"error", "warning", "info"}
	slices.SortStableFunc(out, func(a, b wire.Incident) int {
		return cmp.Or(cmp.Compare(slices.Index(worst, a.Severity), slices.Index(worst, b.Severity)), cmp.Compare(b.Since, a.Since))
	})
	return out
}

// serveIncidents answers about incidents, and takes what is said at the box.
func (d *appliance) serveIncidents(mux *http.ServeMux) {
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the client has gone
	}
	mux.HandleFunc("GET /incidents", func(w http.ResponseWriter, _ *http.Request) { answer(w, d.incidentsOpen()) })
	mux.HandleFunc("GET /maintenance", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, restful{Windows: d.engine.Maintenance(), Silences: d.engine.Silences()})
	})
	post := func(path string, do func(r *http.Request) (string, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
			id, err := do(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			answer(w, map[string]string{"id": id})
		})
	}
	post("/maintenance", func(r *http.Request) (string, error) {
		var x incident.Window
		if err := json.NewDecoder(r.Body).Decode(&x); err != nil {
			return "", errors.New("the request cannot be read: is the daemon of another version?")
		}
		return d.engine.AddWindow(x)
	})
	post("/silences", func(r *http.Request) (string, error) {
		var x incident.Silence
		if err := json.NewDecoder(r.Body).Decode(&x); err != nil {
			return "", errors.New("the request cannot be read: is the daemon of another version?")
		}
		return d.engine.Silence(x)
	})
	post("/maintenance/end", func(r *http.Request) (string, error) {
		id := r.FormValue("id")
		return id, d.engine.End(id)
	})
}

// restful is what holds back notices.
type restful struct {
	Windows  []incident.Window  `json:"windows"`
	Silences []incident.Silence `json:"silences"`
}

func incidentsCommand(path *string) *cobra.Command {
	l := &incidentList{path: path}
	c := &cobra.Command{
		Use: "incidents", Short: "What is broken, since when and whose it is", Args: cobra.NoArgs,
		Long: "Show the incidents that are open, and with --all or --since those that are over.\n\n" +
			"It works without a running daemon, too, by what the local buffer knows. It exits with 1 when an incident is open.\n\n" +
			"--json prints one object a line: id, key, kind, cause, owner (customer, isp, msp, undetermined), severity, state, summary, source,\n" +
			"affected, affected_count, runbook, evidence, silenced, first (evidence), opened, closed.",
		RunE: func(c *cobra.Command, _ []string) error {
			l.all = l.all || c.Flags().Changed("since")
			if err := l.read(c.Context()); err != nil {
				return err
			}
			out := bufio.NewWriter(c.OutOrStdout())
			l.print(out)
			if err := out.Flush(); err != nil {
				return fmt.Errorf("printing: %w", err)
			}
			if l.open() > 0 {
				return &exit{code: badNews}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&l.all, "all", false, "also those that are over")
	c.Flags().StringVar(&l.since, "since", "7d", "those that are over: since when (2h, 7d, a date, a time)")
	c.PersistentFlags().BoolVar(&l.json, "json", false, "for a program")
	c.AddCommand(&cobra.Command{
		Use: "show ID", Short: "All that is known of one incident", Args: cobra.ExactArgs(1),
		Long: "All that is known of one incident. The ID may be cut short, or be what stands behind the @ in it.",
		RunE: func(c *cobra.Command, args []string) error {
			l.all = true
			if err := l.read(c.Context()); err != nil {
				return err
			}
			return l.show(c.OutOrStdout(), args[0])
		},
	})
	return c
}

// incidentList is how the commands come by incidents.
type incidentList struct {
	path  *string
	all   bool
	json  bool
	since string

	site *config.Site
	list []shownIncident // open ones first, then the newest
	asOf string          // where there is no daemon to say what is open
}

func (l *incidentList) read(ctx context.Context) error {
	site, err := load(config.Loader{WithoutSecrets: true}, *l.path)
	if err != nil {
		return err
	}
	l.site = site
	now := time.Now()
	from, err := instant(l.since, now)
	if err != nil {
		return &exit{usage, err}
	}
	raw, daemonErr := ask(ctx, controlSocket(dataDir(site)), "/incidents")
	if daemonErr == nil {
		if err := json.Unmarshal(raw, &l.list); err != nil {
			return &exit{unknown, errors.New("the daemon's answer cannot be read: is it of another version?")}
		}
	}
	if daemonErr == nil && !l.all {
		return nil
	}
	told, err := toldIncidents(ctx, site, from)
	if err != nil {
		if daemonErr != nil {
			err = errors.Join(daemonErr, err)
		}
		return &exit{unknown, err}
	}
	if daemonErr != nil {
		l.asOf = "the daemon does not run: this is what was known when it stopped"
	}
	for _, t := range told {
		switch {
		case slices.ContainsFunc(l.list, func(s shownIncident) bool { return s.ID == t.ID }):
		case t.Closed.IsZero() && daemonErr == nil: // the daemon does not know it: its end was lost
		case t.Closed.IsZero():
			l.list = append(l.list, shownOf(&t.Incident, t.First, t.Opened, nil, t.Count, t.Unsure))
		case l.all:
			l.list = append(l.list, shownOf(&t.Incident, t.First, t.Opened, &t.Closed, t.Count, t.Unsure))
		}
	}
	return nil
}

// maxTold bounds the events that are read for a list.
const maxTold = 20_000

// toldIncidents reads the buffer's events.
func toldIncidents(ctx context.Context, site *config.Site, from int64) ([]*incident.Told, error) {
	st, err := store.Open(site.Buffer.Path, store.Options{ReadOnly: true})
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no buffer at %s yet: has the daemon ever run?", site.Buffer.Path)
	}
	if err != nil {
		return nil, err
	}
	defer st.Close()
	events, err := st.EventsOf(ctx, wire.Site{Tenant: site.Info.Tenant, Name: site.Info.ID}.Probe(), incident.Source, from, maxTold)
	if err != nil {
		return nil, err
	}
	var t incident.Tell
	for i := range events {
		t.Add(&events[i].Event, time.UnixMilli(events[i].T), events[i].Unsure)
	}
	return t.List(), nil
}

func (l *incidentList) open() (n int) {
	for i := range l.list {
		if l.list[i].Closed == nil {
			n++
		}
	}
	return n
}

// print writes a table, or a line of JSON for each.
func (l *incidentList) print(w io.Writer) {
	if l.json {
		for i := range l.list {
			_ = encode(w, &l.list[i]) // the error stays with the writer until Flush
		}
		return
	}
	if l.asOf != "" {
		fmt.Fprintln(w, l.asOf)
	}
	if len(l.list) == 0 {
		fmt.Fprintln(w, "no incidents")
		return
	}
	now := time.Now()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SINCE\tFOR\tSTATE\tWHOSE\tAFFECTED\tWHAT\tID")
	for i := range l.list {
		x := &l.list[i]
		state, end := x.State, now
		if x.Closed != nil {
			end = *x.Closed
		}
		if x.Silenced != "" && x.Closed == nil {
			state += ", silenced"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", x.First.In(l.site.Info.Location()).Format("2006-01-02 15:04"), lasting(end.Sub(x.First)), state, x.Owner,
			x.Count, collectors.Printable(x.Summary), collectors.Printable(x.ID))
	}
	t.Flush()
}

// lasting writes for how long something was, coarsely.
func lasting(d time.Duration) string {
	now := time.Now()
	return since(now.Add(-d).UTC().Format(time.RFC3339), now.Truncate(time.Second))
}

func kindWords(x *shownIncident) string {
	if x.Cause == x.Kind {
		return x.Kind
	}
	return joined(", ", x.Kind, x.Cause)
}

// show writes all of one incident.
func (l *incidentList) show(w io.Writer, id string) error {
	var found []*shownIncident
	for i := range l.list {
		x := &l.list[i]
		if x.ID == id {
			found = []*shownIncident{x}
			break
		}
		if strings.HasPrefix(x.ID, id) || strings.HasSuffix(x.ID, "@"+id) {
			found = append(found, x)
		}
	}
	switch {
	case len(found) == 0:
		return &exit{badNews, fmt.Errorf("there is no incident %q since %s", collectors.Printable(id), l.since)}
	case len(found) > 1:
		return &exit{usage, fmt.Errorf("%d incidents begin with %q; the newest is %s", len(found), collectors.Printable(id), collectors.Printable(found[0].ID))}
	}
	x := found[0]
	if l.json {
		return encode(w, x)
	}
	loc := l.site.Info.Location()
	at := func(t time.Time) string { return t.In(loc).Format("2006-01-02 15:04:05 MST") }
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, collectors.Printable(value))
		}
	}
	row("incident", x.ID)
	row("what", x.Summary)
	row("state", x.State)
	row("kind", kindWords(x))
	row("whose", x.Owner)
	row("severity", x.Severity)
	row("since", at(x.First))
	row("known since", at(x.Opened))
	if x.Closed != nil {
		row("until", at(*x.Closed))
	}
	row("silenced", x.Silenced)
	row("runbook", x.Runbook)
	row("evidence", x.Evidence)
	for i, s := range x.Affected {
		row([]string{"affected", " "}[min(i, 1)], s)
	}
	if more := x.Count - len(x.Affected); more > 0 {
		row(" ", fmt.Sprintf("and %d more", more))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	cards, _ := runbook.Open(l.site.Runbooks, l.site.Info.Language) // check-config names what is wrong with them
	card := cards.Card(cardVars(l.site.Info), x.Runbook, x.Cause, x.Kind)
	_, err := fmt.Fprintf(w, "\n%s", card.Text(textWidth()))
	return err
}
