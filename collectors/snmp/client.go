package snmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// Client asks one device for single values and whole tables: for a look at it, and
// for whatever needs more than readings. It tries credentials and sockets as a
// [Collector] does, and learns the device's pace while it walks. One goroutine at a
// time may use it.
type Client struct{ c *Collector }

// Dial finds a way to the device: the first of the credentials that is answered.
// The error is a [Failure], wrapped, where none is. cfg.Device may be empty.
func Dial(ctx context.Context, cfg Config, resolve Resolver, opts ...Option) (*Client, error) {
	if cfg.Device == "" {
		cfg.Device = "client"
	}
	c, err := New(cfg, resolve, opts...)
	if err != nil {
		return nil, err
	}
	c.begin()
	if err := c.reach(ctx); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("asking %s: %w", cfg.Address, err)
	}
	c.pacing()
	c.rest()
	return &Client{c}, nil
}

// Close ends the session.
func (c *Client) Close() error { return c.c.Close() }

// Credential is the name of the credential that is answered.
func (c *Client) Credential() string { return c.c.credential() }

// Get asks for single variables. Those that the device lacks come back with the tag
// that says so; with v1 the first of them makes the whole a *StatusError.
func (c *Client) Get(ctx context.Context, oids ...[]byte) ([]pdu.Varbind, error) {
	defer c.c.rest()
	var out []pdu.Varbind
	for len(oids) > 0 {
		n := min(len(oids), scalarsAtOnce)
		got, err := c.c.link.get(ctx, oids[:n], nil)
		if err != nil {
			return out, fmt.Errorf("asking %s: %w", c.c.cfg.Address, err)
		}
		for i := range got {
			out = append(out, clone(&got[i]))
		}
		oids = oids[n:]
	}
	return out, nil
}

// Limits bound a walk. 0: 100,000 variables and as many requests as
// Config.MaxRequests.
type Limits struct{ Variables, Requests int }

const defaultVariables = 100_000

// Walk reads all that stands below each of roots, side by side, and hands it to
// each as a copy, until that returns false. The variables of one root come in
// order. What a device does not have is no error; one that repeats itself, falls
// silent or has more than the limits allow is, and what came before has been handed
// over.
func (c *Client) Walk(ctx context.Context, l Limits, each func(pdu.Varbind) bool, roots ...[]byte) error {
	s := &handover{each: each, left: l.Variables}
	if s.left <= 0 {
		s.left = defaultVariables
	}
	w := &c.c.walker
	w.requests = 0
	w.borrow()
	defer w.giveBack()
	defer c.c.rest()
	defer func(n int) { w.maxRequests = n }(w.maxRequests)
	if l.Requests > 0 {
		w.maxRequests = l.Requests
	}
	cols := make([]column, len(roots))
	for i := range cols {
		cols[i].root = roots[i]
		cols[i].begin()
	}
	err := w.walk(ctx, c.c.link, cols, s)
	for i := range cols {
		if err == nil {
			err = cols[i].err
		}
	}
	switch {
	case s.stopped:
		return nil
	case errors.Is(err, errTooManyRows):
		err = errTooManyVariables
	}
	if err != nil {
		return fmt.Errorf("walking %s: %w", c.c.cfg.Address, err)
	}
	return nil
}

// handover is a sink that copies variables.
type handover struct {
	each    func(pdu.Varbind) bool
	left    int
	stopped bool
}

func (h *handover) take(_ int, _ []byte, v *pdu.Varbind) taking {
	if h.left--; h.stopped || h.left < 0 {
		return full
	}
	h.stopped = !h.each(clone(v))
	if h.stopped {
		return full
	}
	return taken
}

func clone(v *pdu.Varbind) pdu.Varbind {
	out := *v
	out.OID, out.Bytes = bytes.Clone(v.OID), bytes.Clone(v.Bytes)
	return out
}
