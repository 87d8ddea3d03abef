package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/topology"
	"github.com/siteprobe/siteprobe/collectors/topology/draw"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// topologyFile is where the daemon keeps what devices say of their neighbours.
func topologyFile(site *config.Site) string { return filepath.Join(dataDir(site), "topology.json.gz") }

// topologyTargets are the devices of a site and how each is asked.
func topologyTargets(site *config.Site, k *kinds) (out []topology.Target) {
	for _, d := range site.Devices {
		set := site.DeviceSettings(d)
		out = append(out, topology.Target{
			Known: topology.Known{Name: d.Name, Address: d.Address},
			SNMP:  snmp.Config{Device: d.Name, Address: d.Address, Credentials: set.Credentials, Timeout: set.Timeout, Retries: set.Retries, Profile: k.named[d.Profile]},
		})
	}
	return out
}

// topologyJob is the collector of the topology, unless it is off.
func (j *jobs) topologyJob(b *jobList, site *config.Site, dialer *scope.Dialer) {
	if j.topology == nil || site.Topology.Interval == 0 {
		return
	}
	targets := topologyTargets(site, &j.kinds)
	settings := struct {
		targets  []topology.Target
		profiles int
	}{targets, j.kinds.count}
	b.add(topology.Source, "", site.Topology.Interval, settings, func() (collectors.Collector, error) {
		return topology.New(targets, j.topologyDialer(dialer), j.topology, nil), nil
	})
}

// topologyDialer lets clients share what collectors of SNMP share, but for what is
// learned of a device, which belongs to its own collector.
func (j *jobs) topologyDialer(dialer *scope.Dialer) topology.Dialer {
	opts := []snmp.Option{snmp.WithSockets(j.sockets), snmp.WithKinds(j.kinds.Kinds)}
	return func(ctx context.Context, cfg snmp.Config) (*snmp.Client, error) {
		return snmp.Dial(ctx, cfg, dialer, opts...)
	}
}

// drawn is what `topology --json` prints. Scripts rely on its keys.
type drawn struct {
	*topology.Graph
	Root    string              `json:"root"`
	Parents map[string][]string `json:"parents"` // on the shortest ways from the root
	From    *time.Time          `json:"from"`    // when the first of the devices was asked
	To      *time.Time          `json:"to"`      // and the last
}

// looking is how `topology` and `where` come by a graph.
type looking struct {
	path *string
	now  bool
	json bool

	site     *config.Site
	graph    *topology.Graph
	from, to time.Time
	silent   []error // devices that did not answer
}

func (l *looking) flags(c *cobra.Command) {
	c.Flags().BoolVar(&l.now, "now", false, "ask the devices now, instead of reading what the daemon knows")
	c.Flags().BoolVar(&l.json, "json", false, "for a program")
}

// look gets the graph.
func (l *looking) look(ctx context.Context) error {
	site, err := loadAll(config.Loader{WithoutSecrets: !l.now}, *l.path)
	if err != nil {
		return err
	}
	l.site = site
	if l.now {
		return l.ask(ctx)
	}
	store, err := topology.OpenStore(topologyFile(site))
	if err != nil {
		return &exit{unknown, err}
	}
	var known []topology.Known
	var names []string
	for _, d := range site.Devices {
		known = append(known, topology.Known{Name: d.Name, Address: d.Address})
		names = append(names, d.Name)
	}
	facts := store.Facts(names...)
	if len(facts) == 0 {
		return &exit{unknown, errors.New("nothing is known yet: the daemon asks the devices every " + words(site.Topology.Interval) + "; --now asks them at once")}
	}
	l.from, l.to = facts[0].At, facts[len(facts)-1].At
	l.graph = topology.Build(known, facts)
	return nil
}

func words(d time.Duration) string {
	if d == 0 {
		return "never (topology.interval is 0s)"
	}
	return strings.TrimSuffix(d.String(), "0s")
}

// ask asks every device of the site.
func (l *looking) ask(ctx context.Context) error {
	dialer, err := scope.New(l.site.Scope, nil)
	if err != nil {
		return &exit{usage, fmt.Errorf("scope: %w", err)}
	}
	j := newJobs(nil, slog.New(slog.DiscardHandler))
	defer j.close()
	j.kinds.read(l.site, j.log)
	l.from = time.Now()
	l.graph, l.silent = topology.AskAll(ctx, topologyTargets(l.site, &j.kinds), j.topologyDialer(dialer), nil)
	l.to = time.Now()
	if err := ctx.Err(); err != nil {
		return &exit{unknown, fmt.Errorf("asking the devices: %w", err)}
	}
	return nil
}

// complain names the devices that did not answer; the answer is bad news then.
func (l *looking) complain() error {
	if len(l.silent) == 0 {
		return nil
	}
	var lines []string
	for _, e := range l.silent {
		lines = append(lines, e.Error())
	}
	return &exit{badNews, errors.New("not everybody answered:\n  " + strings.Join(lines, "\n  "))}
}

// root is where a drawing begins: where it was said, or the device that others of the
// site file are behind, or the one with most links.
func (l *looking) root(wanted string) (string, error) {
	if wanted != "" {
		if l.graph.Node(wanted) == nil {
			return "", &exit{usage, fmt.Errorf("nothing is called %q", wanted)}
		}
		return wanted, nil
	}
	return l.graph.Root(tops(l.site)...), nil
}

