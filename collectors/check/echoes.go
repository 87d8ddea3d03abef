package check

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"
)

// maxEchoes bounds the addresses of one call of Echoes: a request has a number of 16
// bits.
const maxEchoes = 1 << 12

// Echoes sends one echo request to each address, each when wait lets it, and gives
// those that have replied by patience after the last one. It asks nobody whether they
// may be contacted: that is for the caller. The error wraps ErrNotPermitted where this
// box may not ping, and ctx's error; what has replied before is given with it.
func (p *Pinger) Echoes(ctx context.Context, to []netip.Addr, wait func(context.Context) error, patience time.Duration) (map[netip.Addr]bool, error) {
	out := map[netip.Addr]bool{}
	if len(to) > maxEchoes {
		return out, fmt.Errorf("%d addresses at once (at most %d)", len(to), maxEchoes)
	}
	for _, v6 := range []bool{false, true} {
		var of []netip.Addr
		for _, a := range to {
			if a = a.Unmap(); a.Is6() == v6 {
				of = append(of, a)
			}
		}
		if len(of) == 0 {
			continue
		}
		conn, err := p.open(v6)
		if err != nil {
			return out, err
		}
		replied, err := echoes(ctx, conn, of, wait, patience)
		err = errors.Join(err, conn.Close())
		for _, a := range replied {
			out[a] = true
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// echoes is Echoes on one socket. A request that cannot be sent is one without reply.
func echoes(ctx context.Context, conn echoConn, to []netip.Addr, wait func(context.Context) error, patience time.Duration) (replied []netip.Addr, err error) {
	var token [8]byte
	if _, err := rand.Read(token[:]); err != nil {
		return nil, fmt.Errorf("making a token: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	heard := make(chan []netip.Addr, 1)
	go func() { heard <- hear(conn, token, to) }()
	for i, a := range to {
		if err = wait(ctx); err != nil {
			break
		}
		_ = conn.Send(a, i, binary.BigEndian.AppendUint16(token[:len(token):len(token)], uint16(i)))
	}
	until := time.Now().Add(patience)
	if err != nil || ctx.Err() != nil {
		until = time.Unix(1, 0)
	}
	if e := conn.SetReadDeadline(until); e != nil && err == nil {
		err = fmt.Errorf("setting a deadline: %w", e)
	}
	if ctx.Err() != nil { // it may have ended before the deadline was set
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
	replied = <-heard
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return replied, err
}

// hear takes replies to our requests until all have come or the socket's deadline is
// over. Other errors of a socket are of one address (an ICMP error), and few.
func hear(conn echoConn, token [8]byte, to []netip.Addr) (out []netip.Addr) {
	seen := make([]bool, len(to))
	for errs := 0; len(out) < len(to) && errs < maxEchoes; {
		e, err := conn.Receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return out
		}
		if err != nil {
			errs++
			continue
		}
		if len(e.data) != len(token)+2 || [8]byte(e.data) != token {
			continue
		}
		i := int(binary.BigEndian.Uint16(e.data[len(token):]))
		if i >= len(to) || i != e.seq || seen[i] || e.from.Unmap().WithZone("") != to[i].WithZone("") {
			continue
		}
		seen[i] = true
		out = append(out, to[i])
	}
	return out
}
