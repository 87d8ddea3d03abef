package hub

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
)

// Proof is what the hub can prove of one site, each batch counted once: stored,
// else downsampled, else dropped, else pending, else lost. Under `ack: broker` a
// site sends no accounts, and Proved says that nothing is.
type Proof struct {
	Site        string    `json:"site"`
	Expected    uint64    `json:"expected"`
	Stored      uint64    `json:"stored"`
	Downsampled uint64    `json:"downsampled"`
	Dropped     []Dropped `json:"dropped"`
	Pending     uint64    `json:"pending"`
	Lost        uint64    `json:"lost"`
	Redelivered int64     `json:"redelivered"`
	Complete    bool      `json:"complete"` // all that is expected is stored
	Proved      bool      `json:"proved"`   // there is an account: without one only what came is known
	AsOf        string    `json:"as_of"`    // of the newest account, RFC 3339
	Blocks      int64     `json:"blocks"`
	Cloned      bool      `json:"cloned"` // two boxes go on from one disk

	Sources []SourceProof `json:"sources,omitempty"`
}

// Dropped is batches that the box let go of, and why.
type Dropped struct {
	Source string `json:"source"`
	Epoch  string `json:"epoch"`
	First  uint64 `json:"first"`
	Count  uint64 `json:"count"`
	From   string `json:"from,omitempty"` // RFC 3339, where known
	To     string `json:"to,omitempty"`
	Reason string `json:"reason"`
}

// SourceProof is the proof of one source in one epoch.
type SourceProof struct {
	Source      string       `json:"source"`
	Epoch       string       `json:"epoch"`
	Expected    uint64       `json:"expected"`
	Stored      uint64       `json:"stored"`
	Downsampled uint64       `json:"downsampled"`
	Dropped     uint64       `json:"dropped"`
	Pending     uint64       `json:"pending"`
	Lost        uint64       `json:"lost"`
	LostRanges  block.Ranges `json:"lost_ranges,omitempty"`
}

// Verify proves what it can of a site. From and to (Unix ms; 0: no bound) choose
// the epochs that lived in that time: what is missing has no time of its own.
func Verify(st *store.Store, probe string, from, to int64, bySource bool) (*Proof, error) {
	p := &Proof{Site: probe, Dropped: []Dropped{}}
	err := st.View(func(tx *store.Tx) error {
		id, err := tx.FindProbe(probe)
		if err != nil {
			return err
		}
		if id == 0 {
			return ErrUnknownSite
		}
		epochs, err := chosenEpochs(tx, id, from, to)
		if err != nil {
			return err
		}
		var newest int64
		for _, epoch := range epochs {
			if err := p.epoch(tx, id, epoch, &newest, bySource); err != nil {
				return err
			}
		}
		if newest > 0 {
			p.Proved, p.AsOf = true, rfc3339(newest)
		}
		if p.Cloned, err = tx.Cloned(id); err != nil {
			return err
		}
		was, err := tx.Meta("redelivered:" + probe)
		if err != nil {
			return err
		}
		p.Redelivered, _ = strconv.ParseInt(was, 10, 64) // empty: none
		p.Blocks, err = tx.CountBlocks(id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("verifying %s: %w", probe, err)
	}
	p.Complete = p.Proved && p.Stored+p.Downsampled == p.Expected
	return p, nil
}

// ErrUnknownSite says that nothing ever came from a site of that name.
var ErrUnknownSite = errors.New("nothing ever came from a site of this name (it is TENANT/SITE)")

func chosenEpochs(tx *store.Tx, probe int64, from, to int64) ([]uint64, error) {
	ids, err := tx.HaveEpochs(probe)
	if err != nil || (from == 0 && to == 0) {
		return ids, err
	}
	rows, err := tx.Epochs(probe)
	if err != nil {
		return nil, err
	}
	// Where a start is not known, the epoch before may have lasted until the next.
	rows = slices.DeleteFunc(rows, func(e store.Epoch) bool { return e.Start == 0 })
	end := map[uint64]int64{}
	start := map[uint64]int64{}
	for i, e := range rows {
		start[e.ID], end[e.ID] = e.Start, 1<<60
		if i+1 < len(rows) {
			end[e.ID] = rows[i+1].Start
		}
	}
	return slices.DeleteFunc(ids, func(id uint64) bool {
		s, known := start[id]
		return known && ((to != 0 && s > to) || end[id] < from)
	}), nil
}

func (p *Proof) epoch(tx *store.Tx, probe int64, epoch uint64, newest *int64, bySource bool) error {
	have, err := tx.Have(probe, epoch)
	if err != nil {
		return err
	}
	accounted := map[string]store.Accounted{}
	err = tx.AccountedOf(probe, epoch, func(a store.Accounted) error {
		accounted[a.Source] = a
		*newest = max(*newest, a.At)
		return nil
	})
	if err != nil {
		return err
	}
	gaps := map[string][]store.Gap{}
	if err := tx.GapsOf(probe, epoch, func(g store.Gap) error { gaps[g.Source] = append(gaps[g.Source], g); return nil }); err != nil {
		return err
	}
	sources := map[string]bool{}
	for _, h := range have {
		for s := range h {
			sources[s] = true
		}
	}
	for s := range accounted {
		sources[s] = true
	}
	name := fmt.Sprintf("%016x", epoch)
	for _, source := range slices.Sorted(maps.Keys(sources)) {
		a := accounted[source]
		stored := have[block.Raw][source]
		var coarse block.Ranges
		for t, h := range have {
			if t != block.Raw {
				coarse = coarse.Union(h[source])
			}
		}
		end := max(a.Next, stored.End(), coarse.End())
		rest := block.Ranges{{First: 0, End: end}}.Subtract(stored)
		x := SourceProof{Source: source, Epoch: name, Expected: end, Stored: end - rest.Count()}
		take := func(r block.Ranges) uint64 {
			before := rest.Count()
			rest = rest.Subtract(r)
			return before - rest.Count()
		}
		x.Downsampled = take(coarse)
		for _, g := range gaps[source] {
			for _, r := range rest.Intersect(block.Ranges{g.Range}) {
				d := Dropped{Source: source, Epoch: name, First: r.First, Count: r.End - r.First, Reason: g.Reason}
				if g.T0 != 0 {
					d.From, d.To = rfc3339(g.T0), rfc3339(g.T1)
				}
				p.Dropped = append(p.Dropped, d)
			}
			x.Dropped += take(block.Ranges{g.Range})
		}
		x.Pending = take(a.Pending)
		x.Lost, x.LostRanges = rest.Count(), rest
		p.Expected += x.Expected
		p.Stored += x.Stored
		p.Downsampled += x.Downsampled
		p.Pending += x.Pending
		p.Lost += x.Lost
		if bySource {
			p.Sources = append(p.Sources, x)
		}
	}
	return nil
}

func rfc3339(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
