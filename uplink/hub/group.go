package hub

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// group is one transaction's work.
type group struct {
	h       *Hub
	tx      *store.Tx
	replies map[wire.Site]*wire.Reply
	probes  map[string]int64
	have    map[epochKey]map[block.Tier]block.Holdings // copies, changed here
	own     map[ownKey]bool                            // ranges that were copied before they were changed
	gaps    map[epochKey]block.Holdings                // known before, and added here
	dirty   map[epochKey]map[block.Tier]bool
	begun   map[epochKey]bool // epochs whose row this group has written
	seen    map[string]Seen
	refused map[string]int64
}

// ownKey names the ranges of one source.
type ownKey struct {
	epochKey
	tier   block.Tier
	source string
}

func (g *group) reply(s wire.Site) *wire.Reply {
	if g.replies[s] == nil {
		g.replies[s] = &wire.Reply{Hub: g.h.id}
	}
	return g.replies[s]
}

func (g *group) refuse(m *Message, reason string, err error) {
	g.refused[reason]++
	g.h.log.Debug("a message was refused", "site", m.Site.Probe(), "kind", string(m.Kind), "reason", reason, "error", err)
}

func (g *group) handle(m *Message) error {
	probe := m.Site.Probe()
	s := g.seen[probe]
	s.LastMessage = g.h.now()
	g.seen[probe] = s
	switch m.Kind {
	case wire.Live, wire.Backfill:
		return g.block(m)
	case wire.SchemaUp:
		return g.schemas(m)
	case wire.Accounts:
		return g.account(m)
	case wire.State:
		return g.status(m)
	}
	g.refuse(m, "unknown topic", nil)
	return nil
}

// status keeps what a box says of itself. A will was written when its connection
// began: of what it says only that the box is gone is news.
func (g *group) status(m *Message) error {
	s, err := wire.DecodeStatus(m.Payload)
	if err != nil {
		g.refuse(m, "malformed status", err)
		return nil
	}
	probe := m.Site.Probe()
	if _, err := g.probe(probe); err != nil {
		return err
	}
	if !s.Online {
		was, err := g.tx.Meta("status:" + probe)
		if err != nil {
			return err
		}
		if last, err := wire.DecodeStatus([]byte(was)); err == nil && last.Time > s.Time {
			last.Online = false
			if b, err := wire.EncodeStatus(last); err == nil {
				m.Payload = b
			}
		}
	}
	return g.tx.SetMeta("status:"+probe, string(m.Payload))
}

func (g *group) probe(name string) (int64, error) {
	if id, ok := g.h.probes[name]; ok {
		return id, nil
	}
	if id, ok := g.probes[name]; ok {
		return id, nil
	}
	id, err := g.tx.Probe(name)
	if err == nil {
		g.probes[name] = id
	}
	return id, err
}

// held returns what is stored of an epoch, as a copy that may be changed.
func (g *group) held(k epochKey) (map[block.Tier]block.Holdings, error) {
	if x, ok := g.have[k]; ok {
		return x, nil
	}
	x := map[block.Tier]block.Holdings{}
	if cached, ok := g.h.have[k]; ok {
		for tier, h := range cached {
			x[tier] = maps.Clone(h)
		}
	} else {
		var err error
		if x, err = g.tx.Have(k.probe, k.epoch); err != nil {
			return nil, fmt.Errorf("reading what is stored: %w", err)
		}
	}
	g.have[k] = x
	return x, nil
}

