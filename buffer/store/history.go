package store

import (
	"cmp"
	"slices"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// Query chooses readings. Empty fields choose all.
type Query struct {
	Probe    string
	Source   string
	Device   string // the series' label "device", or their source "device/NAME"
	Metric   string
	Labels   []collectors.Label
	From, To int64 // wall time, Unix ms; 0: no bound
	Last     bool  // the newest point of each series only
}

// Points are the readings of one series in time order, each time once.
type Points struct {
	Source string
	Series collectors.Series
	Tier   block.Tier
	Points []Point
}

// Point is a reading and when. A missing value says that the source was polled
// then and gave none: a plot breaks its line there.
type Point struct {
	T int64 // wall time, Unix ms
	V collectors.Value
}

// maxPoints bounds what one query returns; the oldest points go first.
const maxPoints = 2_000_000

// History returns the series that the query chooses, in order of their names.
// Blocks whose schema is not here are passed over.
func (s *Store) History(q Query) ([]Points, error) {
	if q.To == 0 {
		q.To = 1 << 60
	}
	h := history{s: s, q: q, series: map[string]*Points{}}
	err := s.View(func(tx *Tx) error {
		probe, err := tx.FindProbe(q.Probe)
		if err != nil || probe == 0 {
			return err
		}
		h.tx = tx
		// The newest first, so that what is cut off is the oldest.
		return tx.each("SELECT head, body FROM block WHERE probe=? AND t1>=? AND t0<=? ORDER BY t1 DESC", []any{probe, q.From, q.To},
			func(scan func(...any) error) error {
				var head, body []byte
				if err := scan(&head, &body); err != nil {
					return err
				}
				return h.block(head, body)
			})
	})
	if err == errEnough {
		err = nil
	}
	return h.result(), err
}

type history struct {
	s      *Store
	tx     *Tx
	q      Query
	series map[string]*Points
	chosen map[*collectors.Schema][]int // which series of a schema are chosen
	seen   map[string]bool              // sources whose newest batch was found, for Last
	n      int
}

func (h *history) wants(c *block.Cover) bool {
	if h.q.Source != "" && c.Source != h.q.Source {
		return false
	}
	return !h.q.Last || !h.seen[c.Source]
}

func (h *history) block(head, body []byte) error {
	hd, size, err := block.ParseHead(head)
	if err != nil {
		return nil // a damaged block hides its own readings only
	}
	if !slices.ContainsFunc(hd.Cover, func(c block.Cover) bool { return h.wants(&c) }) {
		return nil
	}
	b := &block.Block{Head: *hd, Bytes: append(head, body...), HeadSize: size}
	sections, _, err := h.s.codec.Decode(b, h.tx.Schema, h.wants)
	if err != nil {
		return nil
	}
	for i := len(sections) - 1; i >= 0; i-- {
		batches := sections[i].Batches
		for j := len(batches) - 1; j >= 0; j-- {
			h.batch(&batches[j], hd)
		}
	}
	if h.n > maxPoints {
		return errEnough
	}
	return nil
}

func (h *history) batch(x *collectors.Batch, hd *block.Head) {
	t := hd.Wall(x.At)
	if t < h.q.From || t > h.q.To {
		return
	}
	if x.Schema == nil {
		if x.Outcome.Result == collectors.OK {
			return // events only
		}
		// Nothing was read: every series of the source has a hole here.
		for _, p := range h.series {
			if p.Source == x.Source && !h.q.Last {
				p.Points = append(p.Points, Point{T: t})
				h.n++
			}
		}
		return
	}
	if h.q.Last {
		if h.seen == nil {
			h.seen = map[string]bool{}
		}
		if h.seen[x.Source] {
			return
		}
		h.seen[x.Source] = true
	}
	for _, i := range h.choose(x.Schema) {
		e := &x.Schema.Series[i]
		key := x.Source + "\x00" + e.String()
		p := h.series[key]
		if p == nil {
			p = &Points{Source: x.Source, Series: *e, Tier: hd.Tier}
			h.series[key] = p
		}
		p.Points = append(p.Points, Point{T: t, V: x.Values[i]})
		h.n++
	}
}

// choose returns which series of a schema the query wants.
func (h *history) choose(s *collectors.Schema) []int {
	if x, ok := h.chosen[s]; ok {
		return x
	}
	var out []int
	for i := range s.Series {
		e := &s.Series[i]
		if h.q.Metric != "" && e.Metric != h.q.Metric {
			continue
		}
		if h.q.Device != "" && e.Label("device") != h.q.Device && s.Source != "device/"+h.q.Device {
			continue
		}
		if slices.ContainsFunc(h.q.Labels, func(l collectors.Label) bool { return e.Label(l.Name) != l.Value }) {
			continue
		}
		out = append(out, i)
	}
	if h.chosen == nil {
		h.chosen = map[*collectors.Schema][]int{}
	}
	h.chosen[s] = out
	return out
}

func (h *history) result() []Points {
	out := make([]Points, 0, len(h.series))
	for _, p := range h.series {
		slices.SortStableFunc(p.Points, func(a, b Point) int { return cmp.Compare(a.T, b.T) })
		p.Points = slices.CompactFunc(p.Points, func(a, b Point) bool { return a.T == b.T })
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b Points) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Series.Metric, b.Series.Metric), cmp.Compare(a.Series.String(), b.Series.String()))
	})
	return out
}

// EventRecord is one event that was kept.
type EventRecord struct {
	Source string
	T      int64 // wall time, Unix ms
	collectors.Event
}

// Events returns the newest events of a probe, newest first, at most limit.
func (s *Store) Events(probe string, limit int) (out []EventRecord, err error) {
	err = s.View(func(tx *Tx) error {
		id, err := tx.FindProbe(probe)
		if err != nil || id == 0 {
			return err
		}
		return tx.each("SELECT head, body FROM block WHERE probe=? AND class=? ORDER BY t1 DESC", []any{id, block.Events},
			func(scan func(...any) error) error {
				var head, body []byte
				if err := scan(&head, &body); err != nil {
					return err
				}
				hd, size, err := block.ParseHead(head)
				if err != nil {
					return nil
				}
				sections, _, err := s.codec.Decode(&block.Block{Head: *hd, Bytes: append(head, body...), HeadSize: size}, tx.Schema, nil)
				if err != nil {
					return nil
				}
				for _, sec := range sections {
					for i := range sec.Batches {
						x := &sec.Batches[i]
						for _, e := range x.Events {
							out = append(out, EventRecord{x.Source, hd.Wall(x.At), e})
						}
					}
				}
				if len(out) >= limit {
					return errEnough
				}
				return nil
			})
	})
	if err == errEnough {
		err = nil
	}
	slices.SortStableFunc(out, func(a, b EventRecord) int { return cmp.Compare(b.T, a.T) })
	return out[:min(len(out), limit)], err
}
