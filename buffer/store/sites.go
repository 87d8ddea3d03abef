package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/siteprobe/siteprobe/collectors"
)

// NewestBlock returns the wall time (Unix ms) of the newest batch of a probe's
// blocks, 0 for none. It is the box's clock that says so.
func (t *Tx) NewestBlock(probe int64) (int64, error) {
	var t1 sql.NullInt64
	err := t.queryRow("SELECT max(t1) FROM block WHERE probe=?", probe).Scan(&t1)
	return t1.Int64, err
}

// Recent is what a source gave last.
type Recent struct {
	Series   []Points // of the polls asked for, in order of their names
	ReadAt   int64    // wall time of the newest poll with readings, Unix ms; 0: none
	LastHole *Hole    // the newest poll without readings
}

// Recent returns the newest polls of a source that gave readings, none older than
// from (Unix ms). It reads no further back than it must. When ctx is done first it
// returns what it has, with ctx's error.
func (s *Store) Recent(ctx context.Context, probe, source string, from int64, polls int) (Recent, error) {
	h := history{s: s, q: Query{Probe: probe, Source: source, From: from}}
	h.enough = func() bool { return pollsOf(h.series) > polls }
	err := h.read(ctx)
	r := Recent{Series: h.result(), ReadAt: h.newest[source]}
	for i := range r.Series {
		p := &r.Series[i]
		p.Points = slices.DeleteFunc(p.Points, func(x Point) bool { return x.T > r.ReadAt }) // LastHole says it
	}
	for _, x := range h.holes[source] {
		if r.LastHole == nil || x.T > r.LastHole.T {
			r.LastHole = &x
		}
	}
	return r, err
}

// pollsOf counts the polls that the most often read series has points of.
func pollsOf(series map[string]*Points) (n int) {
	for _, p := range series {
		n = max(n, len(p.Points))
	}
	return n
}

// Line returns one series of a source, and the polls of the source that gave
// nothing, both in time order. p is nil where the series has no point in the
// query's time. When ctx is done first it returns the newest part with ctx's
// error.
func (s *Store) Line(ctx context.Context, q Query) (p *Points, holes []Hole, err error) {
	h := history{s: s, q: q}
	err = h.read(ctx)
	if all := h.result(); len(all) > 0 {
		p = &all[0]
	}
	holes = h.holes[q.Source]
	slices.SortStableFunc(holes, func(a, b Hole) int { return cmp.Compare(a.T, b.T) })
	return p, holes, err
}

// Result returns how the newest poll went and when (Unix ms; 0: there was none).
func (r *Recent) Result() (collectors.Outcome, int64) {
	if r.LastHole != nil && r.LastHole.T > r.ReadAt {
		return r.LastHole.Outcome, r.LastHole.T
	}
	return collectors.Outcome{}, r.ReadAt
}
