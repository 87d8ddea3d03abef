package main

import (
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/collectors/topology"
)

// wiring is what of the topology incidents need. It is worked out when asked for, and
// only if something has changed.
type wiring struct {
	store *topology.Store

	mu    sync.Mutex
	known []topology.Known
	tops  []string
	dirty bool
	at    time.Time // of the newest fact that it was worked out of
	count int
	last  incident.Wiring
}

func (w *wiring) set(known []topology.Known, tops []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known, w.tops, w.dirty = known, tops, true
}

// read gives who stands behind whom, and which ports lead to others.
func (w *wiring) read() incident.Wiring {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.store == nil {
		return w.last
	}
	var names []string
	for _, k := range w.known {
		names = append(names, k.Name)
	}
	facts := w.store.Facts(names...)
	var newest time.Time
	for _, f := range facts {
		if f.At.After(newest) {
			newest = f.At
		}
	}
	if !w.dirty && newest.Equal(w.at) && len(facts) == w.count {
		return w.last
	}
	w.dirty, w.at, w.count = false, newest, len(facts)
	g := topology.Build(w.known, facts)
	w.last = incident.Wiring{Parents: parentsOf(g, w.known, w.tops), Uplinks: uplinksOf(g, w.known)}
	return w.last
}
