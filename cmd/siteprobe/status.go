package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/provisioning/config"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

func resultName(i int) string { return collectors.Result(i).String() }

func statusCommand(path *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "What the daemon is doing", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			site, err := load(config.Loader{WithoutSecrets: true}, *path)
			if err != nil {
				return err
			}
			raw, err := ask(c.Context(), controlSocket(dataDir(site)), "/status")
			if err != nil {
				return &exit{unknown, err}
			}
			var s wire.Status
			if err := json.Unmarshal(raw, &s); err != nil {
				return &exit{unknown, errors.New("the daemon's answer cannot be read: is it of another version?")}
			}
			if asJSON {
				if _, err := c.OutOrStdout().Write(raw); err != nil {
					return err
				}
			} else {
				printStatus(c.OutOrStdout(), &s, time.Now())
			}
			if s.Devices.Answering+s.Devices.Waiting < s.Devices.Total || len(s.Trouble) > 0 || s.Uplink.State == "waiting" || s.Uplink.State == "not storing" {
				return &exit{code: badNews}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for a program")
	return c
}

// ask gets an answer from the daemon.
func ask(ctx context.Context, socket, what string) ([]byte, error) {
	raw, code, err := talk(ctx, socket, what, "", nil)
	if err == nil && code != http.StatusOK {
		err = errors.New("the daemon does not know that question: is it of another version?")
	}
	return raw, err
}

// talk asks the daemon, or tells it what body says.
func talk(ctx context.Context, socket, what, kind string, body io.Reader) (answer []byte, code int, err error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	defer client.CloseIdleConnections()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://siteprobe"+what, body)
	if err != nil {
		return nil, 0, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	r, err := client.Do(req)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, 0, errors.New("the daemon is not running (systemctl status siteprobe says why)")
	case errors.Is(err, os.ErrPermission):
		return nil, 0, fmt.Errorf("no right to ask the daemon: be root, or in the group that owns %s", socket)
	case err != nil:
		return nil, 0, fmt.Errorf("asking the daemon: %w", err)
	}
	defer r.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(r.Body, 4<<20))
	return answer, r.StatusCode, err
}

func printStatus(w io.Writer, s *wire.Status, now time.Time) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintf(t, "site\t%s, siteprobe %s, running %s\n", s.Site, s.Version, since(s.Started, now))
	up := s.Uplink.State
	switch {
	case s.Uplink.State == "waiting" || s.Uplink.State == "connecting":
		up = "down, trying " + s.Uplink.Server
	case s.Uplink.Server != "":
		up += " to " + s.Uplink.Server
	}
	up += ", for " + since(s.Uplink.Since, now)
	if s.Uplink.State == "off" && s.Uplink.Server == "" {
		up = "off: no server is configured, readings stay here"
	}
	fmt.Fprintf(t, "uplink\t%s\n", up)
	if s.Uplink.Error != "" {
		fmt.Fprintf(t, "\t%s\n", collectors.Printable(s.Uplink.Error))
	}
	if !s.Uplink.Proved {
		fmt.Fprintf(t, "\tack: broker: nothing proves that readings are stored\n")
	}
	waits := "nothing waits"
	if s.Buffer.PendingReadings > 0 {
		waits = fmt.Sprintf("%d readings wait (%s)", s.Buffer.PendingReadings, size(s.Buffer.PendingBytes))
		if s.Buffer.Oldest != nil {
			waits += ", the oldest for " + since(*s.Buffer.Oldest, now)
		}
	}
	fmt.Fprintf(t, "buffer\t%s; %s of %s used\n", waits, size(s.Buffer.UsedBytes), size(s.Buffer.BudgetBytes))
	if l := s.Buffer.Left; l != nil {
		fmt.Fprintf(t, "\twithout an uplink it lasts another %s with every reading,\n\t%s with the older ones as summaries of 15 minutes, %s as summaries of an hour\n",
			days(l.Raw), days(l.Quarter), days(l.Hour))
	}
	if s.Buffer.Dropped > 0 {
		fmt.Fprintf(t, "\t%d readings were dropped for want of room\n", s.Buffer.Dropped)
	}
	fmt.Fprintf(t, "devices\t%d of %d answer", s.Devices.Answering, s.Devices.Total)
	if s.Devices.Waiting > 0 {
		fmt.Fprintf(t, ", %d were not polled yet", s.Devices.Waiting)
	}
	fmt.Fprintln(t)
	if s.Devices.Found > 0 {
		fmt.Fprintf(t, "\t%d more were found and wait to be adopted (siteprobe discover, siteprobe adopt)\n", s.Devices.Found)
	}
	for _, d := range s.Devices.List {
		if d.Result == "ok" {
			continue
		}
		fmt.Fprintf(t, "\t%s\n", joined("\t", d.Source, d.Result, collectors.Printable(d.Why)))
	}
	for _, x := range s.Incidents {
		fmt.Fprintf(t, "incident\t%s\n", collectors.Printable(incidentLine(&x, now)))
	}
	for _, x := range s.Receivers {
		fmt.Fprintf(t, "%s\tat %s: %d messages, %d events", collectors.Printable(x.Name), collectors.Printable(x.Listen), x.Messages, x.Events)
		if x.Dropped > 0 {
			fmt.Fprintf(t, ", %d not taken", x.Dropped)
		}
		fmt.Fprintln(t)
	}
	clock := "synchronised"
	if !s.Clock.Sure {
		clock = "not synchronised"
	}
	fmt.Fprintf(t, "clock\t%s\n", clock)
	for _, x := range s.Trouble {
		fmt.Fprintf(t, "trouble\t%s\n\t-> %s\n", x.What, x.Hint)
	}
}

// incidentLine is an open incident in a line.
func incidentLine(x *wire.Incident, now time.Time) string {
	line := fmt.Sprintf("%s (since %s, %s", x.Summary, since(x.Since, now), x.Owner)
	if x.Affected > 1 {
		line += fmt.Sprintf(", %d affected", x.Affected)
	}
	return line + ")"
}

// days writes a time ahead, coarsely.
func days(d float64) string {
	switch {
	case d < 1./24:
		return "less than an hour"
	case d < 2:
		return fmt.Sprintf("%.0f h", d*24)
	case d < 100:
		return fmt.Sprintf("%.0f days", d)
	case d < 700:
		return fmt.Sprintf("%.0f months", d/30.4)
	case d < 36500:
		return fmt.Sprintf("%.0f years", d/365)
	}
	return "100 years and more"
}

// since writes how long ago a time was, coarsely.
func since(at string, now time.Time) string {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return "?"
	}
	d := max(now.Sub(t), 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dmin", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	case n < 10<<30:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d GiB", n>>30)
}
