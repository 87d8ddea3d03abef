package topology

import (
	"cmp"
	"slices"
)

// maxEvidence is how many reasons a link has at most.
const maxEvidence = 6

// wire turns segments into links.
func (b *builder) wire() {
	b.linkEnd = make([]bool, len(b.ends))
	b.hub = map[int]int{}
	reports := map[int][]report{}
	var order []int
	for _, r := range b.said {
		s := b.segment(r.a)
		if reports[s] == nil {
			order = append(order, s)
		}
		reports[s] = append(reports[s], r)
	}
	for _, s := range order {
		b.wireSegment(reports[s])
	}
	b.strays()
}

func (b *builder) wireSegment(reports []report) {
	known := b.knownEnds(reports)
	infra, forwarding := map[int]bool{}, map[int]bool{}
	var ends []int
	for i := range reports {
		r := &reports[i]
		r.a, r.b = known(r.a), known(r.b)
		for _, e := range []int{r.a, r.b} {
			node := b.ends[e].node
			if b.g.Nodes[node].Bridges {
				infra[node] = true
			}
			if f := b.facts[node]; f != nil && len(f.FDB) > 0 {
				forwarding[node] = true
			}
			if !slices.Contains(ends, e) {
				ends = append(ends, e)
			}
		}
	}
	if len(forwarding) > 1 {
		for _, e := range ends {
			b.linkEnd[e] = true
		}
	}
	if len(infra) > 2 {
		b.share(ends, reports)
		return
	}
	type way struct{ a, b int }
	links := map[way]*Link{}
	both := map[way]uint8{}
	var order []way
	for _, r := range reports {
		w, side := way{r.a, r.b}, uint8(1)
		if w.a > w.b {
			w, side = way{r.b, r.a}, 2
		}
		if w.a == w.b {
			continue
		}
		l := links[w]
		if l == nil {
			l = &Link{A: b.endOfLink(w.a), B: b.endOfLink(w.b), Confidence: Low}
			links[w] = l
			order = append(order, w)
		}
		if r.how == heard {
			both[w] |= side
		}
		l.Confidence = better(l.Confidence, r.how.confidence())
		if both[w] == 3 {
			l.Confidence = High
		}
		l.because(r.evidence)
	}
	for _, w := range order {
		b.g.Links = append(b.g.Links, *links[w])
	}
}

func (h how) confidence() Confidence {
	if h == oneSees {
		return Low
	}
	return Medium
}

func better(a, b Confidence) Confidence {
	if a == High || b == High {
		return High
	}
	if a == Medium || b == Medium {
		return Medium
	}
	return Low
}

func (l *Link) because(evidence string) {
	if len(l.Evidence) < maxEvidence && !slices.Contains(l.Evidence, evidence) {
		l.Evidence = append(l.Evidence, evidence)
	}
}

// knownEnds lets a node's end that nobody could name be the one that is named, where
// there is one.
func (b *builder) knownEnds(reports []report) func(int) int {
	named := map[int][]int{}
	for _, r := range reports {
		for _, e := range []int{r.a, r.b} {
			if node := b.ends[e].node; b.ends[e].ifIndex != 0 && !slices.Contains(named[node], e) {
				named[node] = append(named[node], e)
			}
		}
	}
	return func(e int) int {
		if all := named[b.ends[e].node]; b.ends[e].ifIndex == 0 && len(all) == 1 {
			return all[0]
		}
		return e
	}
}

// share makes a node of a segment that several bridges are on.
func (b *builder) share(ends []int, reports []report) {
	if len(b.g.Nodes) >= maxNodes {
		return
	}
	slices.SortFunc(ends, func(x, y int) int {
		return cmp.Or(cmp.Compare(b.g.Nodes[b.ends[x].node].ID, b.g.Nodes[b.ends[y].node].ID), b.ends[x].ifIndex-b.ends[y].ifIndex, cmp.Compare(b.label(x), b.label(y)))
	})
	first := ends[0]
	for _, e := range ends {
		if b.facts[b.ends[e].node] != nil { // a device that was asked keeps its name
			first = e
			break
		}
	}
	hub := b.node(Node{ID: string(KindSegment) + ":" + b.g.Nodes[b.ends[first].node].ID + " " + b.label(first), Kind: KindSegment,
		Name: "unknown switch at " + b.place(first)}, nil)
	for _, e := range ends {
		l := Link{A: b.endOfLink(e), B: End{Node: b.g.Nodes[hub].ID}, Confidence: Low}
		for _, r := range reports {
			if r.a == e || r.b == e {
				l.Confidence = better(l.Confidence, r.how.confidence())
				l.because(r.evidence)
			}
		}
		b.hub[e] = hub
		b.g.Links = append(b.g.Links, l)
	}
}

func (b *builder) endOfLink(i int) End {
	e := b.ends[i]
	out := End{Node: b.g.Nodes[e.node].ID, Port: b.label(i), IfIndex: e.ifIndex}
	if f := b.facts[e.node]; f != nil {
		if n := f.byIndex(e.ifIndex); n != nil {
			out.Speed = n.Speed
		}
	}
	out.Members = slices.Sorted(slices.Values(b.members[i]))
	return out
}

// strays links bridges that have no link yet to where they are seen with the fewest
// others.
func (b *builder) strays() {
	linked := map[string]bool{}
	for _, l := range b.g.Links {
		linked[l.A.Node], linked[l.B.Node] = true, true
	}
	for _, y := range b.bridges {
		if linked[b.g.Nodes[y].ID] {
			continue
		}
		best := -1
		for _, x := range b.bridges {
			if p, ok := b.towards[[2]int{x, y}]; ok && (best < 0 || b.load[p] < b.load[best]) {
				best = p
			}
		}
		if best < 0 {
			continue
		}
		l := Link{A: b.endOfLink(best), B: End{Node: b.g.Nodes[y].ID}, Confidence: Low}
		l.because("FDB: " + b.place(best) + " sees " + b.g.Nodes[y].Name + " somewhere behind")
		b.g.Links = append(b.g.Links, l)
		b.linkEnd[best] = true
	}
}
