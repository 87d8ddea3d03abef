package topology

import "slices"

// Parents gives for every node that can be reached from root the nodes before it on
// the shortest ways there, all of them where there are several: when all of a node's
// parents are down, so is what is known of the node. Segments, which nobody can ask,
// are left out: their parents stand for them. Circles do no harm. Nodes that cannot
// be reached, and the root, have none.
func (g *Graph) Parents(root string) map[string][]string {
	distance, next := g.distances(root)
	var over func(id string, seen map[string]bool) []string
	over = func(id string, seen map[string]bool) (out []string) {
		for _, n := range next[id] {
			if d, ok := distance[n]; !ok || d != distance[id]-1 || seen[n] {
				continue
			}
			seen[n] = true
			if node := g.Node(n); node != nil && node.Kind == KindSegment {
				out = append(out, over(n, seen)...)
				continue
			}
			out = append(out, n)
		}
		return out
	}
	parents := map[string][]string{}
	for id := range distance {
		node := g.Node(id)
		if id == root || node == nil || node.Kind == KindSegment {
			continue
		}
		if all := over(id, map[string]bool{}); len(all) > 0 {
			slices.Sort(all)
			parents[id] = all
		}
	}
	return parents
}

// distances counts links from root. A telephone forwards what is plugged into it, but
// nothing else stands behind a host.
func (g *Graph) distances(root string) (distance map[string]int, next map[string][]string) {
	distance, next = map[string]int{}, map[string][]string{}
	for _, l := range g.Links {
		if l.A.Node != l.B.Node {
			next[l.A.Node] = append(next[l.A.Node], l.B.Node)
			next[l.B.Node] = append(next[l.B.Node], l.A.Node)
		}
	}
	for id := range next {
		slices.Sort(next[id])
		next[id] = slices.Compact(next[id])
	}
	if g.Node(root) == nil {
		return distance, next
	}
	distance[root] = 0
	for queue := []string{root}; len(queue) > 0; queue = queue[1:] {
		for _, n := range next[queue[0]] {
			if _, ok := distance[n]; !ok {
				distance[n] = distance[queue[0]] + 1
				queue = append(queue, n)
			}
		}
	}
	return distance, next
}

// Root picks the node that a drawing begins at: the first of those preferred that has
// links, or of the devices that have links the one that most others are linked to, one
// that has answered itself before one that is only heard of.
func (g *Graph) Root(prefer ...string) string {
	count := map[string]int{}
	for _, l := range g.Links {
		count[l.A.Node]++
		count[l.B.Node]++
	}
	for _, id := range prefer {
		if count[id] > 0 {
			return id
		}
	}
	var best *Node
	better := func(n *Node) bool {
		if best == nil || (count[n.ID] > 0) != (count[best.ID] > 0) {
			return best == nil || count[n.ID] > 0
		}
		if n.Asked != best.Asked {
			return n.Asked
		}
		return count[n.ID] > count[best.ID]
	}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; n.Kind != KindSegment && better(n) {
			best = n
		}
	}
	if best == nil {
		return ""
	}
	return best.ID
}
