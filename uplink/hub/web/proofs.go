package web

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/uplink/hub"
)

// Proofs are kept for a while: one is a pass over all that a site ever accounted
// for, and a page of all sites needs all of them.
const (
	proofAge  = 20 * time.Second
	maxProofs = 16 // whole ones, which may be large; of all others there is a summary
)

// summary is a proof in a few numbers of batches.
type summary struct {
	hub.Proof      // without its lists
	DroppedBatches uint64
	Recent         uint64         // of those dropped, from the last seven days or of an unknown time
	Reasons        map[string]int // why, and how many ranges; at most maxReasons
}

const maxReasons = 8

// Kept is how many batches are stored in any form.
func (s *summary) Kept() uint64 { return s.Stored + s.Downsampled }

// proofs verifies sites and remembers the outcome. Its methods are safe for use by
// several goroutines.
type proofs struct {
	st  *store.Store
	now func() time.Time

	mu    sync.Mutex
	sites map[string]*proofEntry
}

type proofEntry struct {
	mu    sync.Mutex // held while verifying: others wait for the outcome
	at    time.Time
	brief *summary
	whole *hub.Proof // nil where it was let go of
}

func newProofs(st *store.Store, now func() time.Time) *proofs {
	return &proofs{st: st, now: now, sites: map[string]*proofEntry{}}
}

func (p *proofs) entry(probe string) *proofEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.sites[probe]
	if e == nil {
		e = &proofEntry{}
		p.sites[probe] = e
	}
	return e
}

// forget lets go of a site: anybody may ask for sites that there are not.
func (p *proofs) forget(probe string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sites, probe)
}

// whole returns a site's proof with each source. It must not be changed.
func (p *proofs) whole(probe string) (*hub.Proof, *summary, error) {
	e := p.entry(probe)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.whole == nil || p.now().Sub(e.at) >= proofAge {
		if err := p.verify(probe, e); err != nil {
			p.forget(probe)
			return nil, nil, err
		}
	}
	return e.whole, e.brief, nil
}

func (p *proofs) verify(probe string, e *proofEntry) error {
	x, err := hub.Verify(p.st, probe, 0, 0, true)
	if err != nil {
		return err
	}
	e.at, e.whole, e.brief = p.now(), x, summarise(x, p.now())
	return nil
}

func summarise(x *hub.Proof, now time.Time) *summary {
	s := &summary{Proof: *x, Reasons: map[string]int{}}
	s.Proof.Dropped, s.Proof.Sources = nil, nil
	for _, d := range x.Dropped {
		s.DroppedBatches += d.Count
		if to := clock(d.To); to.IsZero() || now.Sub(to) < 7*24*time.Hour {
			s.Recent += d.Count
		}
		if _, ok := s.Reasons[d.Reason]; ok || len(s.Reasons) < maxReasons {
			s.Reasons[d.Reason]++
		}
	}
	return s
}

// briefs returns the summaries of many sites. It verifies those that were not
// looked at for longest first, until ctx is done; what is left shows its last
// summary, or has none yet.
func (p *proofs) briefs(ctx context.Context, probes []string) (map[string]*summary, error) {
	type item struct {
		probe string
		e     *proofEntry
		at    time.Time
	}
	items := make([]item, len(probes))
	for i, name := range probes {
		e := p.entry(name)
		e.mu.Lock()
		items[i] = item{name, e, e.at}
		e.mu.Unlock()
	}
	slices.SortStableFunc(items, func(a, b item) int { return a.at.Compare(b.at) })
	out := map[string]*summary{}
	for _, x := range items {
		x.e.mu.Lock()
		if p.now().Sub(x.e.at) >= proofAge && ctx.Err() == nil {
			if err := p.verify(x.probe, x.e); err != nil {
				x.e.mu.Unlock()
				return nil, err
			}
		}
		out[x.probe] = x.e.brief
		x.e.mu.Unlock()
	}
	p.letGo()
	return out, nil
}

// letGo keeps the newest whole proofs only.
func (p *proofs) letGo() {
	p.mu.Lock()
	entries := make([]*proofEntry, 0, len(p.sites))
	for _, e := range p.sites {
		entries = append(entries, e)
	}
	p.mu.Unlock()
	type aged struct {
		e  *proofEntry
		at time.Time
	}
	var kept []aged
	for _, e := range entries {
		e.mu.Lock()
		if e.whole != nil {
			kept = append(kept, aged{e, e.at})
		}
		e.mu.Unlock()
	}
	slices.SortFunc(kept, func(a, b aged) int { return cmp.Compare(b.at.UnixNano(), a.at.UnixNano()) })
	for _, x := range kept[min(maxProofs, len(kept)):] {
		x.e.mu.Lock()
		x.e.whole = nil
		x.e.mu.Unlock()
	}
}
