package snmp

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// exchange is a request and what comes back, with the memory of both. A session
// has one during a poll; then others have it.
type exchange struct {
	to netip.AddrPort
	// within tells whether another address may answer, without any delay. It is
	// nil where none may.
	within func(netip.Addr) bool
	ready  chan struct{} // has one in it when the exchange was settled: there is an answer, or a failure
	timer  *time.Timer
	out    []byte // the request

	// The socket's lock guards what follows until the exchange is settled or
	// forgotten.
	ids     []int32 // of the request and its repetitions
	failure error
	answer  []byte
	from    netip.AddrPort

	// What was heard meanwhile, for the words of a failure.
	garbled     bool
	other       bool
	unreachable bool
	outside     bool
}

// exchanges holds those that no poll needs.
var exchanges = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &exchange{ready: make(chan struct{}, 1), timer: t}
}}

func (x *exchange) begin() {
	x.garbled, x.other, x.unreachable, x.outside = false, false, false, false
}

// admits tells whether an address may answer.
func (x *exchange) admits(from netip.AddrPort) bool {
	if from == x.to {
		return true
	}
	if x.within == nil {
		return false
	}
	if from.Addr() != x.to.Addr() && !x.within(from.Addr()) {
		x.outside = true
		return false
	}
	return true
}

// wait waits until the exchange is settled; the error is errTooLate or the
// context's.
func (x *exchange) wait(ctx context.Context, timeout time.Duration) error {
	x.timer.Reset(timeout)
	defer x.timer.Stop()
	select {
	case <-x.ready:
		return nil
	case <-x.timer.C:
		return errTooLate
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take tells whether the exchange was settled since it was last looked at. The
// socket's lock is held.
func (x *exchange) take() bool {
	select {
	case <-x.ready:
		return true
	default:
		return false
	}
}

// silence says why there was no answer of use.
func (x *exchange) silence() error {
	switch {
	case x.outside:
		return ErrOtherAddress
	case x.garbled:
		return ErrMalformed
	case x.other:
		return ErrOtherAnswer
	case x.unreachable:
		return ErrUnreachable
	}
	return ErrNoAnswer
}
