package snmp

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// watch looks at what hints that names are no longer what they were, and tells
// whether they are to be read in this poll.
func (c *Collector) watch() (names bool) {
	names = c.layout == nil || c.cfg.Profile == nil && !c.is.known || c.start.Sub(c.namesAt) >= c.cfg.NamesEvery
	names = c.suspect() || names
	if v := c.scalar(ifTableLastChange); v.tag != 0 {
		names = names || v.num != c.changed.num
		c.changed = *v
	}
	return names
}

// readRest reads the scalars that the poll has not begun with, and with names who
// the device is.
func (c *Collector) readRest(ctx context.Context, names bool) error {
	if names {
		clear(c.lacks)
	}
	err := c.readScalars(ctx, c.others(names), true)
	if names && err == nil {
		var another bool
		if another, err = c.identify(ctx); another {
			// Another kind of device than was thought: the rest of what it is asked for.
			c.pacing()
			err = c.readScalars(ctx, c.others(true), true)
		}
	}
	if names && err == nil {
		r := &c.scalars.rows[0]
		for i := range r.cells {
			if c.asked[c.plan.scalars.objects[i].column] && r.cells[i].tag == 0 {
				r.cells[i].known = false
			}
		}
		c.scalars.settle()
		c.tellTwins()
	}
	return err
}

// tellTwins tells, once, that another device has the same engine ID.
func (c *Collector) tellTwins() {
	if c.engines == nil {
		return
	}
	others := strings.Join(c.engines.claim(c.cfg.Device, c.engineID()), ", ")
	if others == c.twins {
		return
	}
	if c.twins = others; others != "" {
		c.tell("duplicate_engine_id", collectors.Warning, "has the same SNMP engine ID as "+collectors.Clip(others, 120)+
			": a copied configuration, which disturbs SNMPv3, or one device under two names")
	}
}

// readTables walks what there are series of, or everything where names are to be
// read. Rows that come or go bring about that the names of their table are read
// too.
func (c *Collector) readTables(ctx context.Context, names bool) []error {
	for _, t := range c.tables {
		if t.naming = names; names {
			t.remember()
		}
	}
	c.openTables()
	err := c.walker.walk(ctx, c.link, c.cols, c)
	if err == nil && !names && c.moved() {
		c.openTables()
		err = c.walker.walk(ctx, c.link, c.cols, c)
	}
	if names && err == nil {
		c.recallPins()
	}
	var errs []error
	for _, t := range c.tables {
		if t.naming {
			if e := c.settleTable(t); e != nil {
				errs = append(errs, e)
			}
		}
		if e := t.summary(err); e != nil {
			errs = append(errs, e)
		}
	}
	if names {
		c.namesAt, c.leading.off = c.start, false
		if len(errs) > 0 || c.rowless() {
			// What was not read this time is asked for again, but not in each poll:
			// some columns never come to their end, and some devices have no rows.
			c.namesAt = c.start.Add(min(time.Minute-c.cfg.NamesEvery, 0))
		}
	}
	return errs
}

// openTables opens the columns that are to be read in this poll and were not yet.
func (c *Collector) openTables() {
	for _, t := range c.tables {
		t.open(func(col int) bool {
			o := &t.plan.objects[col]
			switch {
			case o.onNames:
				return t.naming
			case !c.due(o.interval):
				return false
			}
			return t.naming || c.layout.used[t.first+col]
		})
	}
}

// moved marks the tables whose rows are no longer those that there were, and those
// that their labels are looked up in. It tells whether there are any.
func (c *Collector) moved() (any bool) {
	for _, t := range c.tables {
		if t.plan.lookup || !t.asked() || !t.grown && !(t.whole() && t.vanished()) {
			continue
		}
		any, t.naming = true, true
		t.remember()
		for _, i := range t.plan.looksUp {
			c.tables[i].naming = true
		}
	}
	return any
}

// settleTable ends a poll of a table whose names were read. A table that shows none
// of the rows that it had keeps them for a while, and is said to be incomplete.
func (c *Collector) settleTable(t *table) error {
	if !t.whole() || t.plan.lookup || !t.bare() {
		if t.whole() {
			t.emptied = time.Time{}
			t.prune()
		}
		c.tellMoves(t)
		t.settle()
		return nil
	}
	n := len(t.rows)
	if t.emptied.IsZero() {
		t.emptied = c.start
	}
	if c.start.Sub(t.emptied) < c.cfg.NamesEvery {
		return fmt.Errorf("%s incomplete: %w: there were %d", t.plan.name, errEmptied, n)
	}
	t.emptied = time.Time{}
	t.prune()
	c.tell("snmp_table_empty", collectors.Warning, fmt.Sprintf(
		"%s: the %d rows that there were have not been shown for %s and are taken to be gone", t.plan.name, n, c.cfg.NamesEvery))
	return nil
}

// rowless tells whether no table has any row.
func (c *Collector) rowless() bool {
	for _, t := range c.tables {
		if len(t.rows) > 0 && !t.plan.lookup {
			return false
		}
	}
	return len(c.tables) > 0
}

// summary is what is incomplete in a table: nil where nothing is.
func (t *table) summary(err error) error {
	var names []string
	for i := range t.cols {
		switch s := t.cols[i].state; {
		case s == broken:
			if err == nil {
				err = t.cols[i].err
			}
			names = append(names, t.column(i))
		case s == open:
			names = append(names, t.column(i))
		}
	}
	if err == nil || len(names) == 0 {
		return nil
	}
	if n := len(names); n > 3 {
		names = append(names[:3], fmt.Sprintf("%d more", n-3))
	}
	return fmt.Errorf("%s incomplete (%s): %w", t.plan.name, strings.Join(names, ", "), err)
}

// column is what people call a column.
func (t *table) column(i int) string {
	if name := t.plan.objects[i].name; name != "" {
		return name
	}
	return "names"
}
