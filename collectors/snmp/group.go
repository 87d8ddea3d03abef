package snmp

import "time"

// group is what is read at one interval that is longer than that of polls.
type group struct {
	every time.Duration
	last  time.Time
	due   bool
}

// groupsOf lists the intervals of a plan.
func groupsOf(p *plan) (gs []group) {
	seen := map[time.Duration]bool{0: true}
	for _, t := range append([]tablePlan{p.scalars}, p.tables...) {
		for i := range t.objects {
			if every := t.objects[i].interval; !seen[every] {
				seen[every] = true
				gs = append(gs, group{every: every})
			}
		}
	}
	return gs
}

// startGroups finds out what is due in this poll. Polls jitter, so that one which
// comes a little early counts.
func (c *Collector) startGroups() {
	for i := range c.groups {
		g := &c.groups[i]
		g.due = g.last.IsZero() || c.start.Sub(g.last) >= g.every-g.every/20
	}
}

// ranGroups notes that what was due was read.
func (c *Collector) ranGroups() {
	for i := range c.groups {
		if g := &c.groups[i]; g.due {
			g.last = c.start
		}
	}
}

func (c *Collector) due(every time.Duration) bool {
	if every == 0 {
		return true
	}
	for i := range c.groups {
		if c.groups[i].every == every {
			return c.groups[i].due
		}
	}
	return true
}
