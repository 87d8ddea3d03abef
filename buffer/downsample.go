package buffer

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// Downsampling: where there is no room for all readings, the oldest become rollups
// of a quarter of an hour, and those become rollups of an hour, so that a long
// outage keeps its whole timeline.

// A choice is the blocks that are to become coarser first.
type choice struct {
	pending bool
	tier    block.Tier    // of the blocks
	young   time.Duration // those of the last while are spared
}

// unsentRaw is for how long readings that wait to be sent stay as they are while
// anything else can make room.
const unsentRaw = 24 * time.Hour

// young is for how long they do in any case: compaction comes first.
const young = time.Hour + 2*late

// makeRoomBy lists what may become coarser, the first first. What was delivered is
// the MSP's already and goes before what was not.
var makeRoomBy = [...]choice{
	{false, block.Raw, young}, {false, block.Quarter, young},
	{true, block.Raw, unsentRaw}, {true, block.Quarter, unsentRaw}, {true, block.Raw, young},
}

// The shares of the capacity, in percent: above the first there is need of room, up
// to the second it is made.
const (
	pressedAt  = 85
	relievedAt = 80
)

// downsampleNext makes one lot of readings coarser, if there is need; more tells
// whether it did.
func (b *Buffer) downsampleNext() (more bool, err error) {
	var used, newest int64
	err = b.view(func(tx *store.Tx) (err error) {
		if used, _, err = tx.Usage(); err == nil {
			newest, err = b.newest(tx)
		}
		return err
	})
	if err != nil {
		return false, err
	}
	if used > b.capacity()*pressedAt/100 {
		b.pressed = true
	} else if used < b.capacity()*relievedAt/100 {
		b.pressed = false
	}
	if time.Since(b.barrenAt) > late || b.acked.Swap(false) {
		b.barrenAt = time.Now()
		clear(b.barren)
	}
	if b.pressed || b.opt.Pressed {
		for _, c := range makeRoomBy {
			if b.barren[c] {
				continue
			}
			if done, err := b.downsampleOldest(c, newest-c.young.Milliseconds()); done || err != nil {
				return done, err
			}
		}
	}
	// What is older than the history has rollups left for look-ups. What is old, only a
	// clock can tell that is right.
	if _, sure := b.wallNow(); !sure || newest < b.agedAt {
		return false, nil
	}
	done, err := b.downsampleOldest(choice{tier: block.Raw}, min(newest-young.Milliseconds(), b.horizon(newest)))
	if !done && err == nil {
		b.agedAt = newest + time.Hour.Milliseconds()
	}
	return done, err
}

// horizon is the time before which delivered readings are history no more.
func (b *Buffer) horizon(newest int64) int64 { return newest - b.cfg.History.Milliseconds() }

// maxLot is how many readings become coarser together, and lot for how long a time
// at most: longer lots pack better.
const (
	maxLot = 4_000_000
	lot    = 24 * time.Hour
)

// downsampleOldest makes the oldest blocks of a choice coarser that end before a
// time; done tells whether there were any.
func (b *Buffer) downsampleOldest(c choice, before int64) (done bool, err error) {
	after := int64(0)
	for {
		var rows []store.Row
		err := b.view(func(tx *store.Tx) (err error) {
			rows, err = tx.OldestOf(b.probe, block.Readings, c.tier, c.pending, after, before, lot*time.Duration(c.tier*6+1), maxLot)
			return err
		})
		if err != nil {
			return false, err
		}
		if len(rows) == 0 {
			b.barren[c] = true
			return false, nil
		}
		for _, family := range families(rows) {
			if b.isLent(family) {
				continue
			}
			done, err = b.anew(family, func(rows []store.Row) (bool, error) { return b.downsample(rows, c.tier+1) })
			if done || err != nil {
				return done, err
			}
		}
		// Nothing to be gained from these, or they are on their way: the next ones.
		after = rows[len(rows)-1].T1 + 1
	}
}

// maxCellsHeld is how many cells of rollups are in memory at a time, about 120
// octets each; a section has at most what fits a block mostly.
const (
	maxCellsHeld = 40_000
	maxSection   = 32_000
)

// downsample makes rollups of the rows.
func (b *Buffer) downsample(rows []store.Row, to block.Tier) (done bool, err error) {
	p := &repack{b: b, rows: rows, head: kinOf(&rows[0]).head(b.opt.Probe, to)}
	t0, t1 := rows[0].T0, rows[0].T1
	for i := range rows {
		t0, t1 = min(t0, rows[i].T0), max(t1, rows[i].T1)
	}
	// So many readings become about maxCellsHeld cells.
	buckets := (t1-t0)/to.Width().Milliseconds() + 1
	readings := numberOf(rows)
	most := max(1, int(int64(readings)*maxCellsHeld/(buckets*int64(b.seriesOf(rows)))))
	for _, sources := range portions(rows, most) {
		if err := p.rollOrKeep(sources, to); err != nil {
			return false, fmt.Errorf("downsampling: %w", err)
		}
	}
	if !p.pays() {
		return false, nil
	}
	done, err = p.replace(PointDownsample, PointRolledUp)
	if done {
		b.coarser.Add(int64(readings))
	}
	return done, err
}

