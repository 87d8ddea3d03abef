package schedule

import (
	"container/heap"
	"slices"

	"github.com/siteprobe/siteprobe/collectors"
)

// wakes is the heap of all entries, the one to be looked at first on top.
type wakes []*entry

func (w wakes) Len() int           { return len(w) }
func (w wakes) Less(i, j int) bool { return w[i].wake < w[j].wake }
func (w wakes) Swap(i, j int)      { w[i], w[j] = w[j], w[i]; w[i].index, w[j].index = i, j }
func (w *wakes) Push(x any)        { e := x.(*entry); e.index = len(*w); *w = append(*w, e) }
func (w *wakes) Pop() any {
	old := *w
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	return e
}

func (w *wakes) move(e *entry, at collectors.Stamp) {
	if e.wake != at {
		e.wake = at
		heap.Fix(w, e.index)
	}
}

// queue holds the entries whose slot is due and which wait for a worker, first
// come first served, except that one whose group is at its limit stands aside
// until the group has room. An entry in ready, and each run after it, has a claim
// on its group.
type queue struct {
	perGroup int
	ready    []*entry
	groups   map[string]*group
}

type group struct {
	claims  int
	waiting []*entry
}

func (q *queue) push(e *entry) {
	e.queuedAs = e.job.groupKey()
	g := q.groups[e.queuedAs]
	if g == nil {
		g = new(group)
		q.groups[e.queuedAs] = g
	}
	if e.aside = g.claims >= q.perGroup; e.aside {
		g.waiting = append(g.waiting, e)
		return
	}
	g.claims++
	q.ready = append(q.ready, e)
}

// pop returns the next entry that may run, or nil. Its claim on e.queuedAs passes
// to the caller, who owes a release.
func (q *queue) pop() *entry {
	if len(q.ready) == 0 {
		return nil
	}
	e := q.ready[0]
	q.ready[0] = nil
	q.ready = q.ready[1:]
	return e
}

// release gives back a claim, to the first that waits for it.
func (q *queue) release(key string) {
	g := q.groups[key]
	if len(g.waiting) > 0 {
		e := g.waiting[0]
		g.waiting = slices.Delete(g.waiting, 0, 1)
		e.aside = false
		q.ready = append(q.ready, e)
		return
	}
	if g.claims--; g.claims == 0 {
		delete(q.groups, key)
	}
}

// remove takes a queued entry out.
func (q *queue) remove(e *entry) {
	if e.aside {
		g := q.groups[e.queuedAs]
		if i := slices.Index(g.waiting, e); i >= 0 {
			g.waiting = slices.Delete(g.waiting, i, i+1)
		}
		return
	}
	if i := slices.Index(q.ready, e); i >= 0 {
		q.ready = slices.Delete(q.ready, i, i+1)
		q.release(e.queuedAs)
	}
}
