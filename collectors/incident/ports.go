package incident

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// port is a port that matters: it leads to other infrastructure, or somebody said so.
type port struct {
	*source
	admin   int64 // ifAdminStatus: 1 up; 0: it is not known
	version int   // of the plan that wanted it last
}

// Values of ifAdminStatus and ifOperStatus (RFC 2863).
const (
	ifUp             = 1
	ifDown           = 2
	ifNotPresent     = 6
	ifLowerLayerDown = 7
)

// Words for ports in the site file.
const (
	portsUplinks = "uplinks"
	portsWAN     = "wan"
)

// wan is what ports to the provider are called.
var wan = regexp.MustCompile(`(?i)(^|[^a-z])(wan|internet|isp|pppoe?|dsl|uplink)`)

// wantedPorts are the ports of a device that lead elsewhere, by ifIndex; nil for what is
// no device, or is nobody's incident.
func (f *Fold) wantedPorts(s *source) map[string]string {
	if s == nil || s.Kind != KindDevice || s.Quiet {
		return nil
	}
	out := map[string]string{}
	for _, u := range f.wiring.Uplinks[s.Source] {
		out[strconv.Itoa(u.IfIndex)] = u.To
	}
	return out
}

// portOf is the port that a series is of, if it matters.
func (f *Fold) portOf(s *source, x *collectors.Series, wanted map[string]string) *port {
	if wanted == nil {
		return nil
	}
	index, name := x.Label("ifIndex"), x.Label("ifName")
	to, leads := wanted[index]
	if !leads && !slices.ContainsFunc(s.Ports, func(w string) bool { return named(w, x) }) {
		return nil
	}
	if name == "" {
		name = x.Label("ifDescr")
	}
	if name == "" {
		name = index
	}
	source := collectors.Clip("port/"+nameOf(s.Source)+"/"+name, collectors.MaxName)
	p := f.ports[source]
	if p == nil {
		if len(f.ports) >= maxPorts {
			f.over++
			return nil
		}
		w := Watched{Source: source, Name: nameOf(s.Source) + " " + name, Kind: KindPort, Owner: s.Owner, Severity: collectors.Error, Interval: s.Interval, Parents: []string{s.Source}}
		if alias := x.Label("ifAlias"); alias != "" {
			w.Name = collectors.Clip(w.Name+" ("+alias+")", 120)
		}
		f.enter(nil, w)
		p = &port{source: f.sources[source]}
		f.ports[source] = p
		f.adopt()
	}
	p.version = f.version
	if leads && to != s.Source {
		p.Host = to // one that is cut off takes its port's incident with it
	}
	return p
}

// named tells whether a word of the site file means a port.
func named(w string, x *collectors.Series) bool {
	switch w {
	case portsUplinks:
		return false // topology knows
	case portsWAN:
		return wan.MatchString(x.Label("ifName")) || wan.MatchString(x.Label("ifAlias"))
	}
	for _, label := range []string{"ifName", "ifDescr", "ifAlias"} {
		if v := x.Label(label); v != "" && strings.EqualFold(w, v) {
			return true
		}
	}
	return false
}

// seePort takes what a device says of a port.
func (f *Fold) seePort(p *port, oper int64, at collectors.Stamp) {
	if p.version != f.version || f.sources[p.Source] != p.source {
		return
	}
	e := Nothing
	switch {
	case oper == ifUp:
		e = Good
	case p.admin == ifDown:
		// Somebody has switched it off: that is no fault, and says nothing of the port.
	case oper == ifDown || oper == ifNotPresent || oper == ifLowerLayerDown:
		e = Bad
	}
	if e == Nothing {
		return
	}
	p.means[0].add(e, at, p.interval())
	f.settle(p.source)
}

// dropPorts forgets ports that no poll since the last plan and wiring has found to
// matter, of devices that are polled.
func (f *Fold) dropPorts() {
	for name, p := range f.ports {
		d := f.sources[p.Parents[0]]
		if p.version == f.version || d == nil || d.state != Up {
			continue
		}
		f.leave(p.source)
		delete(f.ports, name)
		delete(f.sources, name)
		delete(f.feeds, name)
		f.order = slices.DeleteFunc(f.order, func(s *source) bool { return s == p.source })
	}
}

// keepPorts takes over those of devices that stay; which of them still matter turns out
// with the next poll.
func (f *Fold) keepPorts(was map[string]*source) {
	for name, p := range f.ports {
		if _, stays := f.sources[p.Watched.Parents[0]]; !stays {
			delete(f.ports, name)
			f.leave(p.source)
			continue
		}
		f.enter(was, p.Watched)
	}
}
