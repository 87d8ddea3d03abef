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

	"github.com/siteprobe/siteprobe/collectors"
)

// pingGap lies between a reply and the next request: enough not to be a burst,
// short enough that a healthy device does not hold a worker.
const pingGap = 20 * time.Millisecond

func icmpMetrics() []metric {
	ms := append(commonMetrics(),
		metric{name: "probe_icmp_packet_loss_ratio", kind: collectors.Gauge},
		metric{name: "probe_icmp_reply_hop_limit", kind: collectors.Gauge})
	return append(ms, phases("probe_icmp_duration_seconds", "resolve", "rtt")...)
}

// newICMP makes the probe that pings. cfg is valid.
func newICMP(cfg ICMP, dialer Dialer, pinger *Pinger) probe {
	count := cfg.Count
	if count == 0 {
		count = DefaultCount
	}
	return func(ctx context.Context, r *reading) error {
		start := time.Now()
		to, err := dialer.Resolve(ctx, cfg.Address, 0)
		if err != nil {
			return judge("dns", cfg.Address, err)
		}
		r.set("probe_dns_lookup_time_seconds", "", seconds(time.Since(start)))
		r.set("probe_icmp_duration_seconds", "resolve", seconds(time.Since(start)))

		addr := to.Addr().Unmap()
		conn, err := pinger.open(addr.Is6())
		if err != nil {
			return err // of this box, whatever it is
		}
		defer conn.Close()
		p, err := ping(ctx, conn, addr, count)
		if err != nil {
			return err
		}
		if p.sent > 0 {
			r.set("probe_icmp_packet_loss_ratio", "", collectors.GaugeValue(1-float64(p.received)/float64(p.sent)))
		}
		if p.received > 0 {
			// Of several replies the mean; a reply makes the host up whatever else happened.
			r.set("probe_icmp_duration_seconds", "rtt", seconds(p.rtt/time.Duration(p.received)))
			if p.hopLimit > 0 {
				r.set("probe_icmp_reply_hop_limit", "", collectors.GaugeValue(float64(p.hopLimit)))
			}
			return nil
		}
		if p.sending != nil {
			return judge("ping", cfg.Address, p.sending)
		}
		return because("no reply")
	}
}

// pong is what came of a series of echo requests.
type pong struct {
	sent, received int
	rtt            time.Duration   // the sum over all replies
	times          []time.Duration // of each request, if they are wanted; 0: no reply
	hopLimit       int             // of the last reply; 0: not told
	sending        error           // the last error met in sending
}

// ping sends count echo requests to an address and waits for the replies, until
// ctx is done. That a request cannot be sent is told in the pong; an error is one
// of the socket itself.
func ping(ctx context.Context, conn echoConn, to netip.Addr, count int) (pong, error) {
	// A read that blocks ends when ctx is done.
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()

	s := series{conn: conn, to: to, at: make([]time.Time, count), seen: make([]bool, count)}
	if _, err := rand.Read(s.token[:]); err != nil {
		return pong{}, fmt.Errorf("making a token: %w", err)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(DefaultTimeout)
	}
	share := time.Until(deadline) / time.Duration(count)
	for i := range count {
		if ctx.Err() != nil {
			break
		}
		if err := s.send(i); err != nil {
			s.pong.sending = err
			continue // nothing to wait for
		}
		last := i == count-1
		until := time.Now().Add(share)
		if last {
			until = deadline
		}
		if err := s.receive(ctx, until, i, last); err != nil {
			return s.pong, err
		}
	}
	return s.pong, nil
}

// series is a run of echo requests on one socket.
type series struct {
	conn  echoConn
	to    netip.Addr
	token [8]byte // tells our replies from those to others, and from forged ones
	at    []time.Time
	seen  []bool
	pong  pong
}

func (s *series) send(i int) error {
	b := binary.BigEndian.AppendUint16(s.token[:len(s.token):len(s.token)], uint16(i))
	s.at[i] = time.Now()
	s.pong.sent++
	return s.conn.Send(s.to, i, b)
}

// receive takes replies until the time is over. It is over earlier once request i
// has been answered and the gap to the next one has passed; the last request has
// no next one, there it ends when all have been answered.
func (s *series) receive(ctx context.Context, until time.Time, i int, last bool) error {
	gap := false
	for {
		if s.seen[i] && !gap {
			if last && s.pong.received == len(s.at) {
				return nil
			}
			if !last {
				until, gap = earlier(until, time.Now().Add(pingGap)), true
			}
		}
		if done, err := s.next(ctx, until); done || err != nil {
			return err
		}
	}
}

// next waits for one reply and takes it; done tells that the time is over.
func (s *series) next(ctx context.Context, until time.Time) (done bool, err error) {
	if err := s.conn.SetReadDeadline(until); err != nil {
		return false, fmt.Errorf("setting a deadline: %w", err)
	}
	if ctx.Err() != nil { // after the deadline was set, which may have undone that of ctx
		return true, nil
	}
	e, err := s.conn.Receive()
	switch {
	case isDeadline(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("waiting for a reply: %w", err)
	}
	s.take(e)
	return false, nil
}

// take counts a reply if it is one to us: from the very address that was asked,
// with our token, to a request that is open.
func (s *series) take(e echo) {
	if e.from.Unmap().WithZone("") != s.to.WithZone("") || len(e.data) != len(s.token)+2 || [8]byte(e.data) != s.token {
		return
	}
	i := int(binary.BigEndian.Uint16(e.data[len(s.token):]))
	if i >= len(s.at) || i != e.seq || s.at[i].IsZero() || s.seen[i] {
		return
	}
	s.seen[i] = true
	s.pong.received++
	rtt := time.Since(s.at[i])
	s.pong.rtt += rtt
	if s.pong.times != nil {
		s.pong.times[i] = max(rtt, 1)
	}
	s.pong.hopLimit = e.hopLimit
}

func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