func topologyCommand(path *string) *cobra.Command {
	l := &looking{path: path}
	var o draw.Options
	var svg string
	c := &cobra.Command{
		Use: "topology", Short: "Show which port of which device goes where", Args: cobra.NoArgs,
		Long: "Show which port of which device goes where, as a tree that begins at the gateway: what LLDP, CDP, forwarding databases\n" +
			"and ARP say. Confidence is high where both ends of a link say so, medium where one does or where both have learned the\n" +
			"other's address, low where that is uncertain. HOSTS counts the addresses that are plugged in at a device.\n\n" +
			"--json prints one object: nodes (id, kind: device, neighbour or segment, name, descr, bridges, chassis, addresses, asked,\n" +
			"partial), links (a and b: node, port, ifIndex, members, speed_bps; confidence, evidence), hosts (mac, ips, name, node, port,\n" +
			"vlans, behind, others, confidence), notes, root, parents (of each node, on the shortest ways from the root), from and to.\n\n" +
			"It exits with 1 when --now is given and a device did not answer, with 3 when nothing is known yet.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := l.look(c.Context()); err != nil {
				return err
			}
			root, err := l.root(o.Root)
			if err != nil {
				return err
			}
			o.Root = root
			if svg != "" {
				var b bytes.Buffer
				if err = draw.SVG(&b, l.graph, o); err == nil {
					err = os.WriteFile(svg, b.Bytes(), 0o644)
				}
				if err != nil {
					return &exit{unknown, fmt.Errorf("drawing: %w", err)}
				}
			}
			out := bufio.NewWriter(c.OutOrStdout())
			switch {
			case l.json:
				err = encode(out, drawn{l.graph, root, l.graph.Parents(root), instantOf(l.from), instantOf(l.to)})
			case svg == "":
				fmt.Fprintf(out, "as of %s\n\n", l.when())
				err = draw.Text(out, l.graph, o)
			}
			if e := out.Flush(); err == nil {
				err = e
			}
			if err != nil {
				return fmt.Errorf("printing: %w", err)
			}
			return l.complain()
		},
	}
	l.flags(c)
	c.Flags().StringVar(&svg, "svg", "", "write a drawing into this file")
	c.Flags().StringVar(&o.Root, "root", "", "begin at this device")
	c.Flags().BoolVar(&o.All, "all", false, "also telephones and hosts that speak LLDP")
	return c
}

func whereCommand(path *string) *cobra.Command {
	l := &looking{path: path}
	c := &cobra.Command{
		Use: "where MAC|IP|NAME", Short: "Say where something is plugged in", Args: cobra.ExactArgs(1),
		Long: "Say at which port of which switch a MAC, an address or a device is plugged in, and what says so.\n\n" +
			"--json prints a list of places: mac, ips, name, node, port, vlans, behind, confidence, evidence.\n" +
			"It exits with 1 when it is seen nowhere, with 3 when nothing is known yet.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := l.look(c.Context()); err != nil {
				return err
			}
			places := l.graph.Where(args[0])
			var err error
			out := bufio.NewWriter(c.OutOrStdout())
			if l.json {
				err = encode(out, append([]topology.Place{}, places...))
			} else {
				l.print(out, places)
			}
			if e := out.Flush(); err == nil {
				err = e
			}
			switch {
			case err != nil:
				return fmt.Errorf("printing: %w", err)
			case len(places) == 0:
				return &exit{badNews, l.nowhere(args[0])}
			}
			return nil
		},
	}
	l.flags(c)
	return c
}

// nowhere says that something has no place, and what is known of it all the same.
func (l *looking) nowhere(what string) error {
	text := fmt.Sprintf("%s is seen nowhere (as of %s)", collectors.Printable(what), l.when())
	if n := l.graph.Node(what); n != nil && n.Asked {
		text = fmt.Sprintf("no link of %s is known (as of %s): it answers, but neither it nor a switch that was asked says where it is plugged in",
			collectors.Printable(what), l.when())
	}
	if says := l.graph.Bindings(what); len(says) > 0 {
		text += "\n  " + strings.Join(says, "\n  ") + "\n  but no switch that was asked has learned that address"
	}
	return errors.Join(errors.New(text), l.complain())
}

// print is for a person.
func (l *looking) print(w io.Writer, places []topology.Place) {
	for _, p := range places {
		var who []string
		if p.MAC != nil {
			who = append(who, p.MAC.String())
		}
		for _, a := range p.IPs {
			who = append(who, a.String())
		}
		at := p.Node
		if n := l.graph.Node(p.Node); n != nil {
			at = n.Name
		}
		line := joined(" ", at, p.Port)
		if len(who) > 0 {
			line += " (" + strings.Join(who, ", ") + ")"
		}
		fmt.Fprintf(w, "%s: %s, confidence %s\n", collectors.Printable(orDash(p.Name)), collectors.Printable(line), p.Confidence)
		for _, e := range p.Evidence {
			fmt.Fprintf(w, "  %s\n", collectors.Printable(e))
		}
	}
}

// when says from when to when the devices were asked.
func (l *looking) when() string {
	loc := l.site.Info.Location()
	from, to := l.from.In(loc).Format("2006-01-02 15:04"), l.to.In(loc).Format("2006-01-02 15:04")
	if from == to {
		return to
	}
	return from + " to " + to
}

func instantOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
