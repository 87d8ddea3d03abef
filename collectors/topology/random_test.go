package topology

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// site is a network that does not exist: switches in a tree, some of them joined by
// switches that nobody can ask, and hosts.
type site struct {
	names   []string
	cables  []cable
	hosts   map[MAC]jack
	degree  []int // ports in use, by switch
	segment int
}

// jack is a port of a switch. Switches below 0 are those that nobody can ask.
type jack struct{ sw, port int }

type cable struct{ a, b jack }

func (s *site) mac(sw, port int) MAC { return MAC{2, 0, 0, byte(sw >> 8), byte(sw), byte(port)} }

func port(n int) string { return fmt.Sprintf("Gi1/0/%d", n) }

func (s *site) next(sw int) jack {
	s.degree[sw]++
	return jack{sw, s.degree[sw]}
}

// randomSite draws a tree of switches.
func randomSite(r *rand.Rand) *site {
	s := &site{hosts: map[MAC]jack{}}
	n := 2 + r.IntN(14)
	for i := range n {
		s.names, s.degree = append(s.names, fmt.Sprintf("sw%02d", i)), append(s.degree, 0)
		if i > 0 && r.IntN(6) > 0 || i == 1 {
			s.cables = append(s.cables, cable{s.next(r.IntN(i)), s.next(i)})
		} else if i > 1 { // on a new segment with one switch, or one that is there
			if s.segment == 0 || r.IntN(2) == 0 {
				s.segment++
				s.cables = append(s.cables, cable{s.next(r.IntN(i)), jack{-s.segment, 0}})
			}
			s.cables = append(s.cables, cable{s.next(i), jack{-s.segment, 0}})
		}
	}
	for h := range r.IntN(60) {
		m := MAC{6, 0, 0, 0, byte(h >> 8), byte(h)}
		at := s.next(r.IntN(n))
		if r.IntN(4) == 0 && at.port > 1 && s.free(jack{at.sw, at.port - 1}) {
			s.degree[at.sw]--
			at.port-- // behind the same port as the one before
		}
		s.hosts[m] = at
	}
	s.mergeSmallSegments()
	for _, c := range s.cables {
		if c.b.sw < 0 && r.IntN(2) == 0 {
			s.hosts[MAC{6, 0, 0, 1, 0, byte(-c.b.sw)}] = c.b
		}
	}
	return s
}

func (s *site) free(j jack) bool {
	return !slices.ContainsFunc(s.cables, func(c cable) bool { return c.a == j || c.b == j })
}

// towards gives, from each switch, the port that leads to another.
func (s *site) towards(from int) map[int]int {
	out := map[int]int{}
	var walk func(at, came, through int)
	walk = func(at, came, through int) {
		for _, c := range s.cables {
			here, there := c.a, c.b
			if there.sw == at {
				here, there = there, here
			}
			if here.sw != at || there.sw == came {
				continue
			}
			first := through
			if at == from {
				first = here.port
			}
			out[there.sw] = first
			walk(there.sw, at, first)
		}
	}
	walk(from, 1<<30, 0)
	return out
}

// facts are what the switches would say, where each end's LLDP is off with the
// probability off.
func (s *site) facts(r *rand.Rand, off float64) (known []Known, out []*Facts) {
	for sw, name := range s.names {
		f := &Facts{Device: name, SysName: name + ".example", Chassis: ID{chassisMAC, s.mac(sw, 0).String()}, Bridge: s.mac(sw, 0), Ports: map[uint32]int{}}
		learned := map[int]MACList{}
		way := s.towards(sw)
		for other := range s.names {
			if other != sw {
				learned[way[other]] = append(learned[way[other]], s.mac(other, 0))
			}
		}
		for m, at := range s.hosts {
			p := at.port
			if at.sw != sw {
				p = way[at.sw]
			}
			learned[p] = append(learned[p], m)
		}
		for p := 1; p <= s.degree[sw]; p++ {
			f.Interfaces = append(f.Interfaces, Interface{Index: 10000 + p, Name: port(p), MAC: s.mac(sw, p)})
			f.Ports[uint32(p)] = 10000 + p
		}
		for _, p := range slices.Sorted(maps.Keys(learned)) {
			f.FDB = append(f.FDB, Forwards{IfIndex: 10000 + p, Port: uint32(p), VLAN: 1, MACs: learned[p]})
		}
		for _, c := range s.cables {
			here, there := c.a, c.b
			if there.sw == sw {
				here, there = there, here
			}
			if here.sw != sw || there.sw < 0 || r.Float64() < off {
				continue
			}
			f.Neighbours = append(f.Neighbours, Neighbour{Protocol: protocolLLDP, IfIndex: 10000 + here.port, Port: port(here.port),
				Chassis: ID{chassisMAC, s.mac(there.sw, 0).String()}, PortID: ID{portIfName, port(there.port)}, Bridges: true})
		}
		s.throughSegments(r, off, sw, f)
		known = append(known, Known{Name: name})
		out = append(out, f)
	}
	return known, out
}

// throughSegments lets a switch hear those beyond a switch that lets LLDP pass, which
// cheap ones do.
func (s *site) throughSegments(r *rand.Rand, off float64, sw int, f *Facts) {
	for _, c := range s.cables {
		if c.b.sw >= 0 || c.a.sw != sw {
			continue
		}
		for _, other := range s.cables {
			if other.b == c.b && other.a.sw != sw && r.Float64() >= off {
				f.Neighbours = append(f.Neighbours, Neighbour{Protocol: protocolLLDP, IfIndex: 10000 + c.a.port, Port: port(c.a.port),
					Chassis: ID{chassisMAC, s.mac(other.a.sw, 0).String()}, PortID: ID{portIfName, port(other.a.port)}, Bridges: true})
			}
		}
	}
}

