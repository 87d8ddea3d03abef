package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

func maintenanceCommand(path *string) *cobra.Command {
	c := &cobra.Command{
		Use: "maintenance", Short: "Times of work, in which nobody is called",
		Long: "Times of work at devices. Notices about these are held back meanwhile. A window that was approved before its start does not\n" +
			"count for the service level either; one that begins at once only holds back notices.",
	}
	c.AddCommand(maintenanceAdd(path), maintenanceList(path), &cobra.Command{
		Use: "end ID", Short: "End a window or a silence that was said at this box", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, err := sayTo(c.Context(), *path, "/maintenance/end", "application/x-www-form-urlencoded", []byte("id="+url.QueryEscape(args[0])))
			return err
		},
	})
	return c
}

func maintenanceAdd(path *string) *cobra.Command {
	var start, name string
	var lasts time.Duration
	c := &cobra.Command{
		Use: "add DEVICE...|all --for DURATION [--start TIME]", Short: "Announce work at devices", Args: cobra.MinimumNArgs(1),
		Example: "  siteprobe maintenance add core-sw1 --start \"2026-11-29 02:00\" --for 2h --name \"new firmware\"",
		RunE: func(c *cobra.Command, args []string) error {
			site, err := load(config.Loader{WithoutSecrets: true}, *path)
			if err != nil {
				return err
			}
			w := incident.Window{Name: name, Scope: incident.ScopeOf(args), By: userName()}
			if w.Start, err = ahead(start, site.Info.Location()); err != nil {
				return &exit{usage, err}
			}
			w.End = w.Start.Add(lasts)
			raw, err := json.Marshal(w)
			if err != nil {
				return err
			}
			id, err := sayTo(c.Context(), *path, "/maintenance", "application/json", raw)
			if err != nil {
				return err
			}
			loc := site.Info.Location()
			fmt.Fprintf(c.OutOrStdout(), "%s: from %s to %s\n", id, w.Start.In(loc).Format("2006-01-02 15:04"), w.End.In(loc).Format("2006-01-02 15:04 MST"))
			if start == "" {
				fmt.Fprintln(c.OutOrStdout(), "it has begun already, so it counts for the service level; only notices are held back")
			}
			return nil
		},
	}
	c.Flags().StringVar(&start, "start", "", "when it begins, such as \"2026-11-29 02:00\" at the site, or 30m from now (default: at once)")
	c.Flags().DurationVar(&lasts, "for", time.Hour, "how long it lasts")
	c.Flags().StringVar(&name, "name", "maintenance", "what is done")
	return c
}

// ahead reads a time to come; of a person at the site.
func ahead(s string, loc *time.Location) (time.Time, error) {
	now := time.Now().UTC()
	if s == "" {
		return now, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(d), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	t, err := time.ParseInLocation("2006-01-02 15:04", s, loc)
	if err != nil {
		return t, fmt.Errorf("%q is no time: write \"2026-11-29 02:00\", or in how long, such as 30m", s)
	}
	return t.UTC(), nil
}

func maintenanceList(path *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "Windows of today and silences", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			site, err := load(config.Loader{WithoutSecrets: true}, *path)
			if err != nil {
				return err
			}
			raw, err := ask(c.Context(), controlSocket(dataDir(site)), "/maintenance")
			if err != nil {
				return &exit{unknown, err}
			}
			var r restful
			if err := json.Unmarshal(raw, &r); err != nil {
				return &exit{unknown, errors.New("the daemon's answer cannot be read: is it of another version?")}
			}
			if asJSON {
				_, err = c.OutOrStdout().Write(raw)
				return err
			}
			return r.print(c.OutOrStdout(), site.Info.Location())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for a program")
	return c
}

func (r *restful) print(w io.Writer, loc *time.Location) error {
	if len(r.Windows)+len(r.Silences) == 0 {
		_, err := fmt.Fprintln(w, "no maintenance now or within a day, and no silence")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	at := func(t time.Time) string { return t.In(loc).Format("2006-01-02 15:04") }
	fmt.Fprintln(t, "WHAT\tFROM\tTO\tDEVICES\tSERVICE LEVEL\tID")
	for _, x := range r.Windows {
		counts := "counts"
		if x.Excluded() {
			counts = "excluded"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", collectors.Printable(x.Name), at(x.Start), at(x.End), scopeWords(x.Scope), counts, collectors.Printable(x.ID))
	}
	for _, x := range r.Silences {
		fmt.Fprintf(t, "silence %s\t-\t%s\t%s\tcounts\t%s\n", collectors.Printable(x.Why), at(x.Until), scopeWords(x.Scope), collectors.Printable(x.ID))
	}
	return t.Flush()
}

func scopeWords(scope []string) string {
	if len(scope) == 0 {
		return incident.All
	}
	return collectors.Printable(strings.ReplaceAll(strings.Join(scope, ", "), "device/", ""))
}

func silenceCommand(path *string) *cobra.Command {
	var lasts time.Duration
	var why string
	c := &cobra.Command{
		Use: "silence DEVICE...|SOURCE...|INCIDENT|all --for DURATION", Short: "Hold back notices", Args: cobra.MinimumNArgs(1),
		Long: "Hold back notices about devices, sources such as check/mail, or one incident by its ID. Incidents and the service level\n" +
			"stay what they are. siteprobe maintenance list shows silences, siteprobe maintenance end ends one.",
		RunE: func(c *cobra.Command, args []string) error {
			s := incident.Silence{Scope: incident.ScopeOf(args), Until: time.Now().Add(lasts).UTC(), Why: why, By: userName()}
			raw, err := json.Marshal(s)
			if err != nil {
				return err
			}
			id, err := sayTo(c.Context(), *path, "/silences", "application/json", raw)
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "%s: notices about %s are held back for %v\n", collectors.Printable(id), scopeWords(s.Scope), lasts)
			}
			return err
		},
	}
	c.Flags().DurationVar(&lasts, "for", 2*time.Hour, "how long")
	c.Flags().StringVar(&why, "why", "", "why")
	return c
}

// userName is who works at the box, as far as that can be told.
func userName() string {
	for _, name := range []string{"SUDO_USER", "USER"} {
		if s := os.Getenv(name); s != "" {
			return collectors.Clip(s, 64)
		}
	}
	return ""
}

// sayTo tells the daemon something, and returns the ID that it answers.
func sayTo(ctx context.Context, path, what, kind string, body []byte) (string, error) {
	site, err := load(config.Loader{WithoutSecrets: true}, path)
	if err != nil {
		return "", err
	}
	raw, code, err := talk(ctx, controlSocket(dataDir(site)), what, kind, bytes.NewReader(body))
	if err != nil {
		return "", &exit{unknown, err}
	}
	if code != 200 {
		return "", &exit{usage, errors.New(collectors.Printable(strings.TrimSpace(string(raw))))}
	}
	var answer struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return "", &exit{unknown, errors.New("the daemon's answer cannot be read: is it of another version?")}
	}
	return answer.ID, nil
}
