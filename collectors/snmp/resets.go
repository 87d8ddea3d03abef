package snmp

import (
	"fmt"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// fall is a counter that is lower than at the last poll.
type fall struct {
	row       row
	object    int
	last, now uint64
	wide      bool // 64 bits
}

const (
	maxFalls       = 256 // that are looked at, of one table
	maxResetEvents = 8   // of one poll
)

// fell notes a counter that has decreased.
func (t *table) fell(r *row, object int, last uint64, v *pdu.Varbind) {
	if len(t.falls) < maxFalls {
		t.falls = append(t.falls, fall{*r, object, last, v.Num, v.Tag == pdu.TagCounter64})
	}
}

// speed is what a row's interface can do, in bits a second; 0: it is not known.
func (t *table) speed(r *row) float64 {
	if i := t.plan.highSpeed; i >= 0 && r.cells[i].num > 0 {
		return float64(r.cells[i].num) * 1e6
	}
	if i := t.plan.speed; i >= 0 && r.cells[i].num > 0 {
		return float64(r.cells[i].num)
	}
	return 0
}

// wraps tells whether a counter has come to its end and begun anew, and was not
// reset. One of 64 bits never has: at 400 gigabits a second it takes 11 years. One
// of 32 bits has, once, where the interface could have counted so much in the time:
// octets, or packets of 64 at least.
func wraps(f fall, octets bool, bitsPerSecond float64, elapsed time.Duration) bool {
	if f.wide || f.last > 1<<32-1 || elapsed <= 0 {
		return false
	}
	rise := float64(1<<32-f.last) + float64(f.now)
	if bitsPerSecond == 0 {
		return f.last > 3<<30 && f.now < 1<<30
	}
	bits := rise * 8
	if !octets {
		bits *= 64
	}
	return bits/elapsed.Seconds() <= bitsPerSecond*1.05
}

// tellResets tells of counters that were reset without a restart, an event for each
// row and only so many of them.
func (c *Collector) tellResets(elapsed time.Duration) {
	rows, more := 0, 0
	for _, t := range c.tables {
		var last []byte
		var names []string
		tell := func(f *fall) {
			switch {
			case len(names) == 0:
			case rows == maxResetEvents:
				more += len(names)
			default:
				rows++
				l := labelling{tables: c.tables}
				c.tell("counter_reset", collectors.Info, "began anew without a restart: "+strings.Join(names, ", "), l.of(t, &f.row, t.plan.labels)...)
			}
			names = nil
		}
		for i := range t.falls {
			f := &t.falls[i]
			if o := &t.plan.objects[f.object]; c.restarted || t.renumbered || wraps(*f, o.octets, t.speed(&f.row), elapsed) {
				continue
			}
			if string(last) != string(f.row.index) {
				tell(&t.falls[max(i-1, 0)])
			}
			last = f.row.index
			names = append(names, t.plan.objects[f.object].name)
		}
		if n := len(t.falls); n > 0 {
			tell(&t.falls[n-1])
		}
	}
	if more > 0 {
		c.tell("counter_reset", collectors.Info, fmt.Sprintf("%d more counters began anew without a restart", more))
	}
}
