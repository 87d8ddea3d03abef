package incident

import (
	"cmp"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Told is an incident as its events tell it to whoever reads them, in wall time.
type Told struct {
	Incident
	Count               int // of all sources affected; Affected may name some of them only
	First, Opened, Last time.Time
	Closed              time.Time // zero: open, as far as is known
	Unsure              bool      // the clock was not synchronised when it was told last
}

// Tell makes incidents of their changes. Each call of Add hands it one event with its
// wall time, in any order; what is no change is left aside.
type Tell struct{ by map[string]*Told }

// Add takes an event.
func (t *Tell) Add(e *collectors.Event, at time.Time, unsure bool) {
	now := collectors.Stamp(at.UnixMilli())
	c, count, ok := ChangeOf(e, now)
	if !ok {
		return
	}
	if t.by == nil {
		t.by = map[string]*Told{}
	}
	old := t.by[c.Incident.ID]
	if old != nil && (old.Last.After(at) || old.Last.Equal(at) && !old.Closed.IsZero()) {
		return // told later
	}
	x := &Told{Incident: c.Incident, Count: count, Last: at, Unsure: unsure, First: wall(c.Incident.First), Opened: wall(c.Incident.Opened)}
	if c.What == Close {
		x.Closed = wall(c.Incident.Closed)
	}
	t.by[x.ID] = x
}

func wall(s collectors.Stamp) time.Time { return time.UnixMilli(int64(s)).UTC() }

// List returns what was told: open incidents first, then the newest.
func (t *Tell) List() []*Told {
	out := make([]*Told, 0, len(t.by))
	for _, x := range t.by {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b *Told) int {
		if a.Closed.IsZero() != b.Closed.IsZero() {
			if a.Closed.IsZero() {
				return -1
			}
			return 1
		}
		return cmp.Or(b.First.Compare(a.First), cmp.Compare(a.ID, b.ID))
	})
	return out
}