func (g *group) block(m *Message) error {
	b, err := block.Parse(m.Payload)
	switch {
	case errors.Is(err, block.ErrVersion):
		g.refuse(m, "unreadable version", err)
		g.reply(m.Site).Unreadable = append(g.reply(m.Site).Unreadable, block.IDOf(m.Payload))
		return nil
	case err != nil:
		g.refuse(m, "damaged block", err)
		return nil
	case b.Probe != m.Site.Probe():
		g.refuse(m, "block of another site", nil)
		return nil
	}
	probe, err := g.probe(b.Probe)
	if err != nil {
		return err
	}
	k := epochKey{probe, b.Epoch}
	have, err := g.held(k)
	if err != nil {
		return err
	}
	s := g.seen[b.Probe]
	if covered(have, b) {
		s.Redelivered++
		g.seen[b.Probe] = s
		g.reply(m.Site).Stored = append(g.reply(m.Site).Stored, b.ID)
		return nil
	}
	var missing []block.ID
	for _, id := range b.Schemas() {
		ok, err := g.tx.HasSchema(id)
		if err != nil {
			return err
		}
		if !ok {
			missing = append(missing, id)
		}
	}
	if missing != nil {
		g.reply(m.Site).Missing = append(g.reply(m.Site).Missing, wire.Missing{Block: b.ID, Schemas: missing})
		return nil
	}
	if _, _, err := g.h.st.Codec().Decode(b, g.tx.Schema, nil); err != nil {
		// Its bytes are safe here, and a later version may read them.
		s.Unusable++
		g.h.log.Warn("a block is stored but cannot be used", "site", b.Probe, "block", b.ID.String(), "error", err)
	}
	if scattered(have[b.Tier], b) {
		g.refuse(m, "cover too scattered", nil)
		return nil
	}
	if err := g.tx.PutBlock(probe, b, false); err != nil {
		return err
	}
	if have[b.Tier] == nil {
		have[b.Tier] = block.Holdings{}
	}
	for i := range b.Cover {
		c := &b.Cover[i]
		r := have[b.Tier][c.Source]
		if o := (ownKey{k, b.Tier, c.Source}); !g.own[o] {
			g.own[o], r = true, slices.Clone(r) // what the hub remembers changes only after the commit
		}
		r.Push(c.Range())
		have[b.Tier][c.Source] = r
	}
	if g.dirty[k] == nil {
		g.dirty[k] = map[block.Tier]bool{}
	}
	g.dirty[k][b.Tier] = true
	s.Blocks++
	s.Readings += int64(b.Readings)
	g.seen[b.Probe] = s
	g.reply(m.Site).Stored = append(g.reply(m.Site).Stored, b.ID)
	return nil
}

// maxRanges bounds how many pieces of one source's numbers are kept in an epoch.
// An honest box sends whole runs; one that sends every other number would make
// each of its blocks, and those of all sites beside it, cost more and more.
const maxRanges = 20_000

// scattered tells whether a block would bring a source over the bound.
func scattered(have block.Holdings, b *block.Block) bool {
	for i := range b.Cover {
		if len(have[b.Cover[i].Source]) >= maxRanges {
			return true
		}
	}
	return false
}

// covered tells whether all of a block is stored in its tier or a finer one.
func covered(have map[block.Tier]block.Holdings, b *block.Block) bool {
	for i := range b.Cover {
		var all block.Ranges
		for t := block.Raw; t <= b.Tier; t++ {
			all = all.Union(have[t][b.Cover[i].Source])
		}
		if !all.Contains(b.Cover[i].Range()) {
			return false
		}
	}
	return true
}

func (g *group) schemas(m *Message) error {
	list, err := wire.DecodeSchemas(m.Payload)
	if err != nil {
		g.refuse(m, "malformed schemas", err)
		return nil
	}
	for _, b := range list {
		id, _, err := g.h.st.Codec().DecodeSchema(b)
		if err != nil {
			g.refuse(m, "malformed schema", err)
			continue
		}
		if err := g.tx.PutSchema(id, b); err != nil {
			return err
		}
	}
	return nil
}

// account answers an account, from it and what is stored alone, and keeps what it
// says for Verify.
func (g *group) account(m *Message) error {
	a, err := wire.DecodeAccount(m.Payload)
	if err == nil && a.Probe != m.Site.Probe() {
		err = errors.New("it is another site's")
	}
	if err != nil {
		g.refuse(m, "malformed account", err)
		return nil
	}
	probe, err := g.probe(a.Probe)
	if err != nil {
		return err
	}
	left := maxAnswer
	for i := range a.Lines {
		l := &a.Lines[i]
		have, err := g.held(epochKey{probe, l.Epoch})
		if err != nil {
			return err
		}
		g.reply(m.Site).Answer = append(g.reply(m.Site).Answer, answer(l, have, &left))
		if err := g.keep(probe, l); err != nil {
			return err
		}
	}
	return nil
}

// maxAnswer bounds the ranges in the answer to one account. It is far more than an
// account of a box can ask for; lines beyond it get an answer that says nothing,
// and the next account asks again.
const maxAnswer = 1 << 16

