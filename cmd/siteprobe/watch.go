package main

import (
	"cmp"
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/discovery"
	"github.com/siteprobe/siteprobe/collectors/heartbeat"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/collectors/schedule"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/topology"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// clients are classes of devices that come and go as their users please. Those of
// unknown class are among them where nobody has written them down.
var clients = []string{"printer", "pc", "phone"}

// watched is what alerts at a site, without being told: every device that somebody wrote
// into the site file but printers and what is labelled role: client; adopted devices of
// the classes that a site stands on; checks.
func watched(file, site *config.Site, book discovery.Book) (p incident.Plan) {
	p.Config = site.Incidents
	classes := map[string]string{}
	for i := range book.Devices {
		classes[book.Devices[i].Name] = book.Devices[i].Class
	}
	parent := map[string]bool{}
	for _, d := range site.Devices {
		parent[d.Parent] = true
	}
	gateway, _ := gatewayDevice(site)
	for _, d := range site.Devices {
		set := site.DeviceSettings(d)
		if len(set.Credentials) == 0 && !d.Ping {
			continue // its checks stand for it
		}
		_, listed := file.Device(d.Name)
		w := incident.Watched{Source: "device/" + d.Name, Name: d.Name, Kind: incident.KindDevice, Owner: ownerOf(d.Owner),
			Severity: collectors.Error, Interval: set.Interval, Class: classes[d.Name], Profile: d.Profile.Name}
		w.Quiet = !parent[d.Name] && (d.Labels["role"] == "client" || slices.Contains(clients, w.Class) || !listed && (w.Class == "" || w.Class == "other"))
		if len(set.Credentials) > 0 {
			w.Means, w.SNMP = append(w.Means, w.Source), true
		}
		if d.Ping {
			w.Means = append(w.Means, cmp.Or(pingSource(len(set.Credentials) > 0, d.Name), w.Source))
		}
		if d.Parent != "" {
			w.Parents = []string{"device/" + d.Parent}
		}
		w.Ports, w.Gateway = d.Watch, d.Name == gateway.Name
		p.Sources = append(p.Sources, w)
	}
	for _, c := range site.Checks {
		interval, _ := site.CheckTimes(c.Interval, c.Timeout)
		w := incident.Watched{Source: "check/" + c.Name, Name: c.Name, Kind: incident.KindCheck, Owner: diagnosis.Customer, Severity: collectors.Error, Interval: interval}
		if d, ok := site.Device(c.Device); ok {
			w.Host, w.Owner = "device/"+d.Name, ownerOf(d.Owner)
		} else if outside(site, c) {
			w.Host = incident.Line
		}
		p.Sources = append(p.Sources, w)
	}
	for _, j := range site.Heartbeats.Jobs {
		w := incident.Watched{Source: j.Source(), Name: j.Name, Kind: incident.KindHeartbeat, Owner: diagnosis.Customer, Severity: collectors.Error, Interval: heartbeat.Interval}
		if d, ok := site.Device(j.Device); ok {
			w.Host, w.Owner = "device/"+d.Name, ownerOf(d.Owner)
		}
		p.Sources = append(p.Sources, w)
	}
	return p
}

// pingSource is that of the ping of a device that is asked by SNMP too.
func pingSource(both bool, device string) string {
	if both {
		return "check/" + device + "~ping"
	}
	return ""
}

func ownerOf(s string) diagnosis.Owner {
	switch o := diagnosis.Owner(s); o {
	case diagnosis.ISP, diagnosis.MSP:
		return o
	}
	return diagnosis.Customer
}

// outside tells whether a check's target is reached over the line.
func outside(site *config.Site, c check.Config) bool {
	host := c.Target()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(host)
	if err != nil { // a name is the contract's to place
		return slices.ContainsFunc(site.Scope.External, func(e string) bool { return e == host || strings.HasPrefix(e, host+":") })
	}
	for _, m := range site.Scope.Managed {
		if p, err := netip.ParsePrefix(m); err == nil && p.Contains(addr) || m == host {
			return false
		}
	}
	return true
}

// blame tells whose fault it is that a device was not read: its own, the box's, or that
// of settings while the device is there.
func blame(why string) incident.Evidence {
	for _, f := range []snmp.Failure{snmp.ErrNoAnswer, snmp.ErrUnreachable} {
		if strings.Contains(why, f.Error()) {
			return incident.Bad
		}
	}
	for _, f := range []snmp.Failure{snmp.ErrNoAnswerV3, snmp.ErrRefused, snmp.ErrUnknownUser, snmp.ErrWrongDigest, snmp.ErrSecurityLevel, snmp.ErrDecryption,
		snmp.ErrTimeWindow, snmp.ErrNotAuthentic, snmp.ErrOtherAnswer, snmp.ErrOtherAddress, snmp.ErrMalformed, snmp.ErrNothing} {
		if strings.Contains(why, f.Error()) {
			return incident.Good
		}
	}
	switch {
	case strings.Contains(why, "the device answered"):
		return incident.Good
	case strings.HasPrefix(why, schedule.WhyTimeout):
		return incident.Bad
	}
	return incident.Nothing
}

// watch tells the engine what is watched now.
func (d *appliance) watch(site *config.Site) {
	all := d.jobs.withAdopted(site)
	book, err := d.jobs.book.Read()
	if err != nil {
		d.log.Warn("classes of devices are not known", "error", err)
	}
	d.engine.Apply(watched(site, all, book), site.Maintenance)
	var known []topology.Known
	for _, x := range all.Devices {
		known = append(known, topology.Known{Name: x.Name, Address: x.Address})
	}
	d.wiring.set(known, tops(site))
}

// tops are the devices that others of the site file are behind, and nothing before them.
func tops(site *config.Site) (out []string) {
	for _, d := range site.Devices {
		for n := 0; d.Parent != "" && n < len(site.Devices); n++ {
			up, ok := site.Device(d.Parent)
			if !ok {
				break
			}
			if up.Parent == "" && !slices.Contains(out, up.Name) {
				out = append(out, up.Name)
			}
			d = up
		}
	}
	return out
}

// parentsOf gives who stands behind whom by topology, as sources. What nobody polls
// stands for those before it.
func parentsOf(g *topology.Graph, known []topology.Known, tops []string) map[string][]string {
	polled := map[string]bool{}
	for _, k := range known {
		polled[k.Name] = true
	}
	parents := g.Parents(g.Root(tops...))
	var over func(id string, seen map[string]bool) []string
	over = func(id string, seen map[string]bool) (out []string) {
		for _, p := range parents[id] {
			switch {
			case seen[p]:
			case polled[p]:
				out = append(out, "device/"+p)
			default:
				seen[p] = true
				out = append(out, over(p, seen)...)
			}
		}
		return out
	}
	out := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(polled)) {
		if ps := over(name, map[string]bool{}); len(ps) > 0 {
			slices.Sort(ps)
			out["device/"+name] = slices.Compact(ps)
		}
	}
	return out
}

