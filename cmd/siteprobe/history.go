package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/provisioning/config"
	"github.com/siteprobe/siteprobe/uplink/wire"
	"github.com/siteprobe/siteprobe/uplink/wire/format"
)

func historyCommand(path *string) *cobra.Command {
	var device, metric, from, to string
	var asJSON bool
	c := &cobra.Command{
		Use: "history", Short: "Readings out of the local buffer", Args: cobra.NoArgs,
		Long: "Readings out of the local buffer, delivered or not. It works with and without a running daemon.\n\n" +
			"--from and --to take a time (2026-11-23T10:00:00Z), a date, or a distance into the past (2h, 7d).",
		RunE: func(c *cobra.Command, _ []string) error {
			site, err := load(config.Loader{WithoutSecrets: true}, *path)
			if err != nil {
				return err
			}
			now := time.Now()
			q := store.Query{Probe: wire.Site{Tenant: site.Info.Tenant, Name: site.Info.ID}.Probe(), Device: device, Metric: metric}
			if q.From, err = instant(from, now); err == nil {
				q.To, err = instant(to, now)
			}
			if err != nil {
				return &exit{usage, err}
			}
			if until := q.To; q.From != 0 && until != 0 && q.From > until {
				return &exit{usage, fmt.Errorf("--from (%s) is later than --to (%s)", from, to)}
			}
			st, err := store.Open(site.Buffer.Path, store.Options{ReadOnly: true})
			if errors.Is(err, os.ErrNotExist) {
				return &exit{unknown, fmt.Errorf("there is no buffer at %s yet: has the daemon ever run?", site.Buffer.Path)}
			}
			if err != nil {
				return &exit{unknown, err}
			}
			defer st.Close()
			series, err := st.History(q)
			if err != nil {
				return &exit{unknown, err}
			}
			out := bufio.NewWriter(c.OutOrStdout())
			defer out.Flush()
			for i := range series {
				if asJSON {
					err = historyJSON(out, &series[i])
				} else {
					historyTable(out, &series[i], site.Info.Location())
				}
				if err != nil {
					return err
				}
			}
			if len(series) == 0 {
				return &exit{badNews, errors.New("no such readings in the buffer")}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&device, "device", "", "the device's name")
	f.StringVar(&metric, "metric", "", "the metric, such as ifHCInOctets")
	f.StringVar(&from, "from", "24h", "since when")
	f.StringVar(&to, "to", "", "until when (default: now)")
	f.BoolVar(&asJSON, "json", false, "one JSON object a line and series")
	return c
}

// instant reads a time, a date or a distance into the past as Unix ms; 0 for
// nothing.
func instant(s string, now time.Time) (int64, error) {
	if s == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), nil
		}
	}
	if n, err := strconv.Atoi(s[:len(s)-1]); err == nil && s[len(s)-1] == 'd' && n >= 0 {
		return now.AddDate(0, 0, -n).UnixMilli(), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no time: write 2026-11-23T10:00:00Z, a date, or how long ago, such as 2h or 7d", s)
	}
	return now.Add(-d).UnixMilli(), nil
}

// historyJSON writes {"metric","labels":{…},"unit","kind","points":[[unix_ms,value],…],"tier","quality"}.
// Where the times of some points are by a clock that was not synchronised, and could
// not be corrected since, quality has "clock_unsure", and "clock_unsure":[[from,to],…]
// says which those are. Where points stand for several readings, "rollups" says which
// and for what, see [rollupJSON]: the value of a gauge is then their mean, that of
// all else the last of them.
func historyJSON(out *bufio.Writer, p *store.Points) error {
	labels := map[string]string{}
	for _, l := range p.Series.Labels {
		labels[l.Name] = l.Value
	}
	quality, unsure := []string{}, unsureSpans(p.Points)
	if unsure != nil {
		quality = append(quality, format.QualityClockUnsure)
	}
	head, err := json.Marshal(map[string]any{"metric": p.Series.Metric, "labels": labels, "unit": p.Series.Unit, "kind": p.Series.Kind.String(), "tier": p.Tier, "quality": quality})
	if err != nil {
		return err
	}
	out.Write(head[:len(head)-1])
	out.WriteString(`,"points":[`)
	first := true
	for i := range p.Points {
		x := &p.Points[i]
		if x.V.Missing() {
			continue
		}
		if !first {
			out.WriteByte(',')
		}
		first = false
		v := x.V.Format(p.Series.Kind)
		switch f, _ := x.V.Float(p.Series.Kind); {
		case p.Series.Kind == collectors.Text:
			b, err := json.Marshal(v)
			if err != nil {
				return err
			}
			v = string(b)
		case number(f) == nil:
			v = "null"
		}
		fmt.Fprintf(out, "[%d,%s]", x.T, v)
	}
	out.WriteByte(']')
	if unsure != nil {
		if err := member(out, "clock_unsure", unsure); err != nil {
			return err
		}
	}
	if rollups := rollupsOf(p); rollups != nil {
		if err := member(out, "rollups", rollups); err != nil {
			return err
		}
	}
	_, err = out.WriteString("}\n")
	return err
}

// member appends one to an object that is being written.
func member(out *bufio.Writer, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, ",%q:%s", name, b)
	return nil
}

// unsureSpans returns the first and last time of each run of points whose clock was
// unsure.
func unsureSpans(ps []store.Point) (spans [][2]int64) {
	for i, p := range ps {
		switch {
		case !p.Unsure:
		case i > 0 && ps[i-1].Unsure:
			spans[len(spans)-1][1] = p.T
		default:
			spans = append(spans, [2]int64{p.T, p.T})
		}
	}
	return spans
}

func historyTable(out *bufio.Writer, p *store.Points, loc *time.Location) {
	fmt.Fprintf(out, "%s  (%s)\n", collectors.Printable(p.Series.String()), p.Series.Kind)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := range p.Points {
		x := &p.Points[i]
		v := "-"
		switch {
		case x.Rolled != nil && p.Series.Kind == collectors.Gauge:
			v = short(x.V.Gauge())
		case !x.V.Missing():
			v = collectors.Printable(x.V.Format(p.Series.Kind))
		case p.Series.Kind == collectors.Text:
			continue // texts are not asked for in every poll
		}
		unit := p.Series.Unit
		if x.Unsure {
			unit = strings.TrimSpace(unit + " (clock unsure)")
		}
		cells := []string{time.UnixMilli(x.T).In(loc).Format("2006-01-02 15:04:05 MST"), v, unit, rolledWords(p.Series.Kind, x.Rolled)}
		for len(cells) > 2 && cells[len(cells)-1] == "" {
			cells = cells[:len(cells)-1]
		}
		fmt.Fprintf(t, "  %s\n", strings.Join(cells, "\t"))
	}
	t.Flush()
}
