package main

import (
	"bufio"
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
	"github.com/siteprobe/siteprobe/provisioning/config"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// eventJSON is what `events --json` prints. Scripts rely on its keys.
type eventJSON struct {
	Time     string            `json:"time"` // RFC 3339
	Source   string            `json:"source"`
	Kind     string            `json:"kind"`
	Severity string            `json:"severity"`
	Text     string            `json:"text"`
	Labels   map[string]string `json:"labels"`
	Count    int64             `json:"count"` // how many it stands for
	First    string            `json:"first,omitempty"`
	Unsure   bool              `json:"clock_unsure,omitempty"`
}

func eventsCommand(path *string) *cobra.Command {
	var source, kind, from, severity string
	var most int
	var asJSON bool
	c := &cobra.Command{
		Use: "events", Short: "What happened: traps, syslog, devices that came or went, incidents", Args: cobra.NoArgs,
		Long: "Print the events in the local buffer, the oldest first: what traps and syslog said, devices that came, went or changed, cables\n" +
			"that moved, incidents, and what happened to the box. It works with and without a running daemon, and without an uplink.\n\n" +
			"--from takes a time (2026-11-23T10:00:00Z), a date, or a distance into the past (2h, 7d).",
		RunE: func(c *cobra.Command, _ []string) error {
			worst := slices.IndexFunc([]collectors.Severity{collectors.Info, collectors.Warning, collectors.Error},
				func(s collectors.Severity) bool { return s.String() == severity })
			if worst < 0 || most < 1 {
				return &exit{usage, errors.New("--severity is info, warning or error, and --limit at least 1")}
			}
			site, err := load(config.Loader{WithoutSecrets: true}, *path)
			if err != nil {
				return err
			}
			since, err := instant(from, time.Now())
			if err != nil {
				return &exit{usage, err}
			}
			all, err := readEvents(c.Context(), site, source, since, most, func(e *store.EventRecord) bool {
				return int(e.Severity) >= worst && (kind == "" || e.Kind == kind)
			})
			if err != nil {
				return err
			}
			slices.Reverse(all)
			out := bufio.NewWriter(c.OutOrStdout())
			if asJSON {
				err = eventsJSON(out, all)
			} else {
				eventsTable(out, all, site.Info.Location())
			}
			if err = errors.Join(err, out.Flush()); err != nil {
				return &exit{unknown, fmt.Errorf("printing: %w", err)}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&source, "source", "", "of this source only, such as device/core, syslog, trap or incident")
	f.StringVar(&kind, "kind", "", "of this kind only, such as topology_moved")
	f.StringVar(&severity, "severity", "info", "this severe and worse: info, warning, error")
	f.StringVar(&from, "from", "24h", "since when")
	f.IntVar(&most, "limit", 1000, "the newest so many")
	f.BoolVar(&asJSON, "json", false, "one JSON object a line and event")
	return c
}

// maxRead bounds the events that are read in order to find those that are wanted.
const maxRead = 100_000

// readEvents gives the newest events of the local buffer that are wanted, newest first.
func readEvents(ctx context.Context, site *config.Site, source string, from int64, most int, wanted func(*store.EventRecord) bool) ([]store.EventRecord, error) {
	st, err := store.Open(site.Buffer.Path, store.Options{ReadOnly: true})
	if errors.Is(err, os.ErrNotExist) {
		return nil, &exit{unknown, fmt.Errorf("there is no buffer at %s yet: has the daemon ever run?", site.Buffer.Path)}
	}
	if err != nil {
		return nil, &exit{unknown, err}
	}
	defer st.Close()
	probe := wire.Site{Tenant: site.Info.Tenant, Name: site.Info.ID}.Probe()
	all, err := st.EventsOf(ctx, probe, source, from, maxRead)
	if err != nil {
		return nil, &exit{unknown, fmt.Errorf("reading the events: %w", err)}
	}
	all = slices.DeleteFunc(all, func(e store.EventRecord) bool { return !wanted(&e) || source != "" && e.Source != source })
	return all[:min(len(all), most)], nil
}

func eventsJSON(w io.Writer, all []store.EventRecord) error {
	for i := range all {
		e := &all[i]
		n, first := store.Told(&e.Event)
		x := eventJSON{Time: moment(e.T), Source: e.Source, Kind: e.Kind, Severity: e.Severity.String(), Text: e.Text, Labels: map[string]string{}, Count: n, Unsure: e.Unsure}
		if n > 1 && first != 0 {
			x.First = moment(first)
		}
		for _, l := range e.Labels {
			if n == 1 || l.Name != store.LabelCount && l.Name != store.LabelFirst {
				x.Labels[l.Name] = l.Value
			}
		}
		if err := encode(w, x); err != nil {
			return err
		}
	}
	return nil
}

func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func eventsTable(w io.Writer, all []store.EventRecord, loc *time.Location) {
	if len(all) == 0 {
		fmt.Fprintln(w, "nothing happened in that time")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintln(t, "TIME\tSEVERITY\tSOURCE\tKIND\tWHAT")
	for i := range all {
		e := &all[i]
		text := collectors.Printable(e.Text)
		if n, first := store.Told(&e.Event); n > 1 {
			text += fmt.Sprintf(" (%d times since %s)", n, time.UnixMilli(first).In(loc).Format(time.DateTime))
		}
		at := time.UnixMilli(e.T).In(loc).Format(time.DateTime)
		if e.Unsure {
			at += "?"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", at, e.Severity, collectors.Printable(e.Source), collectors.Printable(e.Kind), strings.TrimSpace(text))
	}
}
