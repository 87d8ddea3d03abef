package sla

import (
	"cmp"

	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// Class is what a moment of a service is.
type Class uint8

// The classes.
const (
	Unmeasured Class = iota
	Up
	Down
	Excluded
)

func (c Class) String() string {
	switch c {
	case Up:
		return "up"
	case Down:
		return "down"
	case Excluded:
		return "excluded"
	}
	return "unmeasured"
}

// state is what a source or a service is for a while.
type state struct {
	class    Class
	owner    diagnosis.Owner // of a Down
	incident string          // of a Down, and of what an incident hides
	off      bool            // of an Unmeasured: the box did not measure at all
}

// step is a state and since when; it lasts until the next one.
type step struct {
	at int64
	state
}

// timeline is a source's or a service's steps in order; before the first one nothing is
// known.
type timeline []step

// set says what is so from at on, whatever was said of the time after it.
func (t timeline) set(at int64, s state) timeline {
	for len(t) > 0 && t[len(t)-1].at >= at {
		t = t[:len(t)-1]
	}
	if len(t) == 0 && s == (state{}) || len(t) > 0 && t[len(t)-1].state == s {
		return t
	}
	return append(t, step{at, s})
}

// cover lays a state over intervals, which are in order and apart from one another.
func (t timeline) cover(by []interval, s state) (out timeline) {
	out = make(timeline, 0, len(t)+2*len(by))
	under, i := state{}, 0 // what is below, and the next step
	for _, x := range by {
		for ; i < len(t) && t[i].at < x.from; i++ {
			under = t[i].state
			out = out.set(t[i].at, under)
		}
		out = out.set(x.from, s)
		for ; i < len(t) && t[i].at <= x.to; i++ {
			under = t[i].state
		}
		out = out.set(x.to, under)
	}
	for ; i < len(t); i++ {
		out = out.set(t[i].at, t[i].state)
	}
	return out
}

// source is the timeline of one source.
func (h *History) source(name string) timeline {
	var t timeline
	for _, e := range h.edges[name] {
		t = t.set(e.at, e.state)
	}
	t = t.cover(h.off, state{class: Unmeasured, off: true})
	var windows []interval
	for i := range h.Windows {
		if w := &h.Windows[i]; w.covers(name) {
			windows = append(windows, interval{w.From, w.To})
		}
	}
	return t.cover(ordered(windows), state{class: Excluded})
}

// service is the timeline of a service: what its sources come to whenever one of them
// changes.
func (h *History) service(a *Agreement, s *Service) timeline {
	all := make([]timeline, 0, len(s.Needs)+len(s.Any))
	for _, n := range s.Needs {
		all = append(all, h.source(n))
	}
	for _, n := range s.Any {
		all = append(all, h.source(n))
	}
	now := make([]state, len(all))
	next := make([]int, len(all))
	var out timeline
	for {
		at := int64(never)
		for i, t := range all {
			if next[i] < len(t) {
				at = min(at, t[next[i]].at)
			}
		}
		if at == never {
			return out
		}
		for i, t := range all {
			if next[i] < len(t) && t[next[i]].at == at {
				now[i] = t[next[i]].state
				next[i]++
			}
		}
		out = out.set(at, a.combine(now[:len(s.Needs)], now[len(s.Needs):]))
	}
}

// combine is what a service is when the sources that it needs, and those of which any
// one will do, are so.
func (a *Agreement) combine(needs, any []state) state {
	worst := state{class: Up}
	if len(any) > 0 {
		worst = any[0]
		for _, s := range any[1:] {
			worst = a.pick(worst, s, bestOf)
		}
	}
	for _, s := range needs {
		worst = a.pick(worst, s, worstOf)
	}
	return worst
}

// bestOf and worstOf say which class decides: the higher one.
func bestOf(c Class) int {
	return [...]int{Up: 3, Unmeasured: 2, Excluded: 1, Down: 0}[c]
}

func worstOf(c Class) int {
	return [...]int{Excluded: 3, Down: 2, Unmeasured: 1, Up: 0}[c]
}

// pick is the one of two states that decides.
func (a *Agreement) pick(x, y state, weight func(Class) int) state {
	wx, wy := weight(x.class), weight(y.class)
	switch {
	case wx > wy:
		return x
	case wy > wx:
		return y
	case x.class == Down && a.rank[y.owner] < a.rank[x.owner]:
		return y
	case x.class == Unmeasured && y.off: // the plainer reason
		return y
	}
	return x
}

func compare(a, b int64, x, y string) int { return cmp.Or(cmp.Compare(a, b), cmp.Compare(x, y)) }
