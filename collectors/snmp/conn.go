package snmp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// conn is the socket that gosnmp reads and writes, which it takes to be a
// connected one (it must not be a net.PacketConn). It does what gosnmp does not:
// it gives up at once when the context ends, checks who an answer is from where
// the socket is not connected, and remembers what went wrong, so that nobody
// needs gosnmp's word for it.
type conn struct {
	udp    *net.UDPConn
	remote netip.AddrPort
	// within tells whether an address may answer. It is nil on a connected
	// socket, where the kernel sees to it.
	within func(netip.Addr) bool

	mu  sync.Mutex // of ctx: its end comes from another goroutine
	ctx context.Context

	// Of this request.
	failure  error // the socket's last one
	received int
	report   byte       // the last SNMPv3 report, as usmStats number
	outside  netip.Addr // who answered and may not

	// Of this session.
	discovered bool       // the SNMPv3 engine has said who it is, and no more yet
	sender     netip.Addr // who answered last, where it was not remote
}

// begin starts a request that ends with ctx. The caller must call the result when
// the request is over.
func (c *conn) begin(ctx context.Context) (end func() bool) {
	c.mu.Lock()
	c.ctx = ctx
	c.mu.Unlock()
	c.failure, c.received, c.report, c.outside = nil, 0, 0, netip.Addr{}
	return context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ctx == ctx {
			_ = c.udp.SetDeadline(time.Unix(1, 0)) // closed already: then nobody waits
		}
	})
}

func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx != nil && c.ctx.Err() != nil {
		t = time.Unix(1, 0)
	}
	return c.udp.SetDeadline(t)
}

func (c *conn) Write(b []byte) (n int, err error) {
	if c.within == nil {
		n, err = c.udp.Write(b)
	} else {
		n, err = c.udp.WriteToUDPAddrPort(b, c.remote)
	}
	if err != nil {
		c.failure = err
	}
	return n, err
}

func (c *conn) Read(b []byte) (n int, err error) {
	for {
		if c.within == nil {
			n, err = c.udp.Read(b)
		} else {
			var from netip.AddrPort
			n, from, err = c.udp.ReadFromUDPAddrPort(b)
			if a := from.Addr().Unmap(); err == nil && a != c.remote.Addr() {
				if !c.within(a) {
					c.outside = a
					continue
				}
				c.sender = a
			}
		}
		if err != nil {
			c.failure = err
			return n, err
		}
		c.received++
		c.note(b[:n])
		return n, nil
	}
}

// note looks for an SNMPv3 report, which is sent in the clear: it tells what is
// wrong with the credentials, which gosnmp drops as not authentic. As anyone can
// send one it serves for words only.
func (c *conn) note(b []byte) {
	usmStats := []byte{0x06, 0x0a, 0x2b, 6, 1, 6, 3, 15, 1, 1} // then the number and .0
	if i := bytes.Index(b, usmStats); i >= 0 && i+len(usmStats) < len(b) && b[0] == 0x30 {
		c.report = b[i+len(usmStats)]
		c.discovered = true
	}
}

// The usmStats numbers (RFC 3414, 5).
const (
	usmSecurityLevel = 1
	usmTimeWindow    = 2
	usmUnknownUser   = 3
	usmWrongDigest   = 5
	usmDecryption    = 6
)

// explain says what became of a request that gosnmp returned an error for,
// without looking at that error's text.
func (c *conn) explain() error {
	switch c.report {
	case usmSecurityLevel:
		return ErrSecurityLevel
	case usmTimeWindow:
		return ErrTimeWindow
	case usmUnknownUser:
		return ErrUnknownUser
	case usmWrongDigest:
		return ErrWrongDigest
	case usmDecryption:
		return ErrDecryption
	}
	timeout := errors.Is(c.failure, os.ErrDeadlineExceeded)
	switch {
	case errors.Is(c.failure, syscall.ECONNREFUSED):
		return ErrRefused
	case errors.Is(c.failure, syscall.EHOSTUNREACH), errors.Is(c.failure, syscall.ENETUNREACH):
		return ErrUnreachable
	case timeout && c.outside.IsValid():
		return ErrOtherAddress
	case timeout && c.discovered:
		return ErrNoAnswerV3
	case timeout && c.received > 0:
		return ErrOtherAnswer
	case timeout:
		return ErrNoAnswer
	case c.failure != nil:
		return ErrSend
	case c.discovered:
		return ErrNotAuthentic
	}
	return ErrMalformed
}

func (c *conn) Close() error                       { return c.udp.Close() }
func (c *conn) LocalAddr() net.Addr                { return c.udp.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr               { return net.UDPAddrFromAddrPort(c.remote) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.SetDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.SetDeadline(t) }