// truth lists links and the places of hosts in words.
func (s *site) truth() (links, hosts []string) {
	shared := map[int][]string{}
	word := func(j jack) string {
		if j.sw < 0 {
			return "segment"
		}
		return s.names[j.sw] + " " + port(j.port)
	}
	for _, c := range s.cables {
		if c.b.sw < 0 {
			shared[c.b.sw] = append(shared[c.b.sw], word(c.a))
			continue
		}
		ends := []string{word(c.a), word(c.b)}
		slices.Sort(ends)
		links = append(links, strings.Join(ends, " - "))
	}
	for _, ends := range shared {
		slices.Sort(ends)
		links = append(links, strings.Join(ends, " - "))
	}
	for m, at := range s.hosts {
		hosts = append(hosts, m.String()+" "+word(at))
	}
	slices.Sort(links)
	slices.Sort(hosts)
	return links, hosts
}

// found says the same of a graph.
func found(g *Graph) (links, hosts []string) {
	shared := map[string][]string{}
	word := func(e End) string { return strings.TrimSpace(e.Node + " " + e.Port) }
	for _, l := range g.Links {
		if n := g.Node(l.B.Node); n.Kind == KindSegment {
			shared[n.ID] = append(shared[n.ID], word(l.A))
			continue
		}
		if n := g.Node(l.A.Node); n.Kind == KindSegment {
			shared[n.ID] = append(shared[n.ID], word(l.B))
			continue
		}
		ends := []string{word(l.A), word(l.B)}
		slices.Sort(ends)
		links = append(links, strings.Join(ends, " - "))
	}
	for _, ends := range shared {
		slices.Sort(ends)
		links = append(links, strings.Join(ends, " - "))
	}
	for _, h := range g.Hosts {
		if g.Node(h.Node).Kind == KindSegment {
			h.Node = "segment"
		}
		hosts = append(hosts, strings.TrimSpace(h.MAC.String()+" "+h.Node+" "+h.Port))
	}
	slices.Sort(links)
	slices.Sort(hosts)
	return links, hosts
}

// TestRandomSites: of trees of switches, with LLDP on, off and in part, every cable,
// every segment and every host is found at its port.
func TestRandomSites(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := randomSite(r)
		for _, off := range []float64{0, 0.4, 0.8, 1} {
			known, facts := s.facts(r, off)
			g := Build(known, facts)
			links, hosts := found(g)
			wantLinks, wantHosts := s.truth()
			if diff := cmp.Diff(wantLinks, links); diff != "" {
				t.Errorf("seed %d, LLDP off %.1f: links (-truth +found):\n%s", seed, off, diff)
			}
			if diff := cmp.Diff(wantHosts, hosts); diff != "" {
				t.Errorf("seed %d, LLDP off %.1f: hosts (-truth +found):\n%s", seed, off, diff)
			}
			if len(g.Notes) > 0 {
				t.Errorf("seed %d: %q", seed, g.Notes)
			}
			s.checkParents(t, g, seed)
			if t.Failed() {
				return
			}
		}
	}
}

// mergeSmallSegments makes cables of segments of two switches, which as far as anyone
// can tell they are.
func (s *site) mergeSmallSegments() {
	ends := map[int][]jack{}
	var keep []cable
	for _, c := range s.cables {
		if c.b.sw < 0 {
			ends[c.b.sw] = append(ends[c.b.sw], c.a)
		} else {
			keep = append(keep, c)
		}
	}
	for sw, js := range ends {
		if len(js) == 2 {
			keep = append(keep, cable{js[0], js[1]})
			continue
		}
		for _, j := range js {
			keep = append(keep, cable{j, jack{sw, 0}})
		}
	}
	s.cables = keep
}

// checkParents walks from every switch to the root.
func (s *site) checkParents(t *testing.T, g *Graph, seed uint64) {
	t.Helper()
	parents := g.Parents(s.names[0])
	for _, name := range s.names[1:] {
		at := name
		for range s.names {
			if at == s.names[0] {
				break
			}
			if len(parents[at]) == 0 {
				t.Fatalf("seed %d: %s has no parent", seed, at)
			}
			at = parents[at][0]
		}
		if at != s.names[0] {
			t.Errorf("seed %d: the way from %s does not end at the root", seed, name)
		}
	}
}

// TestRandomForgetful: a site whose forwarding databases have forgotten much, and
// whose LLDP is partly off, may yield less, but nothing breaks and every link that both
// ends report is right.
func TestRandomForgetful(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		s := randomSite(r)
		known, facts := s.facts(r, 0.3)
		for _, f := range facts {
			for i := range f.FDB {
				f.FDB[i].MACs = slices.DeleteFunc(f.FDB[i].MACs, func(MAC) bool { return r.IntN(3) == 0 })
			}
			f.FDB = slices.DeleteFunc(f.FDB, func(p Forwards) bool { return len(p.MACs) == 0 })
		}
		g := Build(known, facts)
		if again := Build(known, facts); cmp.Diff(g.Links, again.Links) != "" || cmp.Diff(g.Hosts, again.Hosts) != "" {
			t.Errorf("seed %d: the same facts give another graph", seed)
		}
		truth, _ := s.truth()
		for _, l := range g.Links {
			ends := []string{l.A.Node + " " + l.A.Port, l.B.Node + " " + l.B.Port}
			slices.Sort(ends)
			if l.Confidence == High && g.Node(l.B.Node).Kind != KindSegment && !slices.Contains(truth, strings.Join(ends, " - ")) && l.A.Port != "" && l.B.Port != "" && g.Node(l.A.Node).Kind != KindSegment {
				t.Errorf("seed %d: %v: %v", seed, ends, l)
			}
		}
		g.Parents(s.names[0])
	}
}
