// Package sntp asks an NTP server once what time it is (RFC 5905), and tells whether
// its answer is one to go by. It never sets a clock.
package sntp

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/beevik/ntp"
)

// Dial connects to a server over UDP, as net.Dialer's DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Answer is what a server said. All but Behind and RTT is the server's word for it.
type Answer struct {
	Behind         time.Duration // by how much this box's wall clock is behind the server's
	RTT            time.Duration
	Stratum        int // 1 to 15: how far from a reference clock; 0: it refuses to answer
	RootDelay      time.Duration
	RootDispersion time.Duration
	Leap           int       // 0 none, 1 the last minute of the day has 61 s, 2 has 59, 3 not synchronised
	Reference      time.Time // when the server's clock was last set
}

// Why an answer is not one to go by.
var (
	ErrRefused = errors.New("the server refuses to answer (kiss of death)")
	ErrUnsure  = errors.New("the server is not synchronised itself")
	ErrInsane  = errors.New("the server's answer contradicts itself")
)

// Ask sends a request to a server, host or host:port, and waits for the answer at most
// so long, or until ctx is done. A datagram that is lost is not sent again. What came
// is returned also with one of the errors above; others are those of dial and of the
// connection, and ErrInsane for an answer that cannot be read. The texts of errors hold
// nothing that the server sent.
func Ask(ctx context.Context, server string, most time.Duration, dial Dial) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, most) // or what closes the connection would stay for ever
	defer cancel()
	var dialing error
	left := time.Until(deadline(ctx))
	r, err := ntp.QueryWithOptions(server, ntp.QueryOptions{Timeout: max(left, time.Millisecond), Dialer: func(_, remote string) (net.Conn, error) {
		conn, err := dial(ctx, "udp", remote)
		if err != nil {
			dialing = err
			return nil, err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		return conn, nil
	}})
	var network net.Error
	switch {
	case dialing != nil:
		return Answer{}, dialing
	case ctx.Err() != nil && err != nil:
		return Answer{}, ctx.Err() // the connection was closed under the read
	case errors.As(err, &network):
		return Answer{}, err
	case err != nil:
		return Answer{}, ErrInsane
	}
	return Answer{Behind: r.ClockOffset, RTT: r.RTT, Stratum: int(r.Stratum), RootDelay: r.RootDelay, RootDispersion: r.RootDispersion,
		Leap: int(r.Leap), Reference: r.ReferenceTime}, verdict(r)
}

func deadline(ctx context.Context) time.Time {
	at, _ := ctx.Deadline() // Ask has set one
	return at
}

// verdict puts the library's view of an answer into the words of this package.
func verdict(r *ntp.Response) error {
	switch err := r.Validate(); {
	case err == nil:
		return nil
	case errors.Is(err, ntp.ErrKissOfDeath):
		return ErrRefused
	case errors.Is(err, ntp.ErrInvalidStratum), errors.Is(err, ntp.ErrInvalidLeapSecond), errors.Is(err, ntp.ErrServerClockFreshness),
		errors.Is(err, ntp.ErrInvalidDispersion):
		return ErrUnsure
	}
	return ErrInsane
}