// seriesOf is about how many series the rows have, at least one.
func (b *Buffer) seriesOf(rows []store.Row) (n int) {
	seen := map[block.ID]bool{}
	err := b.view(func(tx *store.Tx) error {
		for i := range rows {
			for j := range rows[i].Cover {
				if id := rows[i].Cover[j].Schema; !seen[id] {
					seen[id] = true
					if s := b.layoutsOf(tx)(id); s != nil {
						n += len(s.Series)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return 1 // unpacking meets it, too
	}
	return max(n, 1)
}

// rollOrKeep makes the rollups of some sources, in smaller sections where they do
// not fit a block. A source whose rollups do not fit all the same, as its counters
// fall all the time, stays as it is.
func (p *repack) rollOrKeep(sources map[string]bool, to block.Tier) error {
	for most := maxSection; most >= maxSection/16; most /= 4 {
		q := p.sibling(to)
		err := q.roll(sources, to, most)
		if err == nil {
			err = q.flush()
		}
		if !errors.Is(err, errTooLarge) {
			p.out = append(p.out, q.out...)
			return err
		}
	}
	if len(sources) > 1 {
		for source := range sources {
			if err := p.rollOrKeep(map[string]bool{source: true}, to); err != nil {
				return err
			}
		}
		return nil
	}
	q := p.sibling(p.rows[0].Tier)
	if err := q.gather(sources, q.direct); err != nil {
		return err
	}
	err := q.flush()
	p.out = append(p.out, q.out...)
	return err
}

// roll makes the rollups of some sources, one after the other.
func (p *repack) roll(sources map[string]bool, to block.Tier, most int) error {
	by := map[string][]part{}
	for i := range p.rows {
		for j := range p.rows[i].Cover {
			if c := &p.rows[i].Cover[j]; sources[c.Source] {
				by[c.Source] = append(by[c.Source], part{i, c.First})
			}
		}
	}
	lines := map[string]*line{}
	for _, source := range slices.Sorted(maps.Keys(by)) {
		slices.SortFunc(by[source], func(a, b part) int { return cmp.Compare(a.first, b.first) })
		lines[source] = &line{p: p, to: to, most: most, parts: by[source]}
	}
	// Row by row, so that each is unpacked once; a source's parts come in the order of
	// their numbers all the same, or wait.
	for i := range p.rows {
		if !slices.ContainsFunc(p.rows[i].Cover, func(c block.Cover) bool { return sources[c.Source] }) {
			continue
		}
		s, err := p.sections(&p.rows[i], func(source string) bool { return sources[source] })
		if err != nil {
			return err
		}
		for _, x := range s {
			if err := lines[sourceOf(&x)].take(x); err != nil {
				return err
			}
		}
	}
	for _, source := range slices.Sorted(maps.Keys(lines)) {
		if err := lines[source].end(); err != nil {
			return err
		}
	}
	return nil
}

func sourceOf(s *block.Section) string {
	if s.Rollup != nil {
		return s.Rollup.Source
	}
	return s.Batches[0].Source
}

// part says which row holds a source's batches from first on.
type part struct {
	row   int
	first uint64
}

// line is a source whose rollups are being made.
type line struct {
	p     *repack
	to    block.Tier
	most  int    // cells of a section
	parts []part // what is still to come, in the order of numbers
	early []block.Section

	open   *block.Roller
	first  uint64
	next   uint64
	schema block.ID
	out    []block.Section
}

// take takes a section in; one that comes before its turn waits.
func (l *line) take(s block.Section) error {
	l.early = append(l.early, s)
	for len(l.parts) > 0 {
		i := slices.IndexFunc(l.early, func(s block.Section) bool { return s.First == l.parts[0].first })
		if i < 0 {
			return nil
		}
		s = l.early[i]
		l.early = slices.Delete(l.early, i, i+1)
		l.parts = l.parts[1:]
		if s.Rollup != nil {
			l.begin(&s, s.Rollup.Schema)
			l.open.Merge(s.Rollup)
			l.next = s.First + uint64(s.Rollup.Batches)
			continue
		}
		l.begin(&s, schemaIn(&s))
		for i := range s.Batches {
			if cellsOf(&l.open.Rollup) >= l.most {
				l.close()
				l.open, l.first, l.schema = block.NewRoller(sourceOf(&s), l.to, l.p.head.Offset), s.First+uint64(i), s.Schema
			}
			l.open.Add(&s.Batches[i])
		}
		l.next = s.First + uint64(len(s.Batches))
	}
	return nil
}

// begin opens a new section unless s goes on where the open one ends.
func (l *line) begin(s *block.Section, schema *collectors.Schema) {
	if l.open != nil && l.next == s.First && compatible(l.schema, s.Schema) && cellsOf(&l.open.Rollup) < l.most {
		if l.schema == (block.ID{}) {
			l.schema = s.Schema
		}
		return
	}
	l.close()
	l.open, l.first, l.schema = block.NewRoller(sourceOf(s), l.to, l.p.head.Offset), s.First, s.Schema
}

// close ends the open section.
func (l *line) close() {
	if l.open == nil {
		return
	}
	id := l.schema
	if l.open.Schema == nil {
		id = block.ID{} // none of its batches had values
	}
	l.out = append(l.out, block.Section{First: l.first, Schema: id, Rollup: &l.open.Rollup})
	l.open = nil
}

// end hands over what was made.
func (l *line) end() error {
	l.close()
	if len(l.parts)+len(l.early) > 0 {
		return fmt.Errorf("parts are missing")
	}
	for _, s := range l.out {
		if err := l.p.add(s); err != nil {
			return err
		}
	}
	return nil
}
