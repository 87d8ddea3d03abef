package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/hub"
)

func verifyCommand(data *string) *cobra.Command {
	var site, from, to string
	var asJSON, bySource bool
	var maxAge time.Duration
	c := &cobra.Command{
		Use: "verify", Short: "What is complete, dropped, pending, lost", Args: cobra.NoArgs,
		Long: "What the hub can prove, from what it has stored and what the boxes' accounts say exists. It counts batches: what one poll of\n" +
			"one source gave. It exits with 0 when everything expected is stored, with 1 when not. What a box has collected since its last\n" +
			"account is not known here: --max-age says how old that may be.\n\n" +
			"--from and --to (2026-11-23T10:00:00Z or a date) choose the runs of a box that lived then.",
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := parseTime(from)
			if err != nil {
				return err
			}
			t, err := parseTime(to)
			if err != nil {
				return err
			}
			st, err := store.Open(dbPath(*data), store.Options{ReadOnly: true})
			if errors.Is(err, os.ErrNotExist) {
				return &exit{unknown, fmt.Errorf("there is no hub's database in %s (--data)", *data)}
			}
			if err != nil {
				return &exit{unknown, err}
			}
			defer st.Close()
			sites := []string{site}
			if site == "" {
				if sites, err = allSites(st); err != nil {
					return &exit{unknown, err}
				}
			}
			if len(sites) == 0 {
				return &exit{unknown, errors.New("nothing ever came from any site, so there is nothing to prove")}
			}
			complete := true
			for _, s := range sites {
				p, err := hub.Verify(st, s, f, t, bySource)
				if err != nil {
					return &exit{unknown, err}
				}
				complete = complete && p.Complete && (maxAge == 0 || accountAge(p) <= maxAge)
				if asJSON {
					if err := json.NewEncoder(c.OutOrStdout()).Encode(p); err != nil {
						return err
					}
					continue
				}
				printProof(c.OutOrStdout(), p)
			}
			if !complete {
				return &exit{code: badNews}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&site, "site", "", "TENANT/SITE (default: all)")
	f.StringVar(&from, "from", "", "since when")
	f.StringVar(&to, "to", "", "until when")
	f.DurationVar(&maxAge, "max-age", 0, "exit with 1 when a box's last account is older, such as 24h (default: whatever its age)")
	f.BoolVar(&asJSON, "json", false, "one JSON object a line and site")
	f.BoolVar(&bySource, "sources", false, "every source of its own")
	return c
}

// accountAge is how long ago a box has said last what exists; for ever where it never
// has.
func accountAge(p *hub.Proof) time.Duration {
	t, err := time.Parse(time.RFC3339, p.AsOf)
	if err != nil {
		return math.MaxInt64
	}
	return max(0, time.Since(t))
}

// roughly writes a duration as people say it.
func roughly(d time.Duration) string {
	switch {
	case d > 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d > 2*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d > 2*time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

func parseTime(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, &exit{usage, fmt.Errorf("%q is no time: write 2026-11-23T10:00:00Z or a date", s)}
}

func allSites(st *store.Store) (names []string, err error) {
	err = st.View(func(tx *store.Tx) error {
		probes, err := tx.Probes()
		names = slices.Sorted(maps.Values(probes))
		return err
	})
	return names, err
}

func printProof(w io.Writer, p *hub.Proof) {
	verdict := "NOT complete"
	switch {
	case p.Complete && p.Downsampled > 0:
		verdict = "complete, in part as summaries"
	case p.Complete:
		verdict = "complete"
	case !p.Proved:
		verdict = "not proved: no account has come from this site"
	case p.Lost == 0 && len(p.Dropped) == 0:
		verdict = "complete but for what is pending"
	}
	fmt.Fprintf(w, "%s: %s", p.Site, verdict)
	if p.AsOf != "" {
		fmt.Fprintf(w, ", as of %s (%s ago)", p.AsOf, roughly(accountAge(p)))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	var dropped uint64
	for _, d := range p.Dropped {
		dropped += d.Count
	}
	fmt.Fprintf(t, "  expected\t%d batches\n  stored\t%d\t(in %d blocks; %d blocks came more than once)\n", p.Expected, p.Stored, p.Blocks, p.Redelivered)
	if p.Downsampled > 0 {
		fmt.Fprintf(t, "  as summaries\t%d\t(of 15 minutes or an hour: there was no room at the box for all readings)\n", p.Downsampled)
	}
	fmt.Fprintf(t, "  dropped\t%d\n  pending\t%d\n  lost\t%d\n", dropped, p.Pending, p.Lost)
	if p.Cloned {
		fmt.Fprintf(t, "  cloned\ttwo boxes go on from one disk, or it was put back from a copy\n")
	}
	for _, d := range p.Dropped {
		when := ""
		if d.From != "" {
			when = fmt.Sprintf("%s to %s", d.From, d.To)
		}
		fmt.Fprintf(t, "  dropped\t%s\t%d batches\t%s\t%s\n", collectors.Printable(d.Source), d.Count, collectors.Printable(d.Reason), when)
	}
	for _, s := range p.Sources {
		fmt.Fprintf(t, "  %s\t%s\texpected %d\tstored %d\tas summaries %d\tdropped %d\tpending %d\tlost %d\n",
			s.Epoch, collectors.Printable(s.Source), s.Expected, s.Stored, s.Downsampled, s.Dropped, s.Pending, s.Lost)
	}
}
