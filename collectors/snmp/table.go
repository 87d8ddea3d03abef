package snmp

import (
	"bytes"
	"slices"
	"sort"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// table is what is known of one table of one device: its rows in the order of
// their indexes, kept from poll to poll, so that a poll finds the rows where the
// last one left them and allocates nothing.
type table struct {
	plan    *tablePlan
	cols    []column // part of the device's; none of the scalars'
	first   int      // where they begin there
	rows    []row
	spare   []cell // for rows to come
	cursor  []int  // for each column, the row that is expected next
	maxRows int
	room    *int // bytes that rows of the device may yet take
	grown   bool // a row has come in this poll
	fresh   bool // so has a value where there was none before
	naming  bool // names of its rows are read in this poll

	emptied time.Time // since when it shows none of the rows that there were

	falls      []fall            // counters that have decreased in this poll
	before     map[string]string // what interfaces were known by, while names are read
	renumbered bool              // in this poll
}

// row is one row. What its slices hold is never moved, for layouts point into it.
type row struct {
	index []byte
	cells []cell // one for each object
	texts []kept // of those that have text; each is kept until another is read
}

// slab is for how many rows at once there is made room.
const slab = 8

type pinState uint8

const (
	undecided pinState = iota
	preferred
	fallback
)

// newTable makes a table over cols, which are its columns.
func newTable(p *tablePlan, cols []column, first, maxRows int, room *int) *table {
	t := &table{plan: p, cols: cols, first: first, cursor: make([]int, len(cols)), maxRows: maxRows, room: room}
	for i := range cols {
		cols[i].root = p.objects[i].oid
	}
	return t
}

// newScalars makes the table of one row that a device's scalars are.
func newScalars(p *tablePlan) *table {
	t := &table{plan: p}
	t.rows = []row{{cells: make([]cell, len(p.objects)), texts: make([]kept, p.texts)}}
	return t
}

// text is where the text of an object of a row is kept, or nil.
func (t *table) text(r *row, object int) *kept {
	if i := t.plan.objects[object].text; i >= 0 {
		return &r.texts[i]
	}
	return nil
}

// begin forgets the last poll's values. No column is asked for until it is opened.
func (t *table) begin() {
	t.grown, t.fresh, t.naming, t.renumbered = false, false, false, false
	t.falls, t.before = t.falls[:0], nil
	for i := range t.cols {
		t.cols[i].state = notAsked
		t.cursor[i] = 0
	}
	for _, r := range t.rows {
		for c := range r.cells {
			r.cells[c].tag = 0
		}
	}
}

// open makes the walk read the columns that want says, and were not yet.
func (t *table) open(want func(column int) bool) {
	for i := range t.cols {
		if t.cols[i].state == notAsked && want(i) {
			t.cols[i].begin()
		}
	}
}

// take is the walk's sink, of one table.
func (t *table) take(col int, index []byte, v *pdu.Varbind) taking {
	i := t.cursor[col]
	if i >= len(t.rows) || !bytes.Equal(t.rows[i].index, index) {
		var ok bool
		if i, ok = t.locate(i, index); !ok {
			return full
		}
	}
	t.cursor[col] = i + 1
	r := &t.rows[i]
	if r.cells[col].tag != 0 {
		return repeated
	}
	t.set(r, col, v)
	return taken
}

// set gives a value to all objects that are made of a column.
func (t *table) set(r *row, col int, v *pdu.Varbind) {
	for i := col; ; {
		o, c := &t.plan.objects[i], &r.cells[i]
		t.fresh = t.fresh || !c.known
		if v.Num < c.num && c.known && (v.Tag == pdu.TagCounter32 || v.Tag == pdu.TagCounter64) && o.use == metric {
			t.fell(r, i, c.num, v)
		}
		c.set(o, v, t.text(r, i))
		if i = o.echo; i == 0 {
			return
		}
	}
}

// locate finds the row, at or behind place from where identifiers rise, or makes
// it.
func (t *table) locate(from int, index []byte) (int, bool) {
	if from > 0 && pdu.Compare(t.rows[from-1].index, index) > 0 {
		from = 0
	}
	i := from + sort.Search(len(t.rows)-from, func(i int) bool {
		return pdu.Compare(t.rows[from+i].index, index) >= 0
	})
	if i < len(t.rows) && bytes.Equal(t.rows[i].index, index) {
		return i, true
	}
	if len(t.rows) >= t.maxRows || *t.room < t.rowSize() {
		return 0, false
	}
	*t.room -= t.rowSize()
	n := len(t.plan.objects)
	if len(t.spare) < n {
		t.spare = make([]cell, slab*n)
	}
	t.rows = slices.Insert(t.rows, i, row{index: bytes.Clone(index), cells: t.spare[:n:n], texts: make([]kept, t.plan.texts)})
	t.spare = t.spare[n:]
	// Columns that have passed this place expect what now stands one further.
	for c := range t.cursor {
		if t.cursor[c] > i {
			t.cursor[c]++
		}
	}
	t.grown = true
	return i, true
}

// maxRoom is what the rows of one device may take together, were all their texts as
// long as they may be: an interface takes about a kilobyte.
const maxRoom = 8 << 20

func (t *table) rowSize() int { return 64 + 16*len(t.plan.objects) + maxKept*t.plan.texts }

// asked tells whether anything of the table is read in this poll.
func (t *table) asked() bool {
	return slices.ContainsFunc(t.cols, func(c column) bool { return c.state != notAsked })
}

// whole tells whether every column that was asked for came to its end.
func (t *table) whole() bool {
	for i := range t.cols {
		if s := t.cols[i].state; s == open || s == broken {
			return false
		}
	}
	return true
}

// gone tells whether a row gave nothing in this poll, although something that it
// had was asked for. Of one that has restarted it is not known what it had.
func (t *table) gone(r *row) bool {
	had, known := false, false
	for i := range r.cells {
		if r.cells[i].tag != 0 {
			return false
		}
		known = known || r.cells[i].known
		had = had || r.cells[i].known && t.cols[t.plan.objects[i].column].state != notAsked
	}
	return had || !known && t.naming
}

// vanished tells whether some row is gone.
func (t *table) vanished() bool {
	for i := range t.rows {
		if t.gone(&t.rows[i]) {
			return true
		}
	}
	return false
}

// bare tells whether all of the rows that there were are gone.
func (t *table) bare() bool {
	for i := range t.rows {
		if !t.gone(&t.rows[i]) {
			return false
		}
	}
	return len(t.rows) > 0
}

// prune drops the rows that are gone. It must only be asked after a walk that was
// whole.
func (t *table) prune() {
	before := len(t.rows)
	t.rows = slices.DeleteFunc(t.rows, func(r row) bool { return t.gone(&r) })
	*t.room += (before - len(t.rows)) * t.rowSize()
}

// unpin forgets what each row was found to have, after a restart: it may be
// another interface now.
func (t *table) unpin() {
	for i := range t.rows {
		t.rows[i].unpin()
	}
}

// unpin leaves what was read in this poll.
func (r *row) unpin() {
	for i := range r.cells {
		c := &r.cells[i]
		if c.pin = undecided; c.tag == 0 {
			c.known, c.kind = false, 0
		}
	}
}

// complete tells whether all of an object's column was read in this poll. Scalars
// are.
func (t *table) complete(object int) bool {
	return t.cols == nil || t.cols[t.plan.objects[object].column].state == complete
}

// settle decides, after a poll that asked for all columns, which columns each row
// has series for.
func (t *table) settle() {
	t.rows = exact(t.rows)
	for c := range t.plan.objects {
		o := &t.plan.objects[c]
		if o.text >= 0 && t.cols != nil && t.complete(c) {
			for i := range t.rows {
				r := &t.rows[i]
				if r.cells[c].tag == 0 {
					*t.text(r, c) = "" // it is gone, and not only lost
				}
			}
		}
		first := o.insteadOf - 1
		if first < 0 || t.cols != nil && t.cols[o.column].state == notAsked {
			continue
		}
		for _, r := range t.rows {
			if o.pinned && r.cells[c].pin != undecided {
				continue
			}
			r.cells[c].pin = r.decide(t.complete(first), first, c, o.pinned)
		}
	}
}

// exact gives a slice without room for more.
func exact[T any](s []T) []T {
	if len(s) == cap(s) {
		return s
	}
	return append(make([]T, 0, len(s)), s...)
}

func (r *row) decide(firstComplete bool, first, second int, pinned bool) pinState {
	a, b := &r.cells[first], &r.cells[second]
	switch {
	case a.tag == 0 && b.tag == 0:
		return b.pin
	case a.tag != 0 && (pinned || a.num != 0 || b.tag == 0 || b.num == 0):
		return preferred
	case a.tag != 0:
		return fallback // a speed below one megabit is 0 megabits
	case !firstComplete:
		return undecided // it may only have got lost
	}
	return fallback
}

// has tells whether there is a series for an object of a row.
func (t *table) has(r *row, object int) bool {
	o := &t.plan.objects[object]
	c := &r.cells[object]
	if o.use != metric || !c.known || o.kind == 0 && c.kind == 0 {
		return false
	}
	if o.insteadOf > 0 {
		return c.pin == fallback
	}
	if o.stoodIn {
		for i := range t.plan.objects {
			if t.plan.objects[i].insteadOf == object+1 && r.cells[i].pin == fallback {
				return false
			}
		}
	}
	return true
}
