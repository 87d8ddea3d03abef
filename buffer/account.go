package buffer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
)

// Account says which batches exist and what became of each: what the hub checks
// its own holdings against. It may speak of a part of the epochs and sources, and
// of a part of a source's numbers.
type Account struct {
	Probe string
	Lines []AccountLine
}

// AccountLine speaks of the numbers From to Next-1 of one source in one epoch:
// all of them were committed. Those in neither Pending nor Gaps were delivered,
// as far as the box knows.
type AccountLine struct {
	Epoch      uint64
	EpochStart int64  // wall time, Unix ms; 0: not known
	Prev, N    uint64 // of the epoch, see store.Epoch
	Source     string
	From, Next uint64
	Pending    []TierRanges
	Gaps       []store.Gap // Epoch and Source are the line's
}

// TierRanges is batches of one tier.
type TierRanges struct {
	Tier block.Tier
	block.Ranges
}

// Answer is the hub's answer to an account, worked out from the account and the
// hub's holdings alone.
type Answer struct {
	Hub   string // the hub's database: another one holds other blocks
	Lines []AnswerLine
}

// AnswerLine tells of one source in one epoch.
type AnswerLine struct {
	Epoch  uint64
	Source string
	Has    []TierRanges // of what was pending: it is stored, in this tier
	Want   block.Ranges // neither stored nor pending nor gone
}

// Reasons of gaps that an answer finds.
const (
	ReasonGone          = "gone"            // committed once, but neither here nor at the hub
	ReasonBeforeThisHub = "before this hub" // delivered to another hub, and evicted since
)

// maxRanges bounds how many ranges one line holds; a source with more becomes
// several lines.
const maxRanges = 500

// Scope chooses what an account is about.
type Scope int

// The scopes.
const (
	Everything Scope = iota // every epoch: on connect and daily
	Unsettled               // the current epoch and those with something pending
)

