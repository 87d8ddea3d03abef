package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// Query chooses readings. Empty fields choose all.
type Query struct {
	Probe    string
	Source   string
	Device   string // the series' label "device", or their source "device/NAME"
	Metric   string
	Series   string // one series, as its String writes it
	Labels   []collectors.Label
	From, To int64 // wall time, Unix ms; 0: no bound
	Last     bool  // the readings of each source's newest poll only
}

// Points are the readings of one series in time order, each time once.
type Points struct {
	Source string
	Series collectors.Series
	Tier   block.Tier // the coarsest of any point
	Points []Point
}

// Point is a reading and when. A missing value says that the source was polled
// then and gave none: a plot breaks its line there.
type Point struct {
	T      int64 // wall time, Unix ms
	V      collectors.Value
	Unsure bool    // the clock was not synchronised, and nothing has said since by how much it was off
	Rolled *Rolled // what it stands for, if for more than itself
}

// Hole is a poll of a source that gave no readings at all, and why; out of a rollup
// it is the last of several.
type Hole struct {
	T int64 // wall time, Unix ms
	collectors.Outcome
	Polls int
}

// maxPoints bounds what one query returns; the oldest points go first.
const maxPoints = 2_000_000

// onePoll is how far the batches of one poll may lie apart, in milliseconds: a
// source with more series than a batch takes is emitted in parts.
const onePoll = 1000

// History returns the series that the query chooses, in order of their names.
// Blocks whose schema is not here are passed over.
func (s *Store) History(q Query) ([]Points, error) {
	return s.HistoryContext(context.Background(), q)
}

// HistoryContext is History with an end: when ctx is done it returns what it has
// read by then, which is the newest part, together with ctx's error.
func (s *Store) HistoryContext(ctx context.Context, q Query) ([]Points, error) {
	h := history{s: s, q: q}
	err := h.read(ctx)
	return h.result(), err
}

type history struct {
	s      *Store
	tx     *Tx
	clocks *Clocks
	q      Query
	series map[string]*Points
	slots  map[*collectors.Schema][]slot // which series of a schema are chosen
	newest map[string]int64              // time of each source's newest readings
	holes  map[string][]Hole             // by source, the newest first
	n      int
	enough func() bool // asked after each block: the rest is not wanted
}

// slot is a chosen series of a schema and where its points go.
type slot struct {
	i int
	p *Points
}

// read walks the blocks, the newest first, so that what is cut off is the oldest.
// Heads say whether a block is of use; bodies are most of the bytes, and only
// those that are wanted are read.
func (h *history) read(ctx context.Context) error {
	if h.q.To == 0 {
		h.q.To = 1 << 60
	}
	h.series, h.slots = map[string]*Points{}, map[*collectors.Schema][]slot{}
	h.newest, h.holes = map[string]int64{}, map[string][]Hole{}
	err := h.s.View(func(tx *Tx) error {
		probe, err := tx.FindProbe(h.q.Probe)
		if err != nil || probe == 0 {
			return err
		}
		h.tx, h.clocks = tx, tx.Clocks(probe)
		return tx.each("SELECT seq, head FROM block WHERE probe=? AND t1>=? AND t0<=? ORDER BY t1 DESC", []any{probe, h.q.From, h.q.To},
			func(scan func(...any) error) error {
				var seq int64
				var head []byte
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := scan(&seq, &head); err != nil {
					return err
				}
				return h.block(seq, head)
			})
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// wants tells whether a part of a block may hold something that is asked for.
func (h *history) wants(c *block.Cover) bool {
	if h.q.Source != "" && c.Source != h.q.Source {
		return false
	}
	if c.Schema != (block.ID{}) {
		return true
	}
	// Polls without readings: of a source that has long been silent there are many,
	// and who asks for the newest readings wants to know of the last one at most.
	return !h.q.Last && (h.enough == nil || len(h.holes[c.Source]) == 0)
}

func (h *history) block(seq int64, head []byte) error {
	hd, _, err := block.ParseHead(head)
	if err != nil {
		h.s.bad.block(seq)
		return nil // a damaged block hides its own readings only
	}
	asKept := *hd
	if err := h.clocks.Correct(hd); err != nil {
		return err
	}
	if h.q.Last && h.passed(hd) || !slices.ContainsFunc(hd.Cover, func(c block.Cover) bool { return h.wants(&c) }) {
		return nil
	}
	body, err := h.tx.body(seq)
	if err != nil {
		return err
	}
	b, err := block.Parse(append(head, body...))
	if err != nil {
		h.s.bad.block(seq)
		return nil
	}
	sections, _, err := h.s.codec.Decode(b, h.tx.Schema, h.wants)
	if err != nil {
		return nil
	}
	for i := len(sections) - 1; i >= 0; i-- {
		if sections[i].Rollup != nil {
			h.rollup(&sections[i], hd, asKept.Offset)
			continue
		}
		batches := sections[i].Batches
		for j := len(batches) - 1; j >= 0; j-- {
			h.batch(&batches[j], hd)
		}
	}
	if h.n > maxPoints || h.enough != nil && h.enough() {
		return errEnough
	}
	return nil
}

// passed tells whether a block ends before the newest poll of every source in it.
func (h *history) passed(hd *block.Head) bool {
	end := hd.Wall(hd.T1)
	return !slices.ContainsFunc(hd.Cover, func(c block.Cover) bool {
		t, found := h.newest[c.Source]
		return h.wants(&c) && (!found || end > t-onePoll)
	})
}

// body returns a block's bytes from its body on.
func (t *Tx) body(seq int64) (b []byte, err error) {
	return b, t.queryRow("SELECT body FROM block WHERE seq=?", seq).Scan(&b)
}

func (h *history) batch(x *collectors.Batch, hd *block.Head) {
	t := hd.Wall(x.At)
	if t < h.q.From || t > h.q.To {
		return
	}
	if x.Schema == nil {
		if r := x.Outcome.Result; r != collectors.OK && r != collectors.Partial { // else it has events only, or its schema was lost
			h.holes[x.Source] = append(h.holes[x.Source], Hole{t, x.Outcome, 1})
			h.n++
		}
		return
	}
	newest, found := h.newest[x.Source]
	if h.q.Last && found && t <= newest-onePoll {
		return
	}
	h.newest[x.Source] = max(newest, t)
	for _, s := range h.choose(x.Schema) {
		s.p.Points = append(s.p.Points, Point{T: t, V: x.Values[s.i], Unsure: !hd.Sure})
		h.n++
	}
}

// choose returns which series of a schema the query wants.
func (h *history) choose(s *collectors.Schema) []slot {
	if x, ok := h.slots[s]; ok {
		return x
	}
	var out []slot
	for i := range s.Series {
		e := &s.Series[i]
		if !h.q.chooses(s.Source, e) {
			continue
		}
		key := s.Source + "\x00" + e.String()
		if h.series[key] == nil {
			h.series[key] = &Points{Source: s.Source, Series: *e}
		}
		out = append(out, slot{i, h.series[key]})
	}
	h.slots[s] = out
	return out
}

func (q *Query) chooses(source string, e *collectors.Series) bool {
	switch {
	case q.Metric != "" && e.Metric != q.Metric,
		q.Device != "" && source != "device/"+q.Device && (e.Label("device") != q.Device || !strings.HasPrefix(source, "check/")),
		slices.ContainsFunc(q.Labels, func(l collectors.Label) bool { return e.Label(l.Name) != l.Value }):
		return false
	}
	return q.Series == "" || e.String() == q.Series
}

func (h *history) result() []Points {
	out := make([]Points, 0, len(h.series))
	for _, p := range h.series {
		if len(p.Points) > 0 {
			out = append(out, h.settle(p))
		}
	}
	slices.SortFunc(out, func(a, b Points) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Series.Metric, b.Series.Metric), cmp.Compare(a.Series.String(), b.Series.String()))
	})
	return out
}

