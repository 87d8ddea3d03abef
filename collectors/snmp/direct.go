package snmp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// direct is a session that speaks SNMPv2c by itself, through sockets that it
// shares with the sessions of other devices. It must not be used by two
// goroutines at once.
type direct struct {
	socket    *socket
	to        netip.AddrPort
	community string
	timeout   time.Duration
	retries   int
	within    func(netip.Addr) bool // nil: only the address that is asked may answer

	x    *exchange  // of this poll
	from netip.Addr // who answered last from another address, or another port
	help tolerant
}

// direct opens a session. Nothing is sent yet, and nothing ever is where the
// scope's hook refuses the address.
func (s *Sockets) direct(d dialing) (*direct, error) {
	k, err := s.of(d.target.Addr())
	if err != nil {
		return nil, err
	}
	if err := d.control(k.network, d.target.String(), k.raw); err != nil {
		return nil, errNoSocket
	}
	n := &direct{socket: k, to: d.target, community: d.auth.Community.Reveal(), timeout: d.timeout, retries: d.retries}
	if d.unconnected {
		n.within = d.within
	}
	return n, nil
}

func (s *direct) get(ctx context.Context, oids [][]byte, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	return s.ask(ctx, pdu.Request{Type: pdu.TypeGet, OIDs: oids}, dst)
}

func (s *direct) getNext(ctx context.Context, oids [][]byte, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	return s.ask(ctx, pdu.Request{Type: pdu.TypeGetNext, OIDs: oids}, dst)
}

func (s *direct) getBulk(ctx context.Context, oids [][]byte, single, reps int, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	return s.ask(ctx, pdu.Request{Type: pdu.TypeGetBulk, OIDs: oids, NonRepeaters: int32(single), MaxRepetitions: int32(reps)}, dst)
}

// ask sends a request until it is answered or all its repetitions are used up.
// Each has a number of its own, and an answer to any of them will do.
func (s *direct) ask(ctx context.Context, r pdu.Request, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	x := s.begin()
	defer s.socket.forget(x)
	r.Community = s.community
	var why error
	for range 1 + s.retries {
		out, err := s.try(ctx, x, &r, dst)
		var status *StatusError
		switch {
		case err == nil:
			return out, nil
		case errors.As(err, &status):
			return dst, err
		case expired(ctx):
			return dst, fmt.Errorf("waiting for the answer: %w", context.DeadlineExceeded)
		case ctx.Err() != nil:
			return dst, fmt.Errorf("waiting for the answer: %w", ctx.Err())
		case err != errTooLate:
			why = err
		}
	}
	if why == nil {
		why = s.socket.silence(x)
	}
	return dst, why
}

// errTooLate is for this file only.
const errTooLate trouble = "no answer in time"

// try sends a request once and waits for its answer.
func (s *direct) try(ctx context.Context, x *exchange, r *pdu.Request, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	if ctx.Err() != nil {
		return dst, ctx.Err()
	}
	id, settled, err := s.socket.list(x)
	if err != nil {
		return dst, err
	}
	if !settled { // else an answer to the last try has just come
		r.ID = id
		x.out = r.Append(x.out[:0])
		if err := s.socket.send(x.out, s.to); err != nil {
			return dst, err
		}
		if err := x.wait(ctx, s.timeout); err != nil {
			return dst, err
		}
	}
	if x.failure != nil {
		return dst, x.failure
	}
	return s.read(x, dst)
}

// begin makes ready for a request: the first one of a poll borrows an exchange and
// has the socket receive.
func (s *direct) begin() *exchange {
	if s.x == nil {
		s.x = exchanges.Get().(*exchange)
		s.socket.enter()
	}
	s.x.to, s.x.within = s.to, s.within
	s.x.begin()
	return s.x
}

// read makes variables of an answer. One that our reader refuses is read by
// gosnmp's, which makes sense of more.
func (s *direct) read(x *exchange, dst []pdu.Varbind) ([]pdu.Varbind, error) {
	m, out, err := pdu.ReadMessage(x.answer, dst)
	if err != nil {
		m, out, err = s.help.read(x.answer, dst, err)
	}
	if err != nil {
		return dst, err
	}
	if x.from != s.to {
		s.from = x.from.Addr()
	}
	switch {
	case m.Type != pdu.TypeResponse:
		return dst, ErrMalformed
	case m.Status != 0:
		return dst, &StatusError{Status: m.Status, Index: m.Index}
	}
	return out, nil
}

// rest gives back what only a poll needs. What answers pointed to is gone.
func (s *direct) rest() {
	if s.x != nil {
		s.socket.forget(s.x)
		s.socket.leave()
		s.x.within = nil
		exchanges.Put(s.x)
		s.x = nil
	}
}

func (s *direct) close()                  { s.rest() }
func (s *direct) answersFrom() netip.Addr { return s.from }
func (s *direct) oddity() error           { return s.help.why }
