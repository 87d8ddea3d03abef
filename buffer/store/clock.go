package store

import (
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// What was sealed while the clock was unsure keeps its bytes; its times are put
// right here. The table clock has a row for each boot in which that happened:
//
//   - until the box knows better, the offset of the newest unsure block of the boot,
//     which all of them are read with: a clock that jumps misorders nothing;
//   - once the box knows, what its clock event says. Of several the earliest counts,
//     in whatever order they come.
//
// The columns t0 and t1 of those blocks follow, in the transaction that brings the
// news or, where they are very many, in those after it.

// EventSource is the source of the box's own events, the only ones that are
// believed about the clock.
const EventSource = "events"

// ClockEvent is the kind of the event that tells a boot's offset.
const ClockEvent = "clock"

// Clock is what is known of the wall clock in one boot.
type Clock struct {
	Offset int64 // wall time in Unix ms = stamp + Offset
	Sure   bool  // an event said so; else it is the newest unsure block's
	At     collectors.Stamp
}

// NewClockEvent is the event by which a box tells the offset of its boot. It counts
// only in a block of that boot and offset.
func NewClockEvent(boot [16]byte, offset int64) collectors.Event {
	return collectors.Event{Kind: ClockEvent, Severity: collectors.Info,
		Text:   "The clock is synchronised; the times of what was collected before, in this boot, are corrected.",
		Labels: []collectors.Label{{Name: "boot", Value: hex.EncodeToString(boot[:])}, {Name: "offset", Value: strconv.FormatInt(offset, 10)}},
	}
}

// The wall times that an event is believed about: 2024 to 2124, in ms.
const (
	earliest = 1704067200 * 1000
	latest   = earliest + 100*365*86400*1000
)

// clockTold returns what an events block says about its own boot.
func (t *Tx) clockTold(b *block.Block) (c Clock, ok bool) {
	if b.Class != block.Events || !b.Sure || b.Boot == ([16]byte{}) {
		return c, false
	}
	sections, _, err := t.s.codec.Decode(b, t.Schema, func(c *block.Cover) bool { return c.Source == EventSource })
	if err != nil {
		return c, false // it is kept all the same, and says nothing
	}
	want := NewClockEvent(b.Boot, b.Offset)
	for i := range sections {
		for j := range sections[i].Batches {
			x := &sections[i].Batches[j]
			for k := range x.Events {
				e := &x.Events[k]
				if e.Kind != ClockEvent || labelOf(e, "boot") != want.Labels[0].Value || labelOf(e, "offset") != want.Labels[1].Value {
					continue
				}
				if wall := b.Wall(x.At); wall >= earliest && wall < latest && (!ok || x.At < c.At) {
					c, ok = Clock{Offset: b.Offset, Sure: true, At: x.At}, true
				}
			}
		}
	}
	return c, ok
}

func labelOf(e *collectors.Event, name string) string {
	for _, l := range e.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// Clock returns what is known of a boot; ok is false where nothing was sealed in it
// while the clock was unsure.
func (t *Tx) Clock(probe int64, boot [16]byte) (c Clock, ok bool, err error) {
	if t.s.version < 2 {
		return c, false, nil // opened for reading before it was brought up to date
	}
	err = t.queryRow("SELECT offset, sure, at FROM clock WHERE probe=? AND boot=?", probe, boot[:]).Scan(&c.Offset, &c.Sure, &c.At)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("looking up the clock of a boot: %w", err)
	}
	return c, true, nil
}

// drift is by how much At of a boot that is not known yet may lag behind its newest
// block, in ms: or every commit would write it.
const drift = 10 * 60 * 1000

// learnClock takes in what a block tells of the clock, and returns the offset by
// which the block itself is put in time.
func (t *Tx) learnClock(probe int64, b *block.Block) (offset int64, err error) {
	told, ok := t.clockTold(b)
	if b.Boot == ([16]byte{}) || b.Sure && !ok {
		return b.Offset, nil
	}
	was, found, err := t.Clock(probe, b.Boot)
	if err != nil {
		return 0, err
	}
	next := was
	switch {
	case ok && (!was.Sure || told.At < was.At):
		next = told
	case !b.Sure && !found, !b.Sure && !was.Sure && b.T1 > was.At && (b.Offset != was.Offset || b.T1 > was.At+drift):
		next = Clock{Offset: b.Offset, At: b.T1}
	}
	if next != was || !found {
		// Rows of a boot that is new here can only be those that are still to come.
		_, err := t.exec("INSERT INTO clock(probe, boot, offset, sure, at, todo) VALUES(?1,?2,?3,?4,?5,?6) "+
			"ON CONFLICT DO UPDATE SET offset=?3, sure=?4, at=?5, todo=max(todo, ?6)",
			probe, b.Boot[:], next.Offset, next.Sure, next.At, found && next.Offset != was.Offset)
		if err != nil {
			return 0, fmt.Errorf("keeping the clock of a boot: %w", err)
		}
	}
	if b.Sure {
		return b.Offset, nil
	}
	return next.Offset, nil
}

// maxCorrected bounds how many blocks one transaction puts in another time.
const maxCorrected = 1000

// CorrectTimes brings t0 and t1 of unsure blocks to where the clocks of their boots
// put them. What is left is for the next call.
func (t *Tx) CorrectTimes(probe int64) error {
	type boot struct {
		id     []byte
		offset int64
	}
	var todo []boot
	err := t.each("SELECT boot, offset FROM clock WHERE probe=? AND todo=1", []any{probe}, func(scan func(...any) error) error {
		var x boot
		err := scan(&x.id, &x.offset)
		todo = append(todo, x)
		return err
	})
	if err != nil {
		return fmt.Errorf("looking for times to correct: %w", err)
	}
	left := int64(maxCorrected)
	for _, x := range todo {
		res, err := t.exec("UPDATE block SET t0=t0-shift+?1, t1=t1-shift+?1, shift=?1 WHERE seq IN ("+
			"SELECT seq FROM block INDEXED BY block_unsure WHERE probe=?2 AND boot=?3 AND shift<?1 UNION ALL "+
			"SELECT seq FROM block INDEXED BY block_unsure WHERE probe=?2 AND boot=?3 AND shift>?1 LIMIT ?4)", x.offset, probe, x.id, left)
		if err != nil {
			return fmt.Errorf("correcting times: %w", err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if left -= n; left <= 0 {
			return nil
		}
		if _, err := t.exec("UPDATE clock SET todo=0 WHERE probe=? AND boot=?", probe, x.id); err != nil {
			return fmt.Errorf("correcting times: %w", err)
		}
	}
	return nil
}

// ForgetClocks deletes the clocks of boots of which neither an epoch nor a block
// that could need them is left; keep is the present boot.
func (t *Tx) ForgetClocks(probe int64, keep [16]byte) error {
	_, err := t.exec("DELETE FROM clock WHERE probe=?1 AND boot<>?2 AND boot NOT IN (SELECT boot FROM epoch WHERE probe=?1) "+
		"AND NOT EXISTS(SELECT 1 FROM block b INDEXED BY block_unsure WHERE b.probe=?1 AND b.boot=clock.boot)", probe, keep[:])
	if err != nil {
		return fmt.Errorf("forgetting clocks: %w", err)
	}
	return nil
}

// Clocks looks up what is known of a probe's boots, each once.
type Clocks struct {
	tx    *Tx
	probe int64
	known map[[16]byte]*Clock
}

// Clocks returns the clocks of a probe, for as long as the transaction lasts.
func (t *Tx) Clocks(probe int64) *Clocks {
	return &Clocks{tx: t, probe: probe, known: map[[16]byte]*Clock{}}
}

// Correct gives the head of a block that was sealed while the clock was unsure the
// offset that its boot is known to have; Sure tells then whether that is for
// certain. Other heads stay as they are.
func (c *Clocks) Correct(h *block.Head) error {
	if h.Sure || h.Boot == ([16]byte{}) {
		return nil
	}
	k, ok := c.known[h.Boot]
	if !ok {
		x, found, err := c.tx.Clock(c.probe, h.Boot)
		if err != nil {
			return err
		}
		if found {
			k = &x
		}
		c.known[h.Boot] = k
	}
	if k != nil {
		h.Offset, h.Sure = k.Offset, k.Sure
	}
	return nil
}
