package snmp

import (
	"bytes"
	"context"
	"errors"

	"github.com/siteprobe/siteprobe/collectors"
)

// always and onNames tell which scalars a request is for.
func (c *Collector) always(u use) bool  { return u == metric || u == internal }
func (c *Collector) onNames(u use) bool { return u == identity }

// which gives the scalars of the given uses, but for those that the device has
// refused.
func (c *Collector) which(want func(use) bool) (which []int) {
	for i := range c.plan.scalars {
		if want(c.plan.scalars[i].use) && !c.lacks[i] {
			which = append(which, i)
		}
	}
	return which
}

// readScalars asks for the scalars of the given uses, in one request where the
// device allows. Those that it lacks stay empty, which is no error.
func (c *Collector) readScalars(ctx context.Context, want func(use) bool) error {
	pending := c.which(want)
	single := false
	for len(pending) > 0 {
		now := pending
		if single {
			now = pending[:1]
		}
		err := c.askScalars(ctx, now)
		var status *StatusError
		switch {
		case err == nil:
			pending = pending[len(now):]
		case !errors.As(err, &status):
			return err
		case status.Status == statusNoSuchName && status.Index > 0 && status.Index <= len(now):
			// SNMPv1 refuses the whole request for one object that it lacks.
			c.lacks[now[status.Index-1]] = true
			pending = append(pending[:status.Index-1:status.Index-1], pending[status.Index:]...)
		case !single && len(now) > 1:
			single = true
		default:
			if status.Status == statusNoSuchName {
				c.lacks[now[0]] = true
			}
			pending = pending[1:]
		}
	}
	return nil
}

func (c *Collector) askScalars(ctx context.Context, which []int) error {
	w := &c.walker
	w.oids = w.oids[:0]
	for _, i := range which {
		w.oids = append(w.oids, c.plan.scalars[i].oid)
	}
	w.requests++
	var err error
	w.answer, err = c.link.get(ctx, w.oids, w.answer[:0])
	w.varbinds += len(w.answer)
	if err != nil {
		return err
	}
	for _, i := range which {
		for k := range w.answer {
			if v := &w.answer[k]; bytes.Equal(v.OID, c.plan.scalars[i].oid) {
				c.scalars[i].set(v, c.text(i))
			}
		}
	}
	return nil
}

// text is where the text of a scalar is kept, or nil.
func (c *Collector) text(i int) *string {
	if c.plan.scalars[i].kind == collectors.Text {
		return &c.texts[i]
	}
	return nil
}