// settle puts a series in order. Where nothing was read of its source it has a
// hole, from its first reading on: before that there may have been no such series.
func (h *history) settle(p *Points) Points {
	byTime := func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.T, b.T), cmp.Compare(a.Rolled.tier(), b.Rolled.tier()), -cmp.Compare(a.Rolled.count(), b.Rolled.count()))
	}
	if !h.q.Last {
		first := slices.MinFunc(p.Points, byTime).T
		for _, x := range h.holes[p.Source] {
			if x.T > first {
				p.Points = append(p.Points, Point{T: x.T})
			}
		}
	}
	slices.SortStableFunc(p.Points, byTime)
	p.finest()
	p.Points = slices.CompactFunc(p.Points, func(a, b Point) bool { return a.T == b.T })
	if h.q.Last {
		p.Points = p.Points[len(p.Points)-1:]
	}
	return *p
}

// EventRecord is one event that was kept.
type EventRecord struct {
	Source string
	T      int64 // wall time, Unix ms
	Unsure bool  // as in Point
	collectors.Event
}

// Events returns the newest events of a probe, newest first, at most limit.
func (s *Store) Events(probe string, limit int) (out []EventRecord, err error) {
	return s.EventsSince(context.Background(), probe, 0, limit)
}

// EventsSince is Events no older than from (Unix ms). When ctx is done it returns
// what it has found by then together with ctx's error.
func (s *Store) EventsSince(ctx context.Context, probe string, from int64, limit int) (out []EventRecord, err error) {
	return s.EventsOf(ctx, probe, "", from, limit)
}

// EventsOf is EventsSince of one source; of all where it is empty.
func (s *Store) EventsOf(ctx context.Context, probe, source string, from int64, limit int) (out []EventRecord, err error) {
	err = s.View(func(tx *Tx) error {
		id, err := tx.FindProbe(probe)
		if err != nil || id == 0 {
			return err
		}
		var last *block.Head
		return tx.events(ctx, id, source, from, func(hd *block.Head, x *collectors.Batch) error {
			if len(out) >= limit && hd != last {
				return errEnough // blocks are read whole
			}
			last = hd
			for _, e := range x.Events {
				if t := hd.Wall(x.At); t >= from {
					out = append(out, EventRecord{x.Source, t, !hd.Sure, e})
				}
			}
			return nil
		})
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	slices.SortStableFunc(out, func(a, b EventRecord) int { return cmp.Compare(b.T, a.T) })
	return out[:min(len(out), limit)], err
}