// Account tells the state of all batches, from one read transaction.
func (b *Buffer) Account(scope Scope) (*Account, error) {
	// The numbers first: what is committed meanwhile is then pending beyond next,
	// which does no harm.
	b.io.Lock()
	next := make(map[uint64]map[string]uint64, len(b.marks))
	for id, m := range b.marks {
		next[id] = maps.Clone(m.Next)
	}
	probe := b.probe
	b.io.Unlock()
	b.mu.Lock()
	current := b.epoch.ID
	b.mu.Unlock()

	type key struct {
		epoch  uint64
		source string
	}
	pending := map[key]map[block.Tier]*block.Ranges{}
	gaps := map[key][]store.Gap{}
	rows := map[uint64]store.Epoch{}
	unsettled := map[uint64]bool{current: true}
	err := b.view(func(tx *store.Tx) error {
		epochs, err := tx.Epochs(probe)
		if err != nil {
			return err
		}
		for _, e := range epochs {
			if !e.Sure {
				e.Start = 0
			}
			rows[e.ID] = e
		}
		err = tx.Rows(func(r *store.Row) error {
			unsettled[r.Epoch] = true
			for i := range r.Cover {
				k := key{r.Epoch, r.Cover[i].Source}
				if pending[k] == nil {
					pending[k] = map[block.Tier]*block.Ranges{}
				}
				if pending[k][r.Tier] == nil {
					pending[k][r.Tier] = &block.Ranges{}
				}
				pending[k][r.Tier].Push(r.Cover[i].Range())
			}
			return nil
		}, "WHERE p.seq IS NOT NULL ORDER BY b.seq")
		if err != nil {
			return err
		}
		return tx.Gaps(probe, func(g store.Gap) error {
			k := key{g.Epoch, g.Source}
			gaps[k] = append(gaps[k], g)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("making an account: %w", err)
	}
	a := &Account{Probe: b.opt.Probe}
	for _, id := range slices.Sorted(maps.Keys(next)) {
		if scope == Unsettled && !unsettled[id] {
			continue
		}
		for _, source := range sourcesOf(next[id]) {
			k := key{id, source}
			line := AccountLine{Epoch: id, EpochStart: rows[id].Start, Prev: rows[id].Prev, N: rows[id].N, Source: source, Next: next[id][source]}
			for _, g := range gaps[k] {
				// A gap is never ahead of what was committed, unless its row is damaged.
				if g.End = min(g.End, line.Next); g.First < g.End {
					line.Gaps = append(line.Gaps, g)
				}
			}
			for _, tier := range slices.Sorted(maps.Keys(pending[k])) {
				line.Pending = append(line.Pending, TierRanges{tier, *pending[k][tier]})
			}
			a.Lines = append(a.Lines, line.split()...)
		}
	}
	return a, nil
}

// split cuts a line with very many ranges into lines of consecutive numbers.
func (l AccountLine) split() (out []AccountLine) {
	for {
		cut := l.Next
		n := len(l.Gaps)
		for _, p := range l.Pending {
			n += len(p.Ranges)
			if len(p.Ranges) > maxRanges {
				cut = min(cut, p.Ranges[maxRanges].First)
			}
		}
		if len(l.Gaps) > maxRanges {
			cut = min(cut, l.Gaps[maxRanges].First)
		}
		if cut >= l.Next || cut <= l.From {
			return append(out, l)
		}
		lo, hi := l, l
		lo.Next, hi.From = cut, cut
		lo.Pending, hi.Pending, lo.Gaps, hi.Gaps = nil, nil, nil, nil
		for _, p := range l.Pending {
			below := block.Ranges{{First: l.From, End: cut}}
			if r := p.Ranges.Intersect(below); len(r) > 0 {
				lo.Pending = append(lo.Pending, TierRanges{p.Tier, r})
			}
			if r := p.Ranges.Subtract(below); len(r) > 0 {
				hi.Pending = append(hi.Pending, TierRanges{p.Tier, r})
			}
		}
		for _, g := range l.Gaps {
			if g.First < cut {
				x := g
				x.End = min(g.End, cut)
				lo.Gaps = append(lo.Gaps, x)
			}
			if g.End > cut {
				x := g
				x.First = max(g.First, cut)
				hi.Gaps = append(hi.Gaps, x)
			}
		}
		out, l = append(out, lo), hi
	}
}

// Apply acts on a hub's answer: pending blocks that the hub has become delivered,
// delivered ones that it wants become pending, and what it wants and is not here
// becomes a gap. Numbers that were never committed are ignored, so a forged or
// stale answer costs traffic at most.
func (b *Buffer) Apply(a *Answer) (Applied, error) {
	b.io.Lock()
	defer b.io.Unlock()
	b.at(PointAck)
	defer b.at(PointAcked)
	var done Applied
	said := b.said(a)
	before, err := b.hubKnownSince(a.Hub)
	if err != nil {
		return done, fmt.Errorf("applying a hub's answer: %w", err)
	}
	err = b.update(func(tx *store.Tx) error {
		for epoch, sources := range said {
			if err := b.applyEpoch(tx, epoch, sources, &done); err != nil {
				return err
			}
			if err := b.putGone(tx, epoch, sources, before[epoch], &done); err != nil {
				return err
			}
		}
		return tx.SetMeta("hub:"+a.Hub, "known")
	})
	if err != nil {
		return Applied{}, fmt.Errorf("applying a hub's answer: %w", err)
	}
	if done.Delivered > 0 {
		b.noVictim = false
		b.acked.Store(true)
	}
	if done.Wanted > 0 {
		wake(b.committed)
	}
	return done, nil
}

// said sorts an answer by epoch and source and leaves out what says nothing, which
// most of it does.
func (b *Buffer) said(a *Answer) map[uint64]map[string]*answered {
	out := map[uint64]map[string]*answered{}
	for i := range a.Lines {
		l := &a.Lines[i]
		next, ok := b.marks[l.Epoch].Next[l.Source]
		want := l.Want.Intersect(block.Ranges{{First: 0, End: next}}).Subtract(b.inMemory(l.Epoch, l.Source))
		if !ok || len(want) == 0 && len(l.Has) == 0 {
			continue
		}
		if out[l.Epoch] == nil {
			out[l.Epoch] = map[string]*answered{}
		}
		x := out[l.Epoch][l.Source]
		if x == nil {
			x = &answered{}
			out[l.Epoch][l.Source] = x
		}
		for _, h := range l.Has {
			for int(h.Tier) >= len(x.has) {
				x.has = append(x.has, nil)
			}
			x.has[h.Tier] = x.has[h.Tier].Union(h.Ranges)
		}
		x.want = x.want.Union(want)
	}
	return out
}

// inMemory is what is still to be committed although a later number is already.
func (b *Buffer) inMemory(epoch uint64, source string) (out block.Ranges) {
	for _, x := range b.unsaved {
		for i := range x.Cover {
			if c := &x.Cover[i]; x.Epoch == epoch && c.Source == source {
				out = out.Add(c.Range())
			}
		}
	}
	return out
}

// applyEpoch marks the blocks of an epoch; of what is wanted it leaves in want
// what no block here holds.
func (b *Buffer) applyEpoch(tx *store.Tx, epoch uint64, sources map[string]*answered, done *Applied) error {
	// Delivered blocks are of interest only where something is wanted.
	cond := "WHERE b.epoch=? AND p.seq IS NOT NULL"
	for _, x := range sources {
		if len(x.want) > 0 {
			cond = "WHERE b.epoch=?"
		}
	}
	return tx.Rows(func(r *store.Row) error {
		has, wanted := true, false
		for i := range r.Cover {
			x := sources[r.Cover[i].Source]
			if x == nil {
				has = false
				continue
			}
			has = has && x.covers(r.Tier, r.Cover[i].Range())
			wanted = wanted || x.want.Overlaps(r.Cover[i].Range())
		}
		if has && r.Pending {
			done.Delivered++
			return tx.DeliverRow(r)
		}
		if !wanted {
			return nil
		}
		for i := range r.Cover {
			if x := sources[r.Cover[i].Source]; x != nil {
				x.want = x.want.Subtract(block.Ranges{r.Cover[i].Range()})
			}
		}
		if r.Pending {
			return nil
		}
		done.Wanted++
		return tx.SetPending(r)
	}, cond, int64(epoch))
}

// putGone keeps gaps for what is wanted and neither here nor a gap already. Of
// numbers below before another hub had the blocks.
func (b *Buffer) putGone(tx *store.Tx, epoch uint64, sources map[string]*answered, before map[string]uint64, done *Applied) error {
	err := tx.GapsOf(b.probe, epoch, func(g store.Gap) error {
		if x := sources[g.Source]; x != nil {
			x.want = x.want.Subtract(block.Ranges{g.Range})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for source, x := range sources {
		for _, r := range x.want {
			reason := ReasonGone
			if r.End <= before[source] {
				reason = ReasonBeforeThisHub
			}
			done.Gone += int(r.End - r.First)
			if err := tx.PutGap(b.probe, store.Gap{Epoch: epoch, Source: source, Range: r, Reason: reason}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Applied counts what an answer changed: blocks, and batches that are gone.
type Applied struct{ Delivered, Wanted, Gone int }

type answered struct {
	has  []block.Ranges // by tier
	want block.Ranges
}

// covers tells whether the hub has all of r in this tier or a finer one.
func (x *answered) covers(tier block.Tier, r block.Range) bool {
	var all block.Ranges
	for t := 0; t <= int(tier) && t < len(x.has); t++ {
		all = all.Union(x.has[t])
	}
	return all.Contains(r)
}

// hubKnownSince returns, for a hub that this box has not met before, the numbers
// that existed when it was met: what is missing of them was another hub's.
func (b *Buffer) hubKnownSince(hub string) (map[uint64]map[string]uint64, error) {
	if x, ok := b.newHubs[hub]; ok {
		return x, nil
	}
	known := ""
	err := b.view(func(tx *store.Tx) (err error) {
		known, err = tx.Meta("hub:" + hub)
		return err
	})
	if err != nil {
		return nil, err
	}
	var at map[uint64]map[string]uint64
	if known == "" {
		at = map[uint64]map[string]uint64{}
		for id, m := range b.marks {
			at[id] = maps.Clone(m.Next)
		}
	}
	if len(b.newHubs) > 16 {
		b.newHubs = map[string]map[uint64]map[string]uint64{} // somebody plays tricks
	}
	b.newHubs[hub] = at
	return at, nil
}
