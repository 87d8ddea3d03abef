package buffer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// Compaction: the blocks of an hour, each of a few seconds and many sources, become
// blocks in which each source's hour stands together. Series that are read one after
// the other pack much better than those that are not.

// maxWindow is how many readings are compacted together; where an hour has more the
// window is a part of it.
const maxWindow = 1_250_000

// windows are the lengths to choose from.
var windows = [...]time.Duration{time.Hour, 30 * time.Minute, 15 * time.Minute, 5 * time.Minute, time.Minute}

// late is how long after a window's end its last blocks may come: those that still
// waited for a commit, or for their acknowledgement.
const late = 10 * time.Minute

// compactNext compacts the next window that is due; it tells whether there was one.
func (b *Buffer) compactNext() (more bool, err error) {
	from, newest, err := b.compactFrom()
	if err != nil || from == 0 {
		return false, err
	}
	until := newest - late.Milliseconds()
	rows, end, err := b.window(from, until)
	if err != nil || end == 0 {
		return false, err
	}
	for _, family := range families(rows) {
		if b.isLent(family) {
			return false, nil // later, all of the window
		}
		if family[0].Class != block.Readings || family[0].Tier != block.Raw || len(family) < 2 {
			continue
		}
		if _, err := b.anew(family, b.compact); err != nil {
			return false, err
		}
	}
	b.compacted = end
	b.io.Lock()
	defer b.io.Unlock()
	return true, b.update(func(tx *store.Tx) error { return tx.SetMeta(metaCompacted, strconv.FormatInt(end, 10)) })
}

// metaCompacted is up to when (wall time, Unix ms) everything was compacted.
const metaCompacted = "compacted"

// compactFrom returns where compaction goes on, 0 for nowhere, and the time of the
// newest batch. What the box's clock says now is of no use here: it may be wrong.
func (b *Buffer) compactFrom() (from, newest int64, err error) {
	err = b.view(func(tx *store.Tx) error {
		if b.compacted == 0 {
			v, err := tx.Meta(metaCompacted)
			if err != nil {
				return err
			}
			b.compacted, _ = strconv.ParseInt(v, 10, 64) // empty: the beginning
		}
		if newest, err = b.newest(tx); err != nil {
			return err
		}
		if b.compacted > newest {
			b.compacted = 0 // it went by a clock that was ahead, and is right now
		}
		from, err = tx.OldestBlock(b.probe, b.compacted)
		return err
	})
	return from, newest, err
}

// window reads the heads of the first window at or after from; end is 0 where there
// is none that ends before until.
func (b *Buffer) window(from, until int64) (rows []store.Row, end int64, err error) {
	for _, w := range windows {
		width := w.Milliseconds()
		start := from - ((from%width)+width)%width
		end = start + width
		start = max(start, b.compacted)
		readings := 0
		err := b.view(func(tx *store.Tx) (err error) {
			readings, err = tx.ReadingsBetween(b.probe, start, min(end, until))
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		if readings > maxWindow && w != windows[len(windows)-1] {
			continue
		}
		if end > until {
			return nil, 0, nil
		}
		err = b.view(func(tx *store.Tx) error {
			return tx.Rows(func(r *store.Row) error { rows = append(rows, *r); return nil },
				"WHERE b.probe=? AND b.t1>=? AND b.t1<? ORDER BY b.t1, b.seq", b.probe, start, end)
		})
		return rows, end, err
	}
	return nil, 0, nil
}

// compact makes one family's blocks anew.
func (b *Buffer) compact(rows []store.Row) (done bool, err error) {
	p := &repack{b: b, rows: rows, head: kinOf(&rows[0]).head(b.opt.Probe, block.Raw)}
	parts := portions(rows, maxHeld)
	if len(parts) == 1 {
		err = p.gather(parts[0], p.direct)
	} else {
		err = p.inParts(parts)
	}
	if err == nil {
		err = p.flush()
	}
	if err != nil {
		return false, fmt.Errorf("compacting: %w", err)
	}
	if !p.pays() {
		return false, nil
	}
	return p.replace(PointCompact, PointCompacted)
}

// gather adds the sections of some sources, source by source.
func (p *repack) gather(sources map[string]bool, read func(map[string]bool) ([]block.Section, error)) error {
	all, err := read(sources)
	if err != nil {
		return err
	}
	by := map[string][]block.Section{}
	for _, s := range all {
		source := sourceOf(&s)
		by[source] = append(by[source], s)
	}
	for _, source := range slices.Sorted(maps.Keys(by)) {
		for _, s := range inOrder(by[source]) {
			if err := p.add(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// direct unpacks what all rows have of some sources; nil stands for all.
func (p *repack) direct(sources map[string]bool) (out []block.Section, err error) {
	for i := range p.rows {
		s, err := p.sections(&p.rows[i], func(source string) bool { return sources == nil || sources[source] })
		if err != nil {
			return nil, err
		}
		out = append(out, s...)
	}
	return out, nil
}

// inParts is for more than fits the memory. Reading every block once for each part
// would cost as often as there are parts, so that what is unpacked is packed again
// at once, part by part, and kept so.
func (p *repack) inParts(parts []map[string]bool) error {
	part := map[string]int{}
	for i, sources := range parts {
		for s := range sources {
			part[s] = i
		}
	}
	kept := make([][]*block.Block, len(parts))
	schemas := map[block.ID]*collectors.Schema{}
	for i := range p.rows {
		all, err := p.sections(&p.rows[i], func(string) bool { return true })
		if err != nil {
			return err
		}
		split := make([][]block.Section, len(parts))
		for _, s := range all {
			k := part[s.Batches[0].Source]
			split[k] = append(split[k], s)
			schemas[s.Schema] = schemaIn(&s)
		}
		for k, s := range split {
			if len(s) == 0 {
				continue
			}
			x, err := p.b.codec.Encode(p.head, s)
			if err != nil {
				return err
			}
			kept[k] = append(kept[k], x)
		}
	}
	for k, sources := range parts {
		err := p.gather(sources, func(map[string]bool) (out []block.Section, err error) {
			for _, x := range kept[k] {
				s, _, err := p.b.codec.Decode(x, func(id block.ID) *collectors.Schema { return schemas[id] }, nil)
				if err != nil {
					return nil, err
				}
				out = append(out, s...)
			}
			kept[k] = nil
			return out, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
