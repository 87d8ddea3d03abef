package snmp

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// A sink takes what a walk finds, row by row and column by column. index is what
// stands behind the column's identifier and holds for the call only.
type sink interface {
	take(column int, index []byte, v *pdu.Varbind) taking
}

// taking is what a sink makes of a variable.
type taking uint8

const (
	taken    taking = iota
	full            // there is no room for another row
	repeated        // it was there already
)

// column is where the walk of one column stands.
type column struct {
	root   []byte
	last   []byte // the identifier reached
	rows   int
	expect int  // rows of the last walk that came to the end
	table  int  // columns of one table are read side by side
	walked bool // to the end, once
	state  columnState
	err    error
}

type columnState uint8

const (
	notAsked columnState = iota
	open
	complete
	broken // err tells why
)

func (c *column) begin() {
	c.last = append(c.last[:0], c.root...)
	c.rows, c.state, c.err = 0, open, nil
}

func (c *column) end() { c.state, c.expect, c.walked = complete, c.rows, true }

func (c *column) fail(err error) { c.state, c.err = broken, err }

// walker reads columns of tables side by side, as many in one request as the
// device takes. Its memory is kept from walk to walk.
type walker struct {
	pace        pace
	maxRequests int
	unordered   bool // identifiers that do not increase are no error until one repeats

	requests int // of this poll
	varbinds int // of this poll

	group  []int // columns that are read side by side
	chosen []int // those of them that the next request asks for
	oids   [][]byte
	answer []pdu.Varbind

	led int   // variables that stand before the rows in an answer to lead; 0: there is none
	ask shape // what was asked for by lead
}

// answers holds the memory of answers while nobody walks: they are large, and few
// devices are walked at once.
var answers sync.Pool

func (w *walker) borrow() {
	if p, ok := answers.Get().(*[]pdu.Varbind); ok {
		w.answer = (*p)[:0]
	}
}

func (w *walker) giveBack() {
	p := w.answer[:cap(w.answer)]
	w.answer = nil
	clear(p) // it points to what was received
	answers.Put(&p)
}

// maxStrikes is how many requests in a row may go unanswered before the walk ends:
// each has been repeated already as the settings say, and was smaller than the
// one before.
const maxStrikes = 2

// walk reads all columns that are open to their ends and hands what it finds to
// to. A column that misbehaves is stopped and keeps what it has given; the others
// go on. The error is about the walk as a whole: the device fell silent, or time
// ran out; columns then stay open. After lead it goes on from there. What is wrong with one column is in the column.
func (w *walker) walk(ctx context.Context, f fetcher, cols []column, to sink) error {
	strikes := 0
	if w.led == 0 {
		w.group = w.group[:0]
	}
	w.led = 0
	for {
		if w.requests >= w.maxRequests {
			return errTooMany
		}
		ask := w.choose(cols)
		if len(w.chosen) == 0 {
			return nil
		}
		var err error
		w.requests++
		if ask.reps == 0 {
			w.answer, err = f.getNext(ctx, w.oids, w.answer[:0])
		} else {
			w.answer, err = f.getBulk(ctx, w.oids, 0, ask.reps, w.answer[:0])
		}
		w.varbinds += len(w.answer)
		if err == nil && len(w.answer) == 0 {
			err = errEmptyAnswer
		}
		var status *StatusError
		var failure Failure
		switch {
		case err == nil:
			strikes = 0
			w.hand(cols, ask, w.answer, to)
		case ctx.Err() != nil:
			return fmt.Errorf("after %d requests: %w", w.requests, ctx.Err())
		case errors.As(err, &status):
			strikes = 0
			w.refused(cols, ask, status)
		case errors.Is(err, errEmptyAnswer):
			if !w.pace.shrink() {
				w.give(cols, err)
			}
		case errors.As(err, &failure):
			if strikes++; !w.pace.shrink() || strikes > maxStrikes {
				return err
			}
		default:
			return err
		}
	}
}

// choose picks the columns of the next request and how many repetitions. Columns
// that began together stay together until the last has ended: asked for beside one
// that has just begun, the rest of a column brings what nobody wants, and that
// costs as much as what is wanted.
func (w *walker) choose(cols []column) shape {
	ask := w.pace.next()
	w.pick(cols, ask.columns)
	if len(w.chosen) == 0 {
		w.regroup(cols, ask.columns)
		w.pick(cols, ask.columns)
	}
	if len(w.chosen) == 0 || ask.reps == 0 {
		return ask
	}
	ask.reps = min(max(ask.reps, ask.columns*ask.reps/len(w.chosen)), w.pace.maxReps)
	most := 0
	for _, i := range w.chosen {
		c := &cols[i]
		// One more than there were: only that shows that no row has come.
		left := c.expect - c.rows + 1
		if c.expect == 0 && !c.walked || left <= 0 {
			left = ask.reps
		}
		most = max(most, left)
	}
	ask.reps = min(ask.reps, most)
	return ask
}

