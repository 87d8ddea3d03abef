package buffer

import (
	"encoding/hex"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// Clock is what the buffer needs of the box's clock; package host has it.
type Clock interface {
	// Now is CLOCK_BOOTTIME.
	Now() collectors.Stamp
	// Offset is wall time in Unix ms minus Now, steady against small corrections,
	// and whether the clock is synchronised.
	Offset() (ms int64, sure bool)
	// Boot is the kernel's boot id; all zero where nothing tells it.
	Boot() [16]byte
}

// clockState is what the buffer remembers of the clock in this boot.
type clockState struct {
	known  atomic.Int64 // the last offset that was sure in this boot; 0: none was
	least  atomic.Int64 // wall time of the last commit before this boot, Unix ms; 0: not known
	unsure bool         // something was sealed while the clock was unsure
	told   bool         // the clock event was added
}

// offset is the clock's offset. One that is unsure is not believed to have been
// stepped, where there was a sure one in this boot; nor to show less than was
// reached before this boot: a box that starts in 1970 goes on from where it was.
func (b *Buffer) offset() (ms int64, sure bool) {
	ms, sure = b.opt.Clock.Offset()
	if sure {
		b.clock.known.Store(ms)
		return ms, true
	}
	if known := b.clock.known.Load(); known != 0 {
		return known, false
	}
	return max(ms, b.clock.least.Load()), false
}

// KnownOffset returns the offset that was sure last in this boot, also before the
// program was started anew.
func (b *Buffer) KnownOffset() (ms int64, ok bool) {
	ms = b.clock.known.Load()
	return ms, ms != 0
}

// Correct gives a block's head the offset that is known by now for its boot; where
// it was sure, or nothing is known, it stays as it is.
func (b *Buffer) Correct(h *block.Head) {
	if h.Sure {
		return
	}
	err := b.view(func(tx *store.Tx) error {
		probe, err := tx.FindProbe(b.opt.Probe)
		if err != nil {
			return err
		}
		return tx.Clocks(probe).Correct(h)
	})
	if err != nil {
		b.log.Debug("correcting the clock of a block", "error", err)
	}
}

func (b *Buffer) wallNow() (ms int64, sure bool) {
	off, sure := b.offset()
	return int64(b.opt.Clock.Now()) + off, sure
}

// newest is the wall time of the newest batch. What a boot has left whose clock was
// ahead, and was never corrected, does not count: all else would seem old beside it.
func (b *Buffer) newest(tx *store.Tx) (int64, error) {
	newest, err := tx.NewestBlock(b.probe)
	now, _ := b.wallNow()
	return min(newest, now), err
}

// noteClock adds the one event of a boot that corrects what was sealed in it while
// the clock was unsure, once it no longer is. The caller holds mu.
func (b *Buffer) noteClock(offset int64, sure bool) {
	boot := b.epoch.Boot
	switch {
	case boot == [16]byte{}: // it might be any other boot's, too
	case !sure:
		b.clock.unsure = true
	case b.clock.unsure && !b.clock.told:
		b.clock.told = true
		e := store.NewClockEvent(boot, offset)
		// Past the limit on events: all others can be done without.
		b.place(collectors.Batch{Source: EventSource, At: b.opt.Clock.Now(), Events: []collectors.Event{e}}, block.ID{}, offset, sure)
	}
}

// recallClock finds out what earlier openings in this boot have sealed and told,
// and until when boots before it have lasted.
func (b *Buffer) recallClock(tx *store.Tx) error {
	boot := b.opt.Clock.Boot()
	k, ok, err := tx.Clock(b.probe, boot)
	if err != nil {
		return err
	}
	var last, own epochMark // before this boot, and in it
	for _, m := range b.marks {
		switch {
		case m.Boot != boot && m.N > last.N:
			last = m
		case m.Boot == boot && m.N > own.N && (m.Sure || m.Was):
			own = m
		}
	}
	least, _, err := last.corrected(tx.Clocks(b.probe))
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if boot != ([16]byte{}) {
		b.clock.known.CompareAndSwap(0, own.LastCommit-int64(own.At))
	}
	b.clock.unsure = b.clock.unsure || ok
	b.clock.told = ok && k.Sure
	b.clock.least.Store(least)
	return nil
}

// UnmeasuredEvent is the kind of the event about the time from the last commit to
// the next start when the box did not end in good order: what happened then,
// nobody measured.
const UnmeasuredEvent = store.UnmeasuredEvent

// unmeasured makes the event about how the epoch before ended; ok is false where
// it was closed in good order.
func (b *Buffer) unmeasured(tx *store.Tx, epochs []store.Epoch) (e collectors.Event, ok bool, err error) {
	var last epochMark
	for _, m := range b.marks {
		if m.N > last.N {
			last = m
		}
	}
	// Without its row it was in a database that is gone.
	if n := len(epochs); n > 0 && epochs[n-1].N >= last.N {
		if epochs[n-1].End == store.Clean {
			return e, false, nil
		}
		last = b.marks[epochs[n-1].ID]
	}
	if last.LastCommit == 0 {
		return e, false, nil
	}
	from, sure, err := last.corrected(tx.Clocks(b.probe))
	if err != nil {
		return e, false, err
	}
	to, toSure := b.wallNow()
	e = collectors.Event{Kind: UnmeasuredEvent, Severity: collectors.Warning,
		Text:   "siteprobe did not end in good order; nothing was measured from its last commit until it started again.",
		Labels: []collectors.Label{{Name: "from", Value: instant(from)}, {Name: "to", Value: instant(to)}}}
	if !sure {
		// By these a reader finds the time once the clock event of that boot is here.
		e.Labels = append(e.Labels, collectors.Label{Name: "from_boot", Value: hex.EncodeToString(last.Boot[:])},
			collectors.Label{Name: "from_stamp", Value: strconv.FormatInt(int64(last.At), 10)})
	}
	if !sure || !toSure {
		e.Labels = append(e.Labels, collectors.Label{Name: "quality", Value: "clock_unsure"})
	}
	return e, true, nil
}

func instant(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
