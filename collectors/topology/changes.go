package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// adjacency is what a device hears at one of its ports, by LLDP or CDP.
type adjacency struct {
	device, port string // whose port
	key          string // who is heard: its chassis, or its ID
	name, remote string // the same for people
}

// adjacencies lists what devices hear of bridges and other known devices. What a
// forwarding database tells comes and goes with traffic, and telephones and hosts
// with people; neither is news.
func (g *Graph) adjacencies() map[adjacency]bool {
	out := map[adjacency]bool{}
	for _, a := range g.heard {
		n := g.Node(a.key)
		if n == nil || n.Phone || !n.Bridges && n.Kind != KindDevice {
			continue
		}
		a.key = orElse(n.Chassis, n.ID)
		out[a] = true
	}
	return out
}

// maxChanges bounds the events of one round; what is more is counted in the last.
const maxChanges = 24

// Changes are the events that lead from one graph to the next: a neighbour that
// appears, is another, or goes. A cable that both ends hear is told of once.
func Changes(was, is *Graph) []collectors.Event {
	before, after := byPort(was.adjacencies()), byPort(is.adjacencies())
	var ports []portKey
	for _, side := range []map[portKey]map[string]adjacency{before, after} {
		for p := range side {
			x, y := was.Node(p.device), is.Node(p.device)
			if x != nil && y != nil && x.Asked && y.Asked && !slices.Contains(ports, p) { // of others it is not known whether anything has changed
				ports = append(ports, p)
			}
		}
	}
	slices.SortFunc(ports, func(a, b portKey) int { return strings.Compare(a.device+"\x00"+a.port, b.device+"\x00"+b.port) })
	var out []collectors.Event
	told := map[string]bool{}
	left := 0
	for _, p := range ports {
		gone, come := minus(before[p], after[p]), minus(after[p], before[p])
		for len(gone) > 0 || len(come) > 0 {
			e, pair := change(is, p, &gone, &come)
			if told[pair] {
				continue
			}
			told[pair] = true
			if len(out) >= maxChanges {
				left++
				continue
			}
			out = append(out, e)
		}
	}
	if left > 0 {
		out = append(out, collectors.Event{Kind: "topology_change", Severity: collectors.Warning, Text: fmt.Sprintf("%d more changes of neighbours", left)})
	}
	return out
}

type portKey struct{ device, port string }

// byPort sorts adjacencies by port and, there, by who is heard.
func byPort(all map[adjacency]bool) map[portKey]map[string]adjacency {
	out := map[portKey]map[string]adjacency{}
	for a := range all {
		p := portKey{a.device, a.port}
		if out[p] == nil {
			out[p] = map[string]adjacency{}
		}
		if was, twice := out[p][a.key]; !twice || a.remote < was.remote {
			out[p][a.key] = a
		}
	}
	return out
}

func minus(a, b map[string]adjacency) (out []adjacency) {
	for key, v := range a {
		if _, ok := b[key]; !ok {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(x, y adjacency) int { return strings.Compare(x.key, y.key) })
	return out
}

// change takes the first of what is gone and what has come and makes an event of it.
// pair names the change regardless of which end tells of it.
func change(g *Graph, p portKey, gone, come *[]adjacency) (e collectors.Event, pair string) {
	e = collectors.Event{Kind: "topology_change", Severity: collectors.Warning}
	self := p.device
	if n := g.Node(p.device); n != nil {
		self = orElse(n.Chassis, n.ID)
	}
	at := strings.TrimSpace(p.device + " " + p.port)
	var other adjacency
	switch {
	case len(*gone) > 0 && len(*come) > 0:
		was, is := (*gone)[0], (*come)[0]
		*gone, *come = (*gone)[1:], (*come)[1:]
		e.Text = fmt.Sprintf("%s: neighbour was %s, is %s", at, was.label(), is.label())
		other, pair = is, "moved "+at
	case len(*gone) > 0:
		other, *gone = (*gone)[0], (*gone)[1:]
		e.Text = fmt.Sprintf("%s: neighbour %s is gone", at, other.label())
		pair = "gone " + either(self, other.key)
	default:
		other, *come = (*come)[0], (*come)[1:]
		e.Severity = collectors.Info
		e.Text = fmt.Sprintf("%s: neighbour is %s", at, other.label())
		pair = "come " + either(self, other.key)
	}
	e.Text = collectors.Clip(e.Text, collectors.MaxText)
	e.Labels = []collectors.Label{{Name: "device", Value: collectors.Clip(p.device, collectors.MaxText)}}
	if p.port != "" {
		e.Labels = append(e.Labels, collectors.Label{Name: "ifName", Value: collectors.Clip(p.port, collectors.MaxText)})
	}
	e.Labels = append(e.Labels, collectors.Label{Name: "neighbour", Value: collectors.Clip(other.name, collectors.MaxText)})
	return e, pair
}

func either(a, b string) string {
	if a > b {
		a, b = b, a
	}
	return a + "\x00" + b
}

func (a *adjacency) label() string {
	return collectors.Clip(strings.TrimSpace(collectors.Clip(a.name, 60)+" "+collectors.Clip(a.remote, 40)), 100)
}
