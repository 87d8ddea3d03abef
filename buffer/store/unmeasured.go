package store

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// UnmeasuredEvent is the kind of the box's event about time in which it did not
// run. The event's labels from and to are for people; its own time is where that
// ended.
const UnmeasuredEvent = "unmeasured"

// Span is a stretch of wall time, Unix ms.
type Span struct {
	From, To int64
	Unsure   bool // an end of it is by a clock that was not synchronised
}

// Unmeasured returns the times after unclean ends in which a box measured nothing,
// as far as they touch the time asked for (to 0: no bound), in order. Availability
// leaves them out.
func (s *Store) Unmeasured(ctx context.Context, probe string, from, to int64) (out []Span, err error) {
	if to == 0 {
		to = 1 << 60
	}
	err = s.View(func(tx *Tx) error {
		id, err := tx.FindProbe(probe)
		if err != nil || id == 0 {
			return err
		}
		clocks := tx.Clocks(id)
		return tx.events(ctx, id, EventSource, from, func(hd *block.Head, x *collectors.Batch) error {
			for i := range x.Events {
				if e := &x.Events[i]; e.Kind == UnmeasuredEvent {
					u, err := unmeasured(e, hd, x.At, clocks)
					if err != nil {
						return err
					}
					if u != nil && u.From < to && u.To > from {
						out = append(out, *u)
					}
				}
			}
			return nil
		})
	})
	slices.SortFunc(out, func(a, b Span) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return out, err
}

// unmeasured reads the event; nil where it makes no sense.
func unmeasured(e *collectors.Event, hd *block.Head, at collectors.Stamp, clocks *Clocks) (*Span, error) {
	t, err := time.Parse(time.RFC3339Nano, labelOf(e, "from"))
	if err != nil {
		return nil, nil
	}
	u := &Span{From: t.UnixMilli(), To: hd.Wall(at), Unsure: !hd.Sure}
	if b, err := hex.DecodeString(labelOf(e, "from_boot")); err == nil && len(b) == 16 {
		h := block.Head{Boot: [16]byte(b)}
		stamp, err := strconv.ParseInt(labelOf(e, "from_stamp"), 10, 64)
		if err != nil || stamp < 0 {
			return nil, nil
		}
		h.Offset = u.From - stamp
		if err := clocks.Correct(&h); err != nil {
			return nil, err
		}
		u.From, u.Unsure = h.Wall(collectors.Stamp(stamp)), u.Unsure || !h.Sure
	}
	if u.From > u.To {
		return nil, nil // one of the two clocks was wrong for certain
	}
	return u, nil
}

// events calls f for the batches of a probe's events blocks that end no earlier
// than from, the newest block first, with heads whose clock is corrected; only those
// of one source, unless that is empty. An f that returns errEnough has had enough.
func (t *Tx) events(ctx context.Context, probe int64, source string, from int64, f func(*block.Head, *collectors.Batch) error) error {
	var wants func(*block.Cover) bool // nil: all
	if source != "" {
		wants = func(c *block.Cover) bool { return c.Source == source }
	}
	return t.eventSections(ctx, probe, from, wants, func(hd *block.Head, s *block.Section) error {
		for j := range s.Batches {
			if err := f(hd, &s.Batches[j]); err != nil {
				return err
			}
		}
		return nil
	})
}

// eventSections is events by whole sections, and only those that wants chooses (nil:
// all).
func (t *Tx) eventSections(ctx context.Context, probe, from int64, wants func(*block.Cover) bool, f func(*block.Head, *block.Section) error) error {
	clocks := t.Clocks(probe)
	return t.each("SELECT seq, head, body FROM block WHERE probe=? AND class=? AND t1>=? ORDER BY t1 DESC", []any{probe, block.Events, from},
		func(scan func(...any) error) error {
			var seq int64
			var head, body []byte
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := scan(&seq, &head, &body); err != nil {
				return err
			}
			b, err := block.Parse(append(head, body...))
			if err != nil {
				t.s.bad.block(seq)
				return nil // a damaged block hides its own events only
			}
			hd := &b.Head
			kept := hd.Offset
			if err := clocks.Correct(hd); err != nil {
				return err
			}
			sections, _, err := t.s.codec.Decode(b, t.Schema, wants)
			if err != nil {
				return nil
			}
			for i := range sections {
				for j := range sections[i].Batches {
					for k := range sections[i].Batches[j].Events {
						Retime(&sections[i].Batches[j].Events[k], hd.Offset-kept)
					}
				}
				if err := f(hd, &sections[i]); err != nil {
					return err
				}
			}
			return nil
		})
}
