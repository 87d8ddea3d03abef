package snmp

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// A poll of a device that is known has no request for the scalars alone: the first
// GetBulk of the walk asks for them too, as its non-repeaters. An agent that does
// not do these right is asked in two requests again, and what it has answered is
// not used.

// maxLeadFaults is after how many faults in a row an agent is not tried any more.
// After one it is not until names are read.
const maxLeadFaults = 3

// errNotLed is for this package only: the scalars are to be asked for alone.
const (
	errNotLed        trouble = "the scalars and the first rows did not come together"
	errNothingToLead trouble = "no rows are due"
)

// leading is how an agent does with scalars in front of a walk.
type leading struct {
	off    bool // until names are read
	faults int  // in a row
	heads  [][]byte
}

// mayLead tells whether to ask for scalars and rows at once: of a device that was
// there in the last poll, and as much as it has answered before.
func (c *Collector) mayLead() bool {
	return c.layout != nil && c.failures == 0 && !c.linked.unconnected &&
		!c.leading.off && c.leading.faults < maxLeadFaults && c.walker.pace.leads()
}

// lead asks for the scalars and for the first rows of what is due. The rows stay
// with the walker until they are handed over. An error other than errNotLed is of
// the request as a whole.
func (c *Collector) lead(ctx context.Context) error {
	which, heads := c.asking(c.front), c.leading.heads[:0]
	for _, i := range which {
		oid := c.plan.scalars.objects[i].oid
		if !bytes.HasSuffix(oid, []byte{0}) {
			return errNotLed
		}
		heads = append(heads, oid[:len(oid)-1])
	}
	c.leading.heads = heads
	c.openTables()
	answer, err := c.walker.lead(ctx, c.link, c.cols, heads)
	if err == nil && !c.led(which, answer) {
		c.walker.led, err = 0, errNotLed
	}
	switch {
	case err == nil:
		c.leading.faults = 0
	case ctx.Err() == nil && !errors.Is(err, errNothingToLead):
		c.leading.off = true
		c.leading.faults++
	}
	if status := (*StatusError)(nil); errors.As(err, &status) || errors.Is(err, errNothingToLead) {
		return errNotLed
	}
	return err
}

// led takes over the scalars that stand in front of an answer. It returns false,
// and takes nothing, where one that the device has is not there.
func (c *Collector) led(which []int, answer []pdu.Varbind) bool {
	is := func(n int) bool {
		return bytes.Equal(answer[n].OID, c.plan.scalars.objects[which[n]].oid) && !answer[n].Absent()
	}
	r := &c.scalars.rows[0]
	for n, i := range which {
		if r.cells[i].known && !is(n) {
			return false
		}
	}
	for n, i := range which {
		c.asked[i] = true
		if is(n) { // else it is what follows the place of one that the device lacks
			c.scalars.set(r, i, &answer[n])
		}
	}
	return true
}

// lead sends the first request of a walk with heads in front of it, and returns
// what stands for them in the answer.
func (w *walker) lead(ctx context.Context, f fetcher, cols []column, heads [][]byte) ([]pdu.Varbind, error) {
	w.group = w.group[:0]
	w.ask = w.choose(cols)
	if len(w.chosen) == 0 || w.ask.reps == 0 {
		return nil, errNothingToLead
	}
	w.oids = slices.Insert(w.oids, 0, heads...)
	w.requests++
	var err error
	w.answer, err = f.getBulk(ctx, w.oids, len(heads), w.ask.reps, w.answer[:0])
	w.varbinds += len(w.answer)
	if err != nil {
		return nil, err
	}
	if !w.aligned(cols, len(heads)) {
		return nil, errNotLed
	}
	w.led = len(heads)
	return w.answer[:len(heads)], nil
}

// aligned tells whether behind the heads of an answer the columns stand where
// they should: the first two rows tell, for whatever an agent makes of the
// non-repeaters moves them all.
func (w *walker) aligned(cols []column, heads int) bool {
	k := len(w.chosen)
	if len(w.answer) < heads || len(w.answer) > heads+k*w.ask.reps {
		return false
	}
	for i, v := range w.answer[heads:min(heads+2*k, len(w.answer))] {
		c := &cols[w.chosen[i%k]]
		if _, ok := pdu.Below(v.OID, c.root); !ok && i/k < c.expect {
			return false
		}
	}
	return true
}

// follow hands over the rows that came with the scalars.
func (w *walker) follow(cols []column, to sink) {
	if w.led > 0 {
		w.hand(cols, w.ask, w.answer[w.led:], to)
	}
}