// uplinksOf gives the ports of polled devices behind which others of them are, by
// the source of their device.
func uplinksOf(g *topology.Graph, known []topology.Known) map[string][]incident.Uplink {
	polled := map[string]bool{}
	for _, k := range known {
		polled[k.Name] = true
	}
	out := map[string][]incident.Uplink{}
	add := func(a, b topology.End) {
		if polled[a.Node] && a.IfIndex > 0 {
			if n := g.Node(b.Node); polled[b.Node] || n != nil && n.Bridges && !n.Phone {
				to := ""
				if polled[b.Node] {
					to = "device/" + b.Node
				}
				out["device/"+a.Node] = append(out["device/"+a.Node], incident.Uplink{IfIndex: a.IfIndex, To: to})
			}
		}
	}
	for _, l := range g.Links {
		if l.Confidence != topology.Low {
			add(l.A, l.B)
			add(l.B, l.A)
		}
	}
	return out
}

// watchSelf tells of what is wrong with the daemon itself: a stage that stands still, or
// a buffer in trouble. That is an incident too.
func (d *appliance) watchSelf(ctx context.Context) {
	tick := time.NewTicker(20 * time.Second)
	defer tick.Stop()
	var last [3]uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := d.beats()
		for i, stage := range stages {
			sentence := ""
			if now[i] == last[i] {
				sentence = "The box's software stands still: " + stage + "."
			}
			d.engine.Self(stage, sentence)
		}
		last = now
		st, _ := d.buf.Stats() // what is wrong is in Trouble
		if st.Trouble != "" {
			st.Trouble = "The box cannot keep readings: " + st.Trouble + "."
		}
		d.engine.Self("buffer_trouble", st.Trouble)
		d.engine.Self("too_much", d.engine.Overflow())
	}
}
