package check

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// maxTalk is how much a server can say in a conversation, and maxLine how much in one
// line of it.
const (
	maxTalk = 64 << 10
	maxLine = 4 << 10
)

// session is the conversation of one run of a check with a server. All errors of its
// methods are judged. It ends with the ctx it was opened with, however slowly a
// server speaks.
type session struct {
	ctx     context.Context
	address string
	raw     net.Conn // closed in the end
	conn    net.Conn // raw, or what secures it
	in      *bufio.Reader
	left    int // octets that the server may still say
	release func() bool

	r      *reading
	phases string // the metric of what the phases take
}

// sessionPhases are those of every session.
func sessionPhases(name string, more ...string) []metric {
	return phases(name, append([]string{"resolve", "connect", "tls"}, more...)...)
}

// openSession connects. The phases are recorded in r, under the metric of that name.
func openSession(ctx context.Context, dialer Dialer, address string, r *reading, phases string) (*session, error) {
	d, err := dial(ctx, dialer, "tcp", address)
	if d.resolved {
		r.set("probe_dns_lookup_time_seconds", "", seconds(d.resolve))
		r.set(phases, "resolve", seconds(d.resolve))
	}
	if err != nil {
		return nil, judge("connect", address, err)
	}
	r.set(phases, "connect", seconds(d.connect))
	s := &session{ctx: ctx, address: address, raw: d.conn, conn: d.conn, left: maxTalk, r: r, phases: phases}
	s.in = bufio.NewReaderSize(s, maxLine)
	s.release = context.AfterFunc(ctx, func() { _ = d.conn.Close() })
	return s, nil
}

func (s *session) close() {
	s.release()
	_ = s.raw.Close() // nothing more is to be had from it
}

var errTooLong = because("answer too long")

// Read reads from the server as long as it may speak.
func (s *session) Read(b []byte) (int, error) {
	if s.left <= 0 {
		return 0, errTooLong
	}
	n, err := s.conn.Read(b[:min(len(b), s.left)])
	s.left -= n
	return n, err
}

// fail judges an error met while doing something.
func (s *session) fail(doing string, err error) error {
	if s.ctx.Err() != nil {
		err = s.ctx.Err() // the connection was closed under the read
	}
	return judge(doing, s.address, err)
}

// line reads a line, without its end.
func (s *session) line(doing string) (string, error) {
	b, err := s.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errTooLong
	case err != nil:
		return "", s.fail(doing, err)
	}
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return string(b), nil
}

// octets reads exactly n of them.
func (s *session) octets(doing string, n int) ([]byte, error) {
	if n > s.left+s.in.Buffered() {
		return nil, errTooLong
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.in, b); err != nil {
		return nil, s.fail(doing, err)
	}
	return b, nil
}

// say sends a command.
func (s *session) say(doing, text string) error {
	if _, err := io.WriteString(s.conn, text); err != nil {
		return s.fail(doing, err)
	}
	return nil
}

// timed does a phase and records what it took.
func (s *session) timed(phase string, do func() error) error {
	start := time.Now()
	if err := do(); err != nil {
		return err
	}
	s.r.set(s.phases, phase, seconds(time.Since(start)))
	return nil
}

// secure puts TLS over the connection. What the server said before it must have been
// read: it was not protected, and is no part of what follows.
func (s *session) secure(h *handshake) error {
	if s.in.Buffered() > 0 {
		return because("starttls: data before the handshake")
	}
	conn, err := h.over(s.ctx, s.raw)
	h.record(s.r)
	if err != nil {
		return err
	}
	s.r.set(s.phases, "tls", seconds(h.took))
	s.conn = conn
	return nil
}
