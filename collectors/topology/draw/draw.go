// Package draw shows a [topology.Graph] to people: as a tree of text and as an SVG.
// Both begin at one node, the root, and put every other below the one by which it is
// reached; links beside the tree, and devices without any, come last.
//
// What devices say of themselves is in it, so all text is made fit for a terminal or
// escaped.
package draw

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/topology"
)

// Options say what is drawn.
type Options struct {
	Root string // where the tree begins
	All  bool   // also telephones and hosts that devices hear by LLDP; otherwise they are counted
}

// branch is a node of the tree with the link by which it is reached.
type branch struct {
	node     *topology.Node
	up, down topology.End // the link's ends: the parent's and its own
	link     *topology.Link
	children []*branch
	hidden   int // hosts that are left out
	hosts    int // MACs that are plugged in, as far as that is known
}

// tree is a whole drawing.
type tree struct {
	trees []*branch
	alone []*topology.Node // devices of the site without links
	rest  []topology.Link  // beside the trees
	notes []string
	depth int
}

// treeOf lays a graph out as trees, the first of which begins at the root.
func treeOf(g *topology.Graph, o Options) *tree {
	t := &tree{notes: g.Notes}
	links := map[string][]int{}
	for i := range g.Links {
		l := &g.Links[i]
		links[l.A.Node] = append(links[l.A.Node], i)
		if l.B.Node != l.A.Node {
			links[l.B.Node] = append(links[l.B.Node], i)
		}
	}
	hosts := map[string]int{}
	for i := range g.Hosts {
		hosts[g.Hosts[i].Node]++
	}
	seen, used := map[string]bool{}, map[int]bool{}
	grow := func(root *topology.Node) {
		first := &branch{node: root, hosts: hosts[root.ID]}
		seen[root.ID] = true
		t.trees = append(t.trees, first)
		level := []*branch{first}
		for depth := 0; len(level) > 0; depth++ {
			t.depth = max(t.depth, depth)
			var next []*branch
			for _, b := range level {
				for _, i := range links[b.node.ID] {
					l := &g.Links[i]
					up, down := l.A, l.B
					if up.Node != b.node.ID {
						up, down = down, up
					}
					child := g.Node(down.Node)
					if child == nil || seen[child.ID] {
						continue
					}
					seen[child.ID], used[i] = true, true
					if !o.All && station(child, len(links[child.ID])) {
						b.hidden++
						continue
					}
					c := &branch{node: child, up: up, down: down, link: l, hosts: hosts[child.ID]}
					b.children = append(b.children, c)
					next = append(next, c)
				}
				slices.SortStableFunc(b.children, func(x, y *branch) int {
					return cmp.Or(x.up.IfIndex-y.up.IfIndex, cmp.Compare(x.up.Port, y.up.Port), cmp.Compare(x.node.Name, y.node.Name))
				})
			}
			level = next
		}
	}
	if root := g.Node(o.Root); root != nil {
		grow(root)
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		switch {
		case seen[n.ID]:
		case len(links[n.ID]) > 0:
			grow(n)
		case n.Kind == topology.KindDevice:
			t.alone = append(t.alone, n)
		}
	}
	for i := range g.Links {
		if !used[i] {
			t.rest = append(t.rest, g.Links[i])
		}
	}
	return t
}

// others counts what is left out of a drawing.
func others(n int) string {
	if n == 1 {
		return "1 telephone or host"
	}
	return strconv.Itoa(n) + " telephones or hosts"
}

// station tells whether a node is only at the end of one link, and nobody's device.
func station(n *topology.Node, links int) bool {
	return n.Kind == topology.KindNeighbour && !n.Bridges && links == 1
}

// port writes an end's port with the members of a bundle.
func port(e topology.End) string {
	s := clean(e.Port, 40)
	for i, m := range e.Members {
		switch {
		case i == 0:
			s += " ("
		default:
			s += ", "
		}
		s += clean(m, 24)
		if i == 3 && len(e.Members) > 4 {
			s += ", ..."
			break
		}
	}
	if len(e.Members) > 0 {
		s += ")"
	}
	return s
}

// speed writes the lower speed of both ends that is known.
func speed(l *topology.Link) string {
	if l == nil {
		return ""
	}
	bps := l.A.Speed
	if b := l.B.Speed; bps == 0 || b != 0 && b < bps {
		bps = b
	}
	for _, unit := range []struct {
		of   uint64
		name string
	}{{1e9, "Gbit/s"}, {1e6, "Mbit/s"}, {1e3, "kbit/s"}} {
		if bps >= unit.of {
			return strconv.FormatFloat(float64(bps)/float64(unit.of), 'f', -1, 64) + " " + unit.name
		}
	}
	return ""
}

func clean(s string, n int) string { return collectors.Printable(shorten(s, n)) }

// shorten cuts text to n characters.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// about is what a node is, in few words.
func about(n *topology.Node) string {
	switch {
	case n.Descr != "":
		return n.Descr
	case len(n.Addresses) > 0:
		return n.Addresses[0].String()
	case n.Chassis != "" && n.Chassis != n.Name:
		return n.Chassis
	case n.Phone:
		return "telephone"
	}
	return ""
}
