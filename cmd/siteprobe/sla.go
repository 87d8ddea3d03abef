package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/collectors/sla"
	"github.com/siteprobe/siteprobe/collectors/sla/report"
	"github.com/siteprobe/siteprobe/provisioning/config"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// level is what `siteprobe sla` is asked.
type level struct {
	agreement       string
	month, from, to string
	csv, json       bool
	html            string
	clock           func() time.Time

	site *config.Site
}

func slaCommand(path *string) *cobra.Command {
	l := &level{clock: time.Now}
	c := &cobra.Command{
		Use: "sla", Short: "Service levels: what was agreed, and what came of it", Args: cobra.NoArgs,
		Long: "Service levels of the site file's agreements, out of the local buffer. It works with and without a running daemon.\n\n" +
			"Without a month or dates it is the agreement's present period so far. --from and --to take a date, or a date and a time\n" +
			"(2026-11-23T10:00), by the clocks of the agreement's time zone.\n\n" +
			"RESULT is met: also if all that was not measured had been down; missed: by what was measured; unproven: what was measured\n" +
			"meets the target, and too much was not measured to tell; not measured. Time that was not measured is never counted as up.\n\n" +
			"--csv and --json have all durations in seconds. --html writes a report that prints well, without anything outside of its file.\n\n" +
			"It exits with 1 when a target is missed, with 3 when nothing of an agreement was measured.",
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := l.statements(c.Context(), *path)
			if err != nil {
				return err
			}
			if err := l.write(c.OutOrStdout(), all); err != nil {
				return err
			}
			return judged(all)
		},
	}
	f := c.Flags()
	f.StringVar(&l.agreement, "agreement", "", "this one only")
	f.StringVar(&l.month, "month", "", "such as 2026-11")
	f.StringVar(&l.from, "from", "", "the first day, or moment")
	f.StringVar(&l.to, "to", "", "the first day, or moment, that does not count any more (default: now)")
	f.BoolVar(&l.csv, "csv", false, "for a spreadsheet: a line for each service")
	f.BoolVar(&l.json, "json", false, "an array of agreements with services, outages, incidents, windows")
	f.StringVar(&l.html, "html", "", "write a report into this file")
	c.MarkFlagsMutuallyExclusive("csv", "json")
	c.MarkFlagsMutuallyExclusive("month", "from")
	c.MarkFlagsMutuallyExclusive("month", "to")
	return c
}

// statements reads the buffer and works out what is asked for.
func (l *level) statements(ctx context.Context, path string) (out []*sla.Statement, err error) {
	if l.site, err = load(config.Loader{WithoutSecrets: true}, path); err != nil {
		return nil, err
	}
	agreements, err := l.agreements()
	if err != nil {
		return nil, err
	}
	h, err := readHistory(ctx, l.site)
	if err != nil {
		return nil, &exit{unknown, err}
	}
	for _, a := range agreements {
		from, to, err := l.period(a, h.Until)
		if err != nil {
			return nil, &exit{usage, err}
		}
		out = append(out, h.State(a, from, to, pace(l.site)))
	}
	return out, nil
}

func (l *level) agreements() (out []*sla.Agreement, err error) {
	var names []string
	for _, c := range l.site.Agreements {
		names = append(names, c.Name)
		if l.agreement != "" && l.agreement != c.Name {
			continue
		}
		a, err := sla.New(c, l.site.Info.Location())
		if err != nil {
			return nil, &exit{usage, err}
		}
		out = append(out, a)
	}
	switch {
	case len(names) == 0:
		return nil, &exit{usage, errors.New("the site file has no agreements; the commented example shows how one is written")}
	case len(out) == 0:
		return nil, &exit{usage, fmt.Errorf("there is no agreement %q; there are: %s", l.agreement, strings.Join(names, ", "))}
	}
	return out, nil
}

// fresh is how much older than now the newest reading of a daemon that runs may be: it
// is no time that was not measured.
const fresh = 10 * time.Minute

// period is what is asked for, as far as it is past.
func (l *level) period(a *sla.Agreement, until int64) (from, to time.Time, err error) {
	now := l.clock()
	switch {
	case l.month != "":
		from, to, err = a.ParseMonth(l.month)
	case l.from == "" && l.to == "":
		from, to = a.PeriodOf(now)
	default:
		if l.from == "" {
			return from, to, errors.New("--to needs --from")
		}
		if from, err = a.ParseTime(l.from); err != nil {
			return from, to, fmt.Errorf("--from: %w", err)
		}
		to = now
		if l.to != "" {
			if to, err = a.ParseTime(l.to); err != nil {
				err = fmt.Errorf("--to: %w", err)
			}
		}
	}
	if to.After(now) {
		to = now
	}
	if newest := time.UnixMilli(until); newest.Before(to) && now.Sub(newest) < fresh {
		to = newest
	}
	to = to.Truncate(time.Second)
	switch {
	case err != nil:
		return from, to, err
	case !from.Before(to):
		return from, to, fmt.Errorf("%s is not over, and not even begun", from.In(a.Location()).Format("2006-01-02 15:04"))
	case to.Sub(from) > sla.MaxPeriod:
		return from, to, errors.New("that is more than three years; ask for less")
	}
	return from, to, nil
}

