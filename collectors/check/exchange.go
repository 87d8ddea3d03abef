package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// exchange sends a request over a connection, which it then owns, and returns the
// response, whose body is unread. Closing that closes the connection, as the end of ctx
// does. It is used instead of an http.Transport, which keeps goroutines and writes into
// the process's log what a server says unasked. Proxies that the environment names are
// not in the contract, and there is none.
func exchange(ctx context.Context, conn net.Conn, req *http.Request) (*http.Response, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	b := &body{ctx: ctx, conn: conn, stop: stop, headers: maxHeaders}
	resp, err := b.exchange(req)
	if err != nil {
		err = b.ended(err)
		_ = b.Close() // nothing more is to be had from it
		return nil, err
	}
	b.ReadCloser, b.headers = resp.Body, -1
	resp.Body = b
	return resp, nil
}

// body is that of a response, and the connection it comes over.
type body struct {
	io.ReadCloser
	ctx     context.Context
	conn    net.Conn
	stop    func() bool
	headers int // octets that may still come before the body; -1: it has begun
}

var errHeaders = errors.New("headers without end")

// limited reads from the connection, so much as headers may be long.
type limited struct{ *body }

func (l limited) Read(p []byte) (int, error) {
	if l.headers == 0 {
		return 0, errHeaders
	}
	if l.headers > 0 {
		p = p[:min(len(p), l.headers)]
	}
	n, err := l.conn.Read(p)
	if l.headers > 0 {
		l.headers -= n
	}
	return n, err
}

// exchange reads responses up to the final one: interim ones (RFC 9110 15.2) come before.
func (b *body) exchange(req *http.Request) (*http.Response, error) {
	req.Close = true
	if err := req.Write(b.conn); err != nil {
		return nil, fmt.Errorf("sending: %w", err)
	}
	in := bufio.NewReader(limited{b})
	for {
		resp, err := http.ReadResponse(in, req)
		if err != nil || resp.StatusCode >= 200 {
			return resp, err
		}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			return nil, errors.New("it switches protocols unasked")
		}
	}
}

// ended is err, or that the time is over where that is why.
func (b *body) ended(err error) error {
	if err != nil && b.ctx.Err() != nil {
		return b.ctx.Err()
	}
	return err
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.ended(err)
	}
	return n, err
}

// Close leaves what is unread unread.
func (b *body) Close() error {
	b.stop()
	return b.conn.Close()
}
