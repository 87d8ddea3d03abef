package main

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/collectors/host"
	"github.com/siteprobe/siteprobe/collectors/schedule"
	"github.com/siteprobe/siteprobe/provisioning/config"
	"github.com/siteprobe/siteprobe/uplink/wire/format"
)

func pollCommand(path *string) *cobra.Command {
	var only string
	var asJSON bool
	c := &cobra.Command{
		Use: "poll", Short: "Poll once and print the readings", Args: cobra.NoArgs,
		Long: "Poll every device and check of the site file once, or one device and what is tied to it, and print the readings.\n" +
			"Nothing is kept or sent; the daemon may run beside it. It exits with 1 when a device did not answer, and names it.",
		RunE: func(c *cobra.Command, _ []string) error {
			site, err := load(config.Loader{}, *path)
			if err != nil {
				return err
			}
			clock := host.NewClock(host.Config{DataDir: dataDir(site), Trust: site.Clock})
			all := newJobs(clock, slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError})))
			defer all.close()
			all.book = discovery.OpenRegistry(dataDir(site))
			js, err := all.of(site)
			if err != nil {
				return &exit{usage, err}
			}
			if only != "" {
				js = keepOnly(js, only)
			}
			if len(js) == 0 {
				return &exit{usage, fmt.Errorf("the site file has no device %q", only)}
			}
			out := bufio.NewWriter(c.OutOrStdout())
			defer out.Flush()
			p := &printer{out: out, clock: clock, asJSON: asJSON, loc: site.Info.Location()}
			sched := schedule.New(site.Limits, clock.Now, p.batch, slog.New(slog.DiscardHandler))
			if err := sched.Once(c.Context(), js); err != nil {
				p.bad = append(p.bad, err.Error())
			}
			if err := out.Flush(); err != nil {
				return fmt.Errorf("printing: %w", err)
			}
			if len(p.bad) > 0 {
				return &exit{badNews, errors.New(strings.Join(p.bad, "\n           "))}
			}
			return nil
		},
	}
	c.Flags().StringVar(&only, "device", "", "this device only")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line and reading")
	return c
}

// keepOnly keeps the jobs of one device.
func keepOnly(js []schedule.Job, device string) (out []schedule.Job) {
	for _, j := range js {
		if j.Source == "device/"+device || j.Group == device {
			out = append(out, j)
		}
	}
	return out
}

// printer prints batches as they come.
type printer struct {
	out    *bufio.Writer
	clock  *host.Clock
	asJSON bool
	loc    *time.Location
	line   []byte
	bad    []string
}

func (p *printer) batch(b collectors.Batch) {
	if b.Outcome.Result != collectors.OK {
		p.bad = append(p.bad, fmt.Sprintf("%s: %s: %s", b.Source, b.Outcome.Result, b.Outcome.Why))
	}
	offset, sure := p.clock.Offset()
	at := int64(b.At) + offset
	if !p.asJSON {
		p.table(&b, at)
		return
	}
	quality := format.Quality(&b, sure)
	for i := range b.Values {
		if b.Values[i].Missing() {
			continue
		}
		p.line = format.AppendReading(p.line[:0], &b, &b.Schema.Series[i], b.Values[i], at, quality)
		p.print(p.line)
	}
	for i := range b.Events {
		p.line = format.AppendEvent(p.line[:0], &b, &b.Events[i], at, quality)
		p.print(p.line)
	}
}

func (p *printer) print(line []byte) {
	p.out.Write(line) // the error stays with the writer until Flush
	if len(line) == 0 || line[len(line)-1] != '\n' {
		p.out.WriteByte('\n')
	}
}

// widest is the longest series that values of others are lined up with: one of many
// labels is not to push all of them off the screen.
const widest = 90

func (p *printer) table(b *collectors.Batch, at int64) {
	fmt.Fprintf(p.out, "%s  %s  %s", b.Source, time.UnixMilli(at).In(p.loc).Format("2006-01-02 15:04:05"), b.Outcome.Result)
	if b.Outcome.Why != "" {
		fmt.Fprintf(p.out, ": %s", collectors.Printable(b.Outcome.Why))
	}
	fmt.Fprintln(p.out)
	width := 0
	for i := range b.Values {
		if n := len(b.Schema.Series[i].String()); !b.Values[i].Missing() && n <= widest {
			width = max(width, n)
		}
	}
	for i := range b.Values {
		if b.Values[i].Missing() {
			continue
		}
		s := &b.Schema.Series[i]
		fmt.Fprintf(p.out, "  %-*s  %s\n", width, collectors.Printable(s.String()), joined(" ", collectors.Printable(b.Values[i].Format(s.Kind)), s.Unit))
	}
	for _, e := range b.Events {
		fmt.Fprintf(p.out, "  event %s: %s\n", e.Kind, collectors.Printable(e.Text))
	}
}
