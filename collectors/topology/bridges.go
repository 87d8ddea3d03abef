package topology

// sight is a MAC seen at an end.
type sight struct {
	end  int
	vlan int
}

// sights reads the forwarding databases: who is seen where.
func (b *builder) sights() {
	for node := range b.facts {
		f := b.facts[node]
		if f == nil || len(f.FDB) == 0 || len(b.bridges) >= maxBridges {
			continue
		}
		b.bridges = append(b.bridges, node)
		for i := range f.FDB {
			at := &f.FDB[i]
			var e int
			if at.IfIndex != 0 {
				e = b.port(node, at.IfIndex, "")
			} else {
				e = b.at(end{node: node, text: f.label(0, at.Port)})
			}
			for _, m := range at.MACs {
				b.sight(m, e, at.VLAN)
			}
		}
	}
}

func (b *builder) sight(m MAC, e, vlan int) {
	known := false
	for _, s := range b.seen[m] {
		if s.end == e && s.vlan == vlan {
			return
		}
		known = known || s.end == e
	}
	b.seen[m] = append(b.seen[m], sight{e, vlan})
	if !known {
		b.load[e]++
	}
}

// adjacent finds bridges that are next to each other where LLDP is silent.
func (b *builder) adjacent() {
	b.lookAround()
	heardAt := b.neighboursAt()
	paired := map[[2]int]bool{} // nodes that LLDP says are linked
	for _, r := range b.said {
		paired[pair(b.ends[r.a].node, b.ends[r.b].node)] = true
	}
	var found []report
	for i, x := range b.bridges {
		for _, y := range b.bridges[i+1:] {
			if paired[pair(x, y)] {
				continue
			}
			p, sees := b.towards[[2]int{x, y}]
			q, seen := b.towards[[2]int{y, x}]
			switch {
			case sees && seen:
				if !b.between(x, y) && b.free(p, y, x, heardAt) && b.free(q, x, y, heardAt) {
					found = append(found, report{p, q, bothSee, "FDB: " + b.place(p) + " and " + b.place(q) + " see each other, and nobody is between them"})
				}
			case sees:
				found = b.oneSided(found, x, y, p, heardAt)
			case seen:
				found = b.oneSided(found, y, x, q, heardAt)
			}
		}
	}
	for _, r := range found {
		b.join(r)
	}
}

func (b *builder) oneSided(found []report, x, y, p int, heardAt map[int][]int) []report {
	if b.between(x, y) || !b.free(p, y, x, heardAt) {
		return found
	}
	there := b.at(end{node: y, opposite: p + 1})
	return append(found, report{p, there, oneSees, "FDB: " + b.place(p) + " sees " + b.g.Nodes[y].Name})
}

func pair(x, y int) [2]int {
	if x > y {
		x, y = y, x
	}
	return [2]int{x, y}
}

// lookAround finds out at which end each bridge sees each other: where most of the
// other's own MACs are.
func (b *builder) lookAround() {
	votes := map[[2]int]map[int]int{}
	for m, node := range b.ids.macs {
		if node == nobody || b.facts[node] == nil || len(b.facts[node].FDB) == 0 {
			continue
		}
		counted := map[int]bool{}
		for _, s := range b.seen[m] {
			x := b.ends[s.end].node
			if x == node || counted[s.end] {
				continue
			}
			counted[s.end] = true
			k := [2]int{x, node}
			if votes[k] == nil {
				votes[k] = map[int]int{}
			}
			votes[k][s.end]++
		}
	}
	b.towards = map[[2]int]int{}
	for k, ends := range votes {
		best := -1
		for e, n := range ends {
			if best < 0 || n > ends[best] || n == ends[best] && e < best {
				best = e
			}
		}
		b.towards[k] = best
	}
}

// between tells whether a third bridge stands between two: it sees them at different
// ports and, where they see it, it is in the other's direction.
func (b *builder) between(x, y int) bool {
	for _, z := range b.bridges {
		if z == x || z == y {
			continue
		}
		zx, seesX := b.towards[[2]int{z, x}]
		zy, seesY := b.towards[[2]int{z, y}]
		if !seesX || !seesY || zx == zy {
			continue
		}
		if b.apart(x, y, z) || b.apart(y, x, z) {
			continue
		}
		return true
	}
	return false
}

// apart tells that x sees y and z at different ports.
func (b *builder) apart(x, y, z int) bool {
	xy, seesY := b.towards[[2]int{x, y}]
	xz, seesZ := b.towards[[2]int{x, z}]
	return seesY && seesZ && xy != xz
}

// neighboursAt lists the bridges that LLDP and CDP name at each end.
func (b *builder) neighboursAt() map[int][]int {
	at := map[int][]int{}
	for _, r := range b.said {
		x, y := b.ends[r.a].node, b.ends[r.b].node
		if b.g.Nodes[y].Bridges {
			at[r.a] = append(at[r.a], y)
		}
		if b.g.Nodes[x].Bridges {
			at[r.b] = append(at[r.b], x)
		}
	}
	return at
}

// free tells whether y can be next to x at x's end p although LLDP names others
// there: those must see x and y at the same port.
func (b *builder) free(p, y, x int, heardAt map[int][]int) bool {
	for _, z := range heardAt[p] {
		if z == y {
			continue
		}
		zx, seesX := b.towards[[2]int{z, x}]
		zy, seesY := b.towards[[2]int{z, y}]
		if !seesX || !seesY || zx != zy {
			return false
		}
	}
	return true
}