// answer is the hub's answer to one line of an account; left is how many ranges it
// may have.
func answer(l *buffer.AccountLine, have map[block.Tier]block.Holdings, left *int) buffer.AnswerLine {
	out := buffer.AnswerLine{Epoch: l.Epoch, Source: l.Source}
	if *left <= 0 {
		return out
	}
	var known block.Ranges // pending or gone
	for _, p := range l.Pending {
		known = known.Union(p.Ranges)
		for t := block.Raw; t <= p.Tier; t++ {
			if r := p.Ranges.Intersect(have[t][l.Source]); len(r) > 0 {
				out.Has = append(out.Has, buffer.TierRanges{Tier: t, Ranges: r})
				*left -= len(r)
			}
		}
	}
	known = slices.Clone(known) // it may be the line's own
	for _, gap := range l.Gaps {
		known.Push(gap.Range)
	}
	if l.From < l.Next {
		out.Want = block.Ranges{{First: l.From, End: l.Next}}.Subtract(known)
	}
	for _, h := range have {
		out.Want = out.Want.Subtract(h[l.Source])
	}
	*left -= len(out.Want)
	return out
}

func (g *group) keep(probe int64, l *buffer.AccountLine) error {
	was, err := g.tx.Accounted(probe, l.Epoch, l.Source)
	if err != nil {
		return fmt.Errorf("reading an account: %w", err)
	}
	now := g.h.now().UnixMilli()
	if k := (epochKey{probe, l.Epoch}); !g.begun[k] {
		// Each time: a start that was not known may be by now.
		if err := g.tx.PutEpoch(probe, store.Epoch{ID: l.Epoch, Prev: l.Prev, N: l.N, Start: l.EpochStart, Sure: true}); err != nil {
			return err
		}
		g.begun[k] = true
	}
	pending := was.Pending
	if l.From < l.Next {
		about := block.Ranges{{First: l.From, End: l.Next}}
		pending = pending.Subtract(about)
		for _, p := range l.Pending {
			pending = pending.Union(p.Ranges.Intersect(about))
		}
	}
	known, err := g.knownGaps(epochKey{probe, l.Epoch})
	if err != nil {
		return err
	}
	for _, x := range l.Gaps {
		for _, r := range (block.Ranges{x.Range}).Subtract(known[l.Source]) {
			y := x
			y.Range = r
			if err := g.tx.PutGap(probe, y); err != nil {
				return err
			}
			own := known[l.Source]
			own.Push(r)
			known[l.Source] = own
		}
	}
	return g.tx.PutAccounted(probe, l.Epoch, store.Accounted{Source: l.Source, Next: max(was.Next, l.Next), Pending: pending, At: now})
}

// knownGaps returns the gaps of an epoch, by source; it is read once a group, for
// an account has many lines of one epoch.
func (g *group) knownGaps(k epochKey) (block.Holdings, error) {
	if h, ok := g.gaps[k]; ok {
		return h, nil
	}
	h := block.Holdings{}
	err := g.tx.GapsOf(k.probe, k.epoch, func(x store.Gap) error {
		own := h[x.Source]
		own.Push(x.Range)
		h[x.Source] = own
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading gaps: %w", err)
	}
	g.gaps[k] = h
	return h, nil
}

// finish writes what the group has changed.
func (g *group) finish() error {
	corrected := map[int64]bool{}
	for k := range g.dirty {
		if corrected[k.probe] {
			continue
		}
		corrected[k.probe] = true
		if err := g.tx.CorrectTimes(k.probe); err != nil {
			return err
		}
	}
	for k, tiers := range g.dirty {
		for tier := range tiers {
			if err := g.tx.PutHave(k.probe, k.epoch, tier, g.have[k][tier]); err != nil {
				return err
			}
		}
	}
	for probe, s := range g.seen {
		if s.Redelivered == 0 {
			continue
		}
		was, err := g.tx.Meta("redelivered:" + probe)
		if err != nil {
			return err
		}
		n, _ := strconv.ParseInt(was, 10, 64) // empty at first
		if err := g.tx.SetMeta("redelivered:"+probe, strconv.FormatInt(n+s.Redelivered, 10)); err != nil {
			return err
		}
	}
	return nil
}