// readHistory reads all that the buffer has: what happened long ago may still last.
func readHistory(ctx context.Context, site *config.Site) (*sla.History, error) {
	st, err := store.Open(site.Buffer.Path, store.Options{ReadOnly: true})
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no buffer at %s yet: has the daemon ever run?", site.Buffer.Path)
	}
	if err != nil {
		return nil, err
	}
	defer st.Close()
	probe := wire.Site{Tenant: site.Info.Tenant, Name: site.Info.ID}.Probe()
	events, err := st.EventsRecorded(ctx, probe, incident.Source, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	gaps, err := st.Unmeasured(ctx, probe, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("reading what was not measured: %w", err)
	}
	until, err := st.Newest(probe)
	if err != nil {
		return nil, fmt.Errorf("reading the newest time: %w", err)
	}
	records := make([]sla.Record, 0, len(events))
	for i := range events {
		records = append(records, sla.Record{T: events[i].T, Unsure: events[i].Unsure, Event: events[i].Event})
	}
	var spans []sla.Span
	for _, g := range gaps {
		spans = append(spans, sla.Span{From: g.From, To: g.To})
	}
	return sla.Read(records, spans, until), nil
}

// pace says how often each source of a site is asked.
func pace(site *config.Site) sla.Resolutions {
	return func(source string) time.Duration {
		kind, name, _ := strings.Cut(source, "/")
		if source == sla.Line {
			return site.Diagnosis.Resolution()
		}
		if d, ok := site.Device(name); ok && kind == "device" {
			return site.DeviceSettings(d).Interval
		}
		for _, c := range site.Checks {
			if c.Name == name && kind == "check" {
				every, _ := site.CheckTimes(c.Interval, c.Timeout)
				return every
			}
		}
		return site.Defaults.Interval
	}
}

func (l *level) write(w io.Writer, all []*sla.Statement) error {
	out := bufio.NewWriter(w)
	var err error
	switch {
	case l.json:
		err = sla.WriteJSON(out, all)
	case l.csv:
		err = sla.WriteCSV(out, all)
	default:
		err = printLevels(out, all)
	}
	if e := out.Flush(); err == nil {
		err = e
	}
	if err != nil {
		return &exit{unknown, fmt.Errorf("printing: %w", err)}
	}
	if l.html == "" {
		return nil
	}
	var b bytes.Buffer
	if err = l.report(&b, all); err == nil {
		err = os.WriteFile(l.html, b.Bytes(), 0o644)
	}
	if err != nil {
		return &exit{unknown, fmt.Errorf("writing the report: %w", err)}
	}
	return nil
}

// judged is the exit code of what was found.
func judged(all []*sla.Statement) error {
	if slices.ContainsFunc(all, (*sla.Statement).Missed) {
		return &exit{badNews, errors.New("a target is missed")}
	}
	for _, s := range all {
		if !slices.ContainsFunc(s.Services, func(r sla.Result) bool { return r.Verdict() != sla.NoData }) {
			return &exit{unknown, fmt.Errorf("nothing of %s was measured in that time", s.Agreement.Name)}
		}
	}
	return nil
}

// printLevels is for a person.
func printLevels(w io.Writer, all []*sla.Statement) error {
	for i, s := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		a := s.Agreement
		fmt.Fprintf(w, "%s: %s, %s (%s)\n", collectors.Printable(a.Title), sla.PeriodWords(s.From, s.To), a.HoursWords(), a.Location())
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "SERVICE\tTARGET\tAVAILABILITY\tAT LEAST\tRESULT\tISP\tMSP\tUNDET.\tCUSTOMER\tEXCLUDED\tUNMEASURED\tOUTAGES\tLONGEST")
		for k := range s.Services {
			printLevel(t, &s.Services[k])
		}
		if err := t.Flush(); err != nil {
			return err
		}
		var free []string
		for _, o := range sla.Owners() {
			if !a.Counted(o) {
				free = append(free, string(o))
			}
		}
		if len(free) > 0 {
			fmt.Fprintf(w, "not counted against the target: downtime of %s\n", strings.Join(free, ", "))
		}
		if s.Unsure > 0 {
			fmt.Fprintf(w, "%d events were recorded by a clock that nothing has confirmed; their times may be wrong\n", s.Unsure)
		}
	}
	return nil
}

func printLevel(t io.Writer, r *sla.Result) {
	target, longest, result := "-", "-", string(r.Verdict())
	if r.Target != 0 {
		target = sla.Percent(r.Target) + " %"
	}
	if o := r.Longest(); o != nil {
		longest = sla.Words(o.Agreed)
	}
	percent := func(x sla.Ratio) string { return strings.TrimSuffix(x.Percent()+" %", "- %") }
	fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s", collectors.Printable(r.Service), target, orDash(percent(r.Availability())), orDash(percent(r.AtLeast())), orDash(result))
	for _, o := range sla.Owners() {
		fmt.Fprintf(t, "\t%s", sla.Words(r.Down[o]))
	}
	fmt.Fprintf(t, "\t%s\t%s\t%d\t%s\n", sla.Words(r.Excluded), sla.Words(r.Unmeasured), len(r.Outages), longest)
}

// report writes the HTML file.
func (l *level) report(w io.Writer, all []*sla.Statement) error {
	info := &l.site.Info
	r := report.Report{Site: info.ID, Tenant: info.Tenant, ISP: info.WAN.ISP, Circuit: info.WAN.Circuit, Hotline: info.WAN.Hotline,
		Made: l.clock(), Version: version, Config: l.site.Hash(), Statements: all}
	for _, c := range info.Contacts {
		r.Contacts = append(r.Contacts, report.Contact{Name: c.Name, Phone: c.Phone, Email: c.Email})
	}
	return report.Write(w, r)
}
