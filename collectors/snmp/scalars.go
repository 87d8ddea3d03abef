package snmp

import (
	"bytes"
	"context"
	"errors"

	"github.com/siteprobe/siteprobe/collectors"
)

const (
	// maxFront is how many scalars are asked for at the beginning of a poll, with
	// the first rows where that is possible.
	maxFront = 12
	// scalarsAtOnce is how many are asked for in one request at first.
	scalarsAtOnce = 24
)

// front lists the scalars that each poll begins with: those that tell whether the
// device is still the same one, and then others.
func (p *plan) front() (which []int) {
	always := func(i int) bool { o := &p.scalars.objects[i]; return !o.onNames && o.interval == 0 }
	for _, i := range p.known {
		if always(i) {
			which = append(which, i)
		}
	}
	vital := len(which)
	for i := range p.scalars.objects[:p.scalars.columns] {
		if always(i) && len(which) < maxFront && !contains(which[:vital], i) {
			which = append(which, i)
		}
	}
	return which
}

func contains(which []int, i int) bool {
	for _, k := range which {
		if k == i {
			return true
		}
	}
	return false
}

// asking gives those of a list of scalars that the device has not refused.
func (c *Collector) asking(list []int) []int {
	c.which = c.which[:0]
	for _, i := range list {
		if !c.lacks[i] {
			c.which = append(c.which, i)
		}
	}
	return c.which
}

// others gives the scalars that are due and were not asked for in this poll.
func (c *Collector) others(names bool) (which []int) {
	for i := range c.plan.scalars.objects[:c.plan.scalars.columns] {
		o := &c.plan.scalars.objects[i]
		switch {
		case c.lacks[i] || c.asked[i]:
		case o.onNames && !names, !o.onNames && !c.due(o.interval):
		default:
			which = append(which, i)
		}
	}
	return which
}

// readScalars asks for scalars, in one request where the device allows. Those that
// it lacks stay empty, which is no error.
func (c *Collector) readScalars(ctx context.Context, pending []int, patient bool) error {
	most := c.atOnce
	for len(pending) > 0 {
		now := pending[:min(len(pending), most)]
		err := c.askScalars(ctx, now)
		var status *StatusError
		switch {
		case err == nil:
			pending = pending[len(now):]
		case patient && ctx.Err() == nil && errors.Is(err, ErrNoAnswer) && len(now) > 3:
			most = len(now) / 2
			c.atOnce = most
		case !errors.As(err, &status):
			return err
		case status.Status == statusNoSuchName && status.Index > 0 && status.Index <= len(now):
			// SNMPv1 refuses the whole request for one object that it lacks.
			c.lacks[now[status.Index-1]] = true
			pending = append(pending[:status.Index-1:status.Index-1], pending[status.Index:]...)
		case len(now) > 1:
			if most = len(now) / 2; status.Status == statusTooBig {
				c.atOnce = most
			}
		default:
			if status.Status == statusNoSuchName {
				c.lacks[now[0]] = true
			}
			c.asked[now[0]] = true
			pending = pending[1:]
		}
	}
	return nil
}

func (c *Collector) askScalars(ctx context.Context, which []int) error {
	w := &c.walker
	w.oids = w.oids[:0]
	for _, i := range which {
		w.oids = append(w.oids, c.plan.scalars.objects[i].oid)
	}
	w.requests++
	var err error
	w.answer, err = c.link.get(ctx, w.oids, w.answer[:0])
	w.varbinds += len(w.answer)
	if err != nil {
		return err
	}
	r := &c.scalars.rows[0]
	for _, i := range which {
		c.asked[i] = true
		for k := range w.answer {
			v := &w.answer[k]
			switch {
			case !bytes.Equal(v.OID, c.plan.scalars.objects[i].oid):
			case v.Absent():
				// Until names are read again, which others than these may go by.
				c.lacks[i] = !r.cells[i].known && i != c.plan.known[ifTableLastChange]
			default:
				c.scalars.set(r, i, v)
			}
		}
	}
	return nil
}

// scalar is what one of the collector's own scalars gave in this poll.
func (c *Collector) scalar(known int) *cell {
	return &c.scalars.rows[0].cells[c.plan.known[known]]
}

// scalarText is the text of one of them, as last read.
func (c *Collector) scalarText(known int) string {
	i := c.plan.known[known]
	if k := c.scalars.text(&c.scalars.rows[0], i); k != nil {
		return k.text(0, nil)
	}
	return ""
}

// label gives the first label of each of the device's series.
func (c *Collector) label() []collectors.Label {
	return []collectors.Label{{Name: "device", Value: collectors.Clip(c.cfg.Device, collectors.MaxText)}}
}
