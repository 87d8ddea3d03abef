package buffer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// Coalescing: events have a tenth of the budget to themselves. When those that wait
// to be sent come near it, the oldest that are alike are told once, with how many
// there were and when the first was; only after that are any dropped. What came of
// it is of a coarser tier, so that nobody takes it for the whole.

// eventsShare is the part of the budget that is the events' own.
func (b *Buffer) eventsShare() int64 { return int64(b.cfg.Budget) / 10 }

// coalesceLot is how many octets of events are looked at together.
const coalesceLot = 512 << 10

// coalesceNext coalesces the oldest pending events, if there are too many; more
// tells whether it did.
func (b *Buffer) coalesceNext() (more bool, err error) {
	var size int64
	err = b.view(func(tx *store.Tx) (err error) {
		size, err = tx.PendingBytes(block.Events)
		return err
	})
	if err != nil || size < b.eventsShare()*pressedAt/100 && !b.opt.Pressed {
		return false, err
	}
	for _, tier := range []block.Tier{block.Raw, block.Quarter} {
		var rows []store.Row
		err := b.view(func(tx *store.Tx) (err error) {
			rows, err = tx.OldestEvents(tier, coalesceLot)
			return err
		})
		if err != nil {
			return false, err
		}
		for _, family := range families(rows) {
			if b.isLent(family) || len(family) < 2 {
				continue
			}
			done, err := b.anew(family, func(rows []store.Row) (bool, error) { return b.coalesce(rows, tier+1) })
			if done || err != nil {
				return done, err
			}
		}
	}
	return false, nil
}

// coalesce makes one family's events anew.
func (b *Buffer) coalesce(rows []store.Row, to block.Tier) (done bool, err error) {
	p := &repack{b: b, rows: rows, head: kinOf(&rows[0]).head(b.opt.Probe, to)}
	all, err := p.direct(nil)
	if err != nil {
		return false, fmt.Errorf("coalescing events: %w", err)
	}
	by := map[string][]block.Section{}
	for _, s := range all {
		by[sourceOf(&s)] = append(by[sourceOf(&s)], s)
	}
	for _, source := range slices.Sorted(maps.Keys(by)) {
		sections := inOrder(by[source])
		tellOnce(sections, p.head.Offset)
		for _, s := range sections {
			if err := p.add(s); err != nil {
				return false, fmt.Errorf("coalescing events: %w", err)
			}
		}
	}
	if err := p.flush(); err != nil {
		return false, fmt.Errorf("coalescing events: %w", err)
	}
	if !p.pays() {
		return false, nil
	}
	return p.replace(PointDownsample, PointRolledUp)
}

// The labels of an event that stands for several.
const (
	LabelCount = store.LabelCount
	LabelFirst = store.LabelFirst
)

// same is what alike events have in common.
type same struct {
	kind     string
	severity collectors.Severity
	labels   string
}

// kindsApart are the events of which each one counts: what they say of the clock and
// of time that was not measured is no news that repeats itself.
var kindsApart = map[string]bool{store.ClockEvent: true, store.UnmeasuredEvent: true}

// tellOnce leaves of the events of a source that are alike, but for their text, the
// last one, with their number.
func tellOnce(sections []block.Section, offset int64) {
	type last struct {
		batch *collectors.Batch
		event int
		count int
		first int64
	}
	seen := map[same]*last{}
	for i := range sections {
		for j := range sections[i].Batches {
			x := &sections[i].Batches[j]
			kept := make([]collectors.Event, 0, len(x.Events))
			for _, e := range x.Events {
				if kindsApart[e.Kind] || e.Apart() || len(e.Labels)+2 > collectors.MaxLabels { // there is no room for a number
					kept = append(kept, e)
					continue
				}
				k, count, first := alikeness(&e, int64(x.At)+offset)
				if l := seen[k]; l != nil {
					count, first = count+l.count, l.first
					l.batch.Events[l.event].Kind = "" // told with this one
				}
				kept = append(kept, numbered(e, count, first))
				x.Events = kept // the next one alike may be of this batch, too
				seen[k] = &last{x, len(kept) - 1, count, first}
			}
			x.Events = kept
		}
	}
	for i := range sections {
		for j := range sections[i].Batches {
			x := &sections[i].Batches[j]
			x.Events = slices.DeleteFunc(x.Events, func(e collectors.Event) bool { return e.Kind == "" })
		}
	}
}

// alikeness tells what an event has in common with others, how many it stands for,
// and when the first of those was.
func alikeness(e *collectors.Event, at int64) (k same, count int, first int64) {
	k, count, first = same{kind: e.Kind, severity: e.Severity}, 1, at
	for _, l := range e.Labels {
		switch l.Name {
		case LabelCount:
			if n, err := strconv.Atoi(l.Value); err == nil && n > 0 {
				count = n
			}
		case LabelFirst:
			if n, err := strconv.ParseInt(l.Value, 10, 64); err == nil {
				first = n
			}
		default:
			k.labels += strconv.Quote(l.Name) + strconv.Quote(l.Value)
		}
	}
	return k, count, first
}

// numbered is an event that stands for several.
func numbered(e collectors.Event, count int, first int64) collectors.Event {
	if count == 1 {
		return e
	}
	labels := slices.DeleteFunc(slices.Clone(e.Labels), func(l collectors.Label) bool { return l.Name == LabelCount || l.Name == LabelFirst })
	e.Labels = append(labels, collectors.Label{Name: LabelCount, Value: strconv.Itoa(count)},
		collectors.Label{Name: LabelFirst, Value: strconv.FormatInt(first, 10)})
	return e
}
