package syslog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors/receive"
)

// Bounds of connections.
const (
	maxConns     = 64
	maxPerSource = 4
	idle         = 15 * time.Minute
)

// serveTCP accepts connections until ctx is done, and ends when all of them have.
func (r *Receiver) serveTCP(ctx context.Context) error {
	end, err := receive.Interrupt(ctx, r.opt.Listener.SetDeadline)
	if err != nil {
		return fmt.Errorf("accepting connections: %w", err)
	}
	defer end()
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := r.opt.Listener.AcceptTCP()
		switch {
		case ctx.Err() != nil:
			if c != nil {
				_ = c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("accepting connections: %w", err)
		case err != nil: // no descriptors are left, or the other side has gone
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		from, ok := r.enter(c)
		if !ok {
			_ = c.Close()
			continue
		}
		conns.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // reading ends
			defer stop()
			defer r.leave(from)
			defer c.Close()
			r.stream(c, from)
		})
	}
}

// enter counts a connection, if its sender may have one more.
func (r *Receiver) enter(c *net.TCPConn) (from netip.Addr, ok bool) {
	if at, is := c.RemoteAddr().(*net.TCPAddr); is {
		from = at.AddrPort().Addr().Unmap().WithZone("")
	}
	if _, managed := r.desk.Sender(from); !managed {
		r.desk.Drop(receive.OutOfScope, from, 1)
		return from, false
	}
	r.mu.Lock()
	ok = r.open < maxConns && r.conns[from] < maxPerSource
	if ok {
		r.open++
		r.conns[from]++
	}
	r.mu.Unlock()
	if !ok {
		r.desk.Drop(receive.TooMany, from, 1)
	}
	return from, ok
}

func (r *Receiver) leave(from netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	if r.conns[from]--; r.conns[from] == 0 {
		delete(r.conns, from)
	}
}

// stream reads one connection's messages, each framed by its length or by a line's end
// (RFC 6587), until it ends or falls silent.
func (r *Receiver) stream(c net.Conn, from netip.Addr) {
	in := bufio.NewReaderSize(deadlined{c}, maxMessage)
	for {
		b, cut, err := frame(in)
		if len(b) > 0 {
			r.message(from, b)
		}
		if cut {
			r.desk.Drop(receive.TooLong, from, 1) // its beginning was taken
		}
		if err != nil {
			return
		}
	}
}

// deadlined gives every read its time.
type deadlined struct{ c net.Conn }

func (d deadlined) Read(p []byte) (int, error) {
	if err := d.c.SetReadDeadline(time.Now().Add(idle)); err != nil {
		return 0, err
	}
	return d.c.Read(p)
}

// maxDigits bounds a frame's length.
const maxDigits = 6

// frame reads the next message: "LENGTH SP MESSAGE", or up to a line's end. What of it
// does not fit the reader's buffer is skipped, and cut says so. The message is valid
// until the next read.
func frame(in *bufio.Reader) (b []byte, cut bool, err error) {
	first, err := in.Peek(1)
	if err != nil {
		return nil, false, err
	}
	if first[0] < '1' || first[0] > '9' {
		return line(in)
	}
	n, i := 0, 0
	for ; ; i++ {
		head, err := in.Peek(i + 1)
		if err != nil || i == maxDigits {
			return line(in)
		}
		c := head[i]
		if c == ' ' {
			break
		}
		if c < '0' || c > '9' {
			return line(in) // it begins with a number, as Cisco's sequence numbers do
		}
		n = n*10 + int(c-'0')
	}
	if head, err := in.Peek(i + 2); err != nil || head[i+1] != '<' {
		return line(in) // every message that is framed by its length has a priority
	}
	if _, err := in.Discard(i + 1); err != nil {
		return nil, false, err
	}
	b, err = in.Peek(min(n, in.Size()))
	if err != nil {
		b = bytes.Clone(b)
		_, _ = in.Discard(len(b)) // it is there
		return b, false, err
	}
	b = bytes.Clone(b)
	if _, err := io.CopyN(io.Discard, in, int64(n)); err != nil {
		return b, n > len(b), err
	}
	return b, n > len(b), nil
}

// line reads up to a line's end.
func line(in *bufio.Reader) (b []byte, cut bool, err error) {
	b, err = in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return bytes.TrimRight(b, "\r\n\x00"), false, err
	}
	b = bytes.Clone(b)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	return b, true, err
}
