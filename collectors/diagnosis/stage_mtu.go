package diagnosis

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// sizes are the MTUs that lines have, and a few in between.
var sizes = []int{1500, 1492, 1480, 1460, 1440, 1420, 1400, 1360, 1320, 1280, 1200, 1000, 576}

// mtu looks for the largest packets that pass to two anchors, and sends a server a
// large segment by TCP. That a router says "too big" is how it should be: lost without
// a word is what counts.
func (l *look) mtu(ctx context.Context) []Fact {
	if l.contract.Internet == InternetNone {
		return l.skip(byDesign, MTUPath, MTUWrite)
	}
	var mu sync.Mutex
	var out []Fact
	var wg sync.WaitGroup
	add := func(f func() Fact) {
		wg.Go(func() {
			x := f()
			mu.Lock()
			defer mu.Unlock()
			out = append(out, x)
		})
	}
	writes := 0
	for _, s := range l.servers {
		if s.tls {
			add(func() Fact { return l.writeLarge(ctx, join(s.host, s.port), s.host, s.port) })
			writes++
		}
	}
	if l.contract.Internet != InternetLimited {
		n := 0
		for _, a := range l.cfg.Anchors {
			address, err := netip.ParseAddr(a.Address4)
			if err != nil || n == 2 {
				continue
			}
			n++
			add(func() Fact { return l.largest(ctx, a.Provider, address) })
			if a.TCP == 443 && writes < 2 {
				add(func() Fact { return l.writeLarge(ctx, a.Provider, a.Address4, 443) })
				writes++
			}
		}
	}
	wg.Wait()
	return out
}

// largest sends echo requests of all sizes at the same time, three of each at most.
func (l *look) largest(ctx context.Context, provider string, to netip.Addr) Fact {
	f := NewFact(MTUPath, provider, 4, Unknown, "no reply, whatever the size")
	start := time.Now()
	passes := make([]bool, len(sizes))
	told := make([]bool, len(sizes))
	var wg sync.WaitGroup
	for i, size := range sizes {
		if l.hasPort && size > l.port.mtu {
			continue
		}
		wg.Go(func() {
			tries(ctx, 3, time.Second, func(ctx context.Context) bool {
				a, err := l.echo(ctx, echoRequest{to: to, size: size, df: true})
				passes[i] = err == nil && a.kind == echoReplied
				told[i] = err == nil && a.kind == echoTooBig
				return passes[i] || told[i] || denied(err)
			})
		})
	}
	wg.Wait()
	f.TookMS = time.Since(start).Milliseconds()
	best, silent := 0, 0 // of the sizes above the best, how many were lost without a word
	for i, size := range sizes {
		if passes[i] {
			best = size
			break
		}
		if !told[i] && (!l.hasPort || size <= l.port.mtu) {
			silent++
		}
	}
	if best == 0 {
		return f
	}
	f.Result, f.Detail = Works, ""
	// One size that is lost is loss; so is what was always so.
	if silent >= 2 && (l.base.MTU == 0 || best < l.base.MTU) {
		f.Result, f.Detail = Fails, "larger packets vanish without a word"
	}
	return f.With("mtu", float64(best))
}

// writeLarge sends a TLS ClientHello of several segments and looks whether TCP's peer
// acknowledges them all, whatever it answers.
func (l *look) writeLarge(ctx context.Context, target, host string, port uint16) Fact {
	f := NewFact(MTUWrite, target, 0, Unknown, "no connection")
	start := time.Now()
	defer func() { f.TookMS = time.Since(start).Milliseconds() }()
	hello, err := largeHello(host)
	if err != nil {
		return f
	}
	c, err := l.gate.dial(ctx, "tcp", host, port)
	if err != nil {
		return f
	}
	defer c.Close()
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return f
	}
	if _, err := tcp.Write(hello); err != nil {
		return f
	}
	for range 60 {
		unacked, resent, err := unacknowledged(tcp)
		switch {
		case err != nil:
			return f
		case unacked == 0:
			f.Result, f.Detail = Works, ""
			return f
		case ctx.Err() != nil:
			return f
		}
		f.Detail = "not acknowledged"
		if resent >= 3 {
			f.Result, f.Detail = Fails, "large segments are not acknowledged"
			if time.Since(start) > 5*time.Second {
				return f
			}
		}
		wait(ctx, 100*time.Millisecond)
	}
	return f
}

// unacknowledged asks the kernel how many segments its peer has not acknowledged, and
// how often it had to send one again.
func unacknowledged(c *net.TCPConn) (segments, resent int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	cerr := raw.Control(func(fd uintptr) {
		info, e := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err = e; e == nil {
			segments, resent = int(info.Unacked)+int(info.Notsent_bytes), int(info.Retransmits)+int(info.Total_retrans)
		}
	})
	return segments, resent, errors.Join(cerr, err)
}

// largeHello makes a ClientHello of more than two segments: it offers protocols that
// nobody knows.
func largeHello(host string) ([]byte, error) {
	var names []string
	for range 16 {
		b := make([]byte, 200)
		for i := range b {
			b[i] = 'x'
		}
		names = append(names, string(b))
	}
	into := &firstWrite{}
	c := tls.Client(into, &tls.Config{ServerName: host, NextProtos: names, MinVersion: tls.VersionTLS12})
	err := c.Handshake()
	if len(into.data) > 0 {
		return into.data, nil
	}
	return nil, err
}

// firstWrite is a connection that keeps what is written and gives nothing.
type firstWrite struct {
	net.Conn
	data []byte
}

func (f *firstWrite) Write(b []byte) (int, error) {
	if f.data == nil {
		f.data = append([]byte{}, b...)
	}
	return len(b), nil
}

// Read ends the handshake.
func (f *firstWrite) Read([]byte) (int, error) { return 0, io.EOF }
func (f *firstWrite) Close() error             { return nil }
