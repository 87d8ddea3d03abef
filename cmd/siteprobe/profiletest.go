package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
	"github.com/siteprobe/siteprobe/collectors/snmp/walkfile"
	"github.com/siteprobe/siteprobe/uplink/wire/format"
)

func testProfileCommand(dir *string) *cobra.Command {
	var walk, module string
	var asJSON bool
	c := &cobra.Command{
		Use: "test [NAME|FILE] --walk FILE", Short: "Print the readings that a profile makes of a walk", Args: cobra.MaximumNArgs(1),
		Long: "Print the readings that a profile makes of a walk: what `snmpwalk -On` or `siteprobe snmp walk -n` printed, or a\n" +
			".snmprec recording. Nothing is sent. Without a profile that one is taken which the device of the walk would get.",
		RunE: func(c *cobra.Command, args []string) error {
			set, _ := profile.Open(*dir) // problems of other files are theirs
			t := &trial{set: set, out: bufio.NewWriter(c.OutOrStdout()), warn: c.ErrOrStderr(), asJSON: asJSON, seen: map[string]bool{}}
			cfg := snmp.Config{Device: "test", Address: "192.0.2.1", Credentials: []snmp.Credential{{Name: "none", Auth: snmp.Auth{Version: "2c", Community: "none"}}}}
			if len(args) == 1 {
				var err error
				if cfg.Profile, err = findProfile(c, set, args[0], module); err != nil {
					return err
				}
			}
			err := t.run(c.Context(), cfg, walk)
			if e := t.out.Flush(); err == nil && e != nil {
				err = fmt.Errorf("printing: %w", e)
			}
			return err
		},
	}
	c.Flags().StringVar(&walk, "walk", "", "the file of the walk")
	c.Flags().StringVar(&module, "module", "", "the file is snmp_exporter's snmp.yml; try this module")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line and reading")
	_ = c.MarkFlagRequired("walk") // it fails for a flag that does not exist
	return c
}

// trial is a profile tried on a walk.
type trial struct {
	set    *profile.Set
	out    *bufio.Writer
	asJSON bool
	warn   io.Writer
	seen   map[string]bool // metrics with a reading
}

func (t *trial) run(ctx context.Context, cfg snmp.Config, walk string) error {
	f, err := os.Open(walk)
	if err != nil {
		return &exit{unknown, err}
	}
	defer f.Close()
	vars, problems, err := walkfile.Read(f)
	for _, p := range problems {
		fmt.Fprintf(t.warn, "%s: %s\n", walk, p)
	}
	if err != nil {
		return &exit{usage, fmt.Errorf("%s: %w", walk, err)}
	}
	col, err := snmp.New(cfg, nil, snmp.WithKinds(snmp.NewKinds(t.set)), snmp.Offline(vars))
	if err != nil {
		return &exit{usage, err}
	}
	defer col.Close()
	broken := col.Collect(ctx, t.batch)
	if !t.asJSON {
		t.summary(col)
	}
	if broken != nil {
		return &exit{badNews, broken}
	}
	return nil
}

func (t *trial) batch(b collectors.Batch) {
	for i := range b.Values {
		t.seen[b.Schema.Series[i].Metric] = t.seen[b.Schema.Series[i].Metric] || !b.Values[i].Missing()
	}
	p := &printer{out: t.out, loc: time.Local}
	if !t.asJSON {
		p.table(&b, time.Now().UnixMilli())
		return
	}
	for i := range b.Values {
		if !b.Values[i].Missing() {
			p.print(format.AppendReading(nil, &b, &b.Schema.Series[i], b.Values[i], time.Now().UnixMilli(), nil))
		}
	}
}

// summary says what was made of the device, and which metrics of the profile found
// nothing.
func (t *trial) summary(col *snmp.Collector) {
	d, p := col.Device(), col.Profile()
	fmt.Fprintf(t.out, "profile %s (%s)\n", p.Name, p.Origin)
	for _, f := range [][2]string{{"class", d.Class}, {"vendor", d.Vendor}, {"model", d.Model}, {"serial", d.Serial}, {"firmware", d.Firmware}} {
		if f[1] != "" {
			fmt.Fprintf(t.out, "  %s: %s\n", f[0], collectors.Printable(f[1]))
		}
	}
	var without []string
	n := 0
	for _, m := range ownMetrics(p) {
		n++
		if !t.seen[m] {
			without = append(without, m)
		}
	}
	fmt.Fprintf(t.out, "  %d of its %d metrics have readings here\n", n-len(without), n)
	if len(without) > 0 {
		fmt.Fprintf(t.out, "  none: %s\n", strings.Join(without, ", "))
	}
}

// ownMetrics names a profile's metrics, each once, but for those that only stand in
// for another.
func ownMetrics(p *profile.Profile) (names []string) {
	add := func(ms []profile.Metric) {
		for _, m := range ms {
			if m.InsteadOf == "" && !slices.Contains(names, m.Name) {
				names = append(names, m.Name)
			}
		}
	}
	add(p.Scalars)
	for i := range p.Tables {
		add(p.Tables[i].Columns)
	}
	return names
}