// pick takes the columns of the group that are still open, the hindmost first:
// where answers are cut off in the middle of a row, the same columns would run
// further ahead each time, and past their end while others have rows left.
func (w *walker) pick(cols []column, most int) {
	w.chosen, w.oids = w.chosen[:0], w.oids[:0]
	least := -1
	for _, i := range w.group {
		if c := &cols[i]; c.state == open && (least < 0 || c.rows < least) {
			least = c.rows
		}
	}
	for _, behind := range [...]bool{true, false} {
		for _, i := range w.group {
			c := &cols[i]
			if c.state == open && (c.rows == least) == behind && len(w.chosen) < most {
				w.chosen = append(w.chosen, i)
				w.oids = append(w.oids, c.last)
			}
		}
	}
}

// fewRows is how many rows a column had that is read beside those of other tables:
// what it brings more than is wanted costs less than another request.
const fewRows = 8

// regroup begins with the next columns of one table, in groups as even as they can
// be: of nine columns where eight may be asked for at once, five and then four.
// Where they leave room, columns of other tables come along, if all are short.
func (w *walker) regroup(cols []column, most int) {
	w.group = w.group[:0]
	short := func(c *column) bool { return c.walked && c.expect <= fewRows }
	shorts := true
	for i := range cols {
		c := &cols[i]
		if c.state != open {
			continue
		}
		if len(w.group) == 0 || c.table == cols[w.group[0]].table {
			w.group = append(w.group, i)
			shorts = shorts && short(c)
		}
	}
	if n := len(w.group); n > most {
		groups := (n + most - 1) / most
		w.group = w.group[:(n+groups-1)/groups]
	}
	if len(w.group) == 0 || !shorts {
		return
	}
	first := cols[w.group[0]].table
	for i := range cols {
		if c := &cols[i]; c.state == open && c.table != first && short(c) && len(w.group) < most {
			w.group = append(w.group, i)
		}
	}
}

// hand gives an answer's variables to their columns.
func (w *walker) hand(cols []column, ask shape, answer []pdu.Varbind, to sink) {
	k := len(w.chosen)
	asked := k * max(ask.reps, 1)
	for i := range answer[:min(asked, len(answer))] {
		n := w.chosen[i%k]
		if c := &cols[n]; c.state == open {
			c.take(n, &answer[i], to, w.unordered)
		}
	}
	w.pace.answered()
	if len(answer) >= asked {
		w.pace.whole()
	}
}

func (c *column) take(n int, v *pdu.Varbind, to sink, unordered bool) {
	if len(v.OID) == 0 {
		c.fail(errNoName)
		return
	}
	index, ok := pdu.Below(v.OID, c.root)
	if !ok && !v.Absent() && pdu.Compare(v.OID, c.root) <= 0 {
		c.fail(errNotIncreasing) // what lies before the column is no end of it
		return
	}
	if !ok || v.Absent() {
		c.end()
		return
	}
	if reached := c.last[len(c.root):]; !unordered && pdu.Compare(index, reached) <= 0 {
		c.fail(errNotIncreasing)
		return
	}
	c.last = append(c.last[:len(c.root)], index...)
	switch to.take(n, index, v) {
	case full:
		c.fail(errTooManyRows)
	case repeated:
		c.fail(errNotIncreasing)
	case taken:
		c.rows++
	}
}

// refused reacts to an answer that is an error. Whatever it does makes the next
// request smaller or ends a column, so that the walk comes to an end.
func (w *walker) refused(cols []column, ask shape, e *StatusError) {
	at := e.Index - 1
	pointed := at >= 0 && at < len(w.chosen)
	switch {
	case e.Status == statusTooBig:
		if !w.pace.shrink() {
			w.give(cols, e)
		}
	case ask.reps > 0:
		// Not every agent that has GetBulk in it can do it.
		w.pace.noBulk()
	case e.Status == statusNoSuchName && pointed:
		cols[w.chosen[at]].end() // how v1 says that nothing follows
	case e.Status == statusNoSuchName && len(w.chosen) == 1:
		cols[w.chosen[0]].end()
	case pointed:
		cols[w.chosen[at]].fail(e)
	case !w.pace.single():
		w.give(cols, e)
	}
}

// give gives up the columns that were asked for.
func (w *walker) give(cols []column, err error) {
	for _, n := range w.chosen {
		cols[n].fail(err)
	}
}
