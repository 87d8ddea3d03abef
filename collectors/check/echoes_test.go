package check

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"
)

// choir is a network in which some addresses reply, some as others, some twice.
type choir struct {
	sent    []netip.Addr
	replies chan echo
	ended   chan struct{}
}

func (c *choir) Send(to netip.Addr, seq int, data []byte) error {
	c.sent = append(c.sent, to)
	e := echo{from: to, seq: seq, data: append([]byte(nil), data...)}
	switch to.As4()[3] % 4 {
	case 0:
		c.replies <- e
		c.replies <- e
	case 1:
		e.from = to.Next() // a stranger
		c.replies <- e
	case 2:
		e.data[0]++ // another's token
		c.replies <- e
	}
	return nil
}

func (c *choir) Receive() (echo, error) {
	select {
	case e := <-c.replies:
		return e, nil
	case <-c.ended:
		select {
		case e := <-c.replies:
			return e, nil
		default:
			return echo{}, os.ErrDeadlineExceeded
		}
	}
}

func (c *choir) SetReadDeadline(time.Time) error {
	select {
	case <-c.ended:
	default:
		close(c.ended)
	}
	return nil
}

func (c *choir) Close() error { return nil }

func TestEchoes(t *testing.T) {
	c := &choir{replies: make(chan echo, 100), ended: make(chan struct{})}
	var to []netip.Addr
	for i := range 8 {
		to = append(to, netip.AddrFrom4([4]byte{192, 168, 10, byte(i)}))
	}
	waits := 0
	wait := func(context.Context) error { waits++; return nil }
	p := &Pinger{opener: func(bool, bool) (echoConn, error) { return c, nil }}
	got, err := p.Echoes(t.Context(), to, wait, time.Second)
	if err != nil || len(got) != 2 || !got[to[0]] || !got[to[4]] {
		t.Errorf("%v %v", got, err)
	}
	if waits != len(to) || len(c.sent) != len(to) {
		t.Errorf("%d waits for %d requests to %d addresses", waits, len(c.sent), len(to))
	}
}

func TestEchoesStop(t *testing.T) {
	c := &choir{replies: make(chan echo, 100), ended: make(chan struct{})}
	over := errors.New("over")
	n := 0
	wait := func(context.Context) error {
		if n++; n > 2 {
			return over
		}
		return nil
	}
	p := &Pinger{opener: func(bool, bool) (echoConn, error) { return c, nil }}
	a := netip.MustParseAddr("192.168.10.4")
	got, err := p.Echoes(t.Context(), []netip.Addr{a, a.Next(), a.Next().Next()}, wait, time.Hour)
	if !errors.Is(err, over) || !got[a] || len(c.sent) != 2 {
		t.Errorf("%v %v, %d sent", got, err, len(c.sent))
	}
	if _, err := p.Echoes(t.Context(), make([]netip.Addr, maxEchoes+1), wait, 0); err == nil {
		t.Error("too many are taken")
	}
}
