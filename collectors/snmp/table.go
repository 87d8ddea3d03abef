package snmp

import (
	"bytes"
	"slices"
	"sort"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// table is what is known of one table of one device: its rows in the order of
// their indexes, kept from poll to poll, so that a poll finds the rows where the
// last one left them and allocates nothing.
type table struct {
	plan    *tablePlan
	cols    []column
	rows    []row
	texts   []int  // for each column, where its text stands in a row's texts; -1: it has none
	spare   []cell // for rows to come
	cursor  []int  // for each column, the row that is expected next
	maxRows int
	grown   bool // a row has come in this poll
}

// row is one row. What its slices hold is never moved, for layouts point into it.
type row struct {
	index []byte
	cells []cell   // one for each column
	texts []string // of its text columns; each is kept until another is read
}

// slab is for how many rows at once there is made room.
const slab = 8

type pinState uint8

const (
	undecided pinState = iota
	preferred
	fallback
)

func newTable(p *tablePlan, maxRows int) *table {
	t := &table{plan: p, cols: make([]column, len(p.columns)), cursor: make([]int, len(p.columns)), maxRows: maxRows}
	texts := 0
	for i := range p.columns {
		t.cols[i].root = p.columns[i].oid
		t.texts = append(t.texts, -1)
		if p.columns[i].kind == collectors.Text {
			t.texts[i] = texts
			texts++
		}
	}
	return t
}

// text is where the text of a column of a row is kept, or nil.
func (t *table) text(r *row, col int) *string {
	if i := t.texts[col]; i >= 0 {
		return &r.texts[i]
	}
	return nil
}

// begin forgets the last poll's values. No column is asked for until it is opened.
func (t *table) begin() {
	t.grown = false
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
func (t *table) open(want func(column int) bool) (any bool) {
	for i := range t.cols {
		if t.cols[i].state == notAsked && want(i) {
			t.cols[i].begin()
			any = true
		}
	}
	return any
}

// take is the walk's sink.
func (t *table) take(col int, index []byte, v *pdu.Varbind) bool {
	i := t.cursor[col]
	if i >= len(t.rows) || !bytes.Equal(t.rows[i].index, index) {
		var ok bool
		if i, ok = t.locate(i, index); !ok {
			return false
		}
	}
	t.cursor[col] = i + 1
	r := &t.rows[i]
	r.cells[col].set(v, t.text(r, col))
	return true
}

// locate finds the row at or behind place from, or makes it.
func (t *table) locate(from int, index []byte) (int, bool) {
	i := from + sort.Search(len(t.rows)-from, func(i int) bool {
		return pdu.Compare(t.rows[from+i].index, index) >= 0
	})
	if i < len(t.rows) && bytes.Equal(t.rows[i].index, index) {
		return i, true
	}
	if len(t.rows) >= t.maxRows {
		return 0, false
	}
	n := len(t.plan.columns)
	if len(t.spare) < n {
		t.spare = make([]cell, slab*n)
	}
	texts := 0
	for _, at := range t.texts {
		texts = max(texts, at+1)
	}
	t.rows = slices.Insert(t.rows, i, row{index: bytes.Clone(index), cells: t.spare[:n:n], texts: make([]string, texts)})
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

// whole tells whether every column that was asked for came to its end.
func (t *table) whole() bool {
	for i := range t.cols {
		if s := t.cols[i].state; s == open || s == broken {
			return false
		}
	}
	return true
}

// vanished tells whether some row gave nothing at all in this poll.
func (t *table) vanished() bool { return slices.ContainsFunc(t.rows, row.empty) }

// prune drops the rows that gave nothing in this poll. It must only be asked
// after a walk that was whole.
func (t *table) prune() { t.rows = slices.DeleteFunc(t.rows, row.empty) }

func (r row) empty() bool {
	for i := range r.cells {
		if r.cells[i].tag != 0 {
			return false
		}
	}
	return true
}

// unpin forgets what each row was found to have, after a restart: it may be
// another interface now.
func (t *table) unpin() {
	for _, r := range t.rows {
		for c := range r.cells {
			r.cells[c].known, r.cells[c].pin = false, undecided
		}
	}
}

// settle decides, after a poll that asked for all columns, which columns each row
// has series for.
func (t *table) settle() {
	t.rows = exact(t.rows)
	for c := range t.plan.columns {
		o := &t.plan.columns[c]
		if o.use == label && t.cols[c].state == complete {
			for i := range t.rows {
				r := &t.rows[i]
				if text := t.text(r, c); r.cells[c].tag == 0 && text != nil {
					*text = "" // it is gone, and not only lost
				}
			}
		}
		if o.insteadOf == 0 {
			continue
		}
		first := o.insteadOf - 1
		for _, r := range t.rows {
			if o.pinned && r.cells[c].pin != undecided {
				continue
			}
			r.cells[c].pin = r.decide(&t.cols[first], first, c, o.pinned)
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

func (r *row) decide(firstColumn *column, first, second int, pinned bool) pinState {
	a, b := &r.cells[first], &r.cells[second]
	switch {
	case a.tag != 0 && (pinned || a.num != 0 || b.tag == 0 || b.num == 0):
		return preferred
	case a.tag != 0:
		return fallback // a speed below one megabit is 0 megabits
	case firstColumn.state != complete:
		return undecided // it may only have got lost
	case b.tag != 0:
		return fallback
	}
	return undecided
}

// has tells whether there is a series for a column of a row.
func (t *table) has(r *row, col int) bool {
	o := &t.plan.columns[col]
	if o.use != metric || !r.cells[col].known {
		return false
	}
	if o.insteadOf > 0 {
		return r.cells[col].pin == fallback
	}
	for c := range t.plan.columns {
		if t.plan.columns[c].insteadOf == col+1 && r.cells[c].pin == fallback {
			return false
		}
	}
	return true
}
