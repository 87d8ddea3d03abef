package snmp

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// socket is one unconnected UDP socket and who waits for what on it. While it has
// users, a goroutine receives.
type socket struct {
	conn    *net.UDPConn
	raw     syscall.RawConn
	network string

	mu        sync.Mutex // guards what follows, and what it says of in exchange
	waiting   map[int32]*exchange
	users     int
	receiving bool
	broken    bool
	stats     SocketStats
	working   sync.WaitGroup
}

// enter has the socket receive until leave is called.
func (s *socket) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users++
	if s.users > 1 || s.broken {
		return
	}
	_ = s.conn.SetReadDeadline(time.Time{}) // it fails when closed, as reading does
	if !s.receiving {
		s.receiving = true
		s.working.Go(s.receive)
	}
}

// leave ends enter.
func (s *socket) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (s *socket) works() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.broken
}

func (s *socket) counts() SocketStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *socket) close() error {
	s.abandon()
	err := s.conn.Close()
	s.working.Wait()
	return err
}

// abandon lets nobody wait on this socket any more.
func (s *socket) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = true
	for _, x := range s.waiting {
		s.settle(x, ErrSend)
	}
}

// datagrams holds the memory that nobody receives into now. A datagram's data are
// shorter than that.
var datagrams = sync.Pool{New: func() any { return new([1 << 16]byte) }}

// maxIdleErrors is after how many errors in a row that nobody can explain a socket
// is given up for another.
const maxIdleErrors = 100

func (s *socket) receive() {
	buf := datagrams.Get().(*[1 << 16]byte)
	defer datagrams.Put(buf)
	unexplained := 0
	for unexplained < maxIdleErrors {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf[:])
		switch {
		case err == nil:
			unexplained = 0
			s.take(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		case errors.Is(err, os.ErrDeadlineExceeded):
			if s.mayRest() {
				return
			}
		case errors.Is(err, net.ErrClosed):
			return
		case s.hearErrors() > 0:
			unexplained = 0
		default:
			unexplained++
		}
	}
	s.abandon()
	_ = s.conn.Close()
}

// mayRest ends the goroutine that receives, unless there is a user again.
func (s *socket) mayRest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users > 0 {
		_ = s.conn.SetReadDeadline(time.Time{})
		return false
	}
	s.receiving = false
	return true
}

// take gives a datagram to who waits for it.
func (s *socket) take(b []byte, from netip.AddrPort) {
	_, _, id, ok := pdu.Peek(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.waiting[id]
	switch {
	case !ok:
		s.stats.Garbled++
		s.each(from, func(x *exchange) { x.garbled = true })
	case x == nil:
		s.stats.Late++
		s.each(from, func(x *exchange) { x.other = true })
	case !x.admits(from):
		s.stats.Strangers++
	default:
		s.stats.Answers++
		x.from, x.answer = from, append(x.answer[:0], b...)
		s.settle(x, nil)
	}
}

// each calls do for all that wait for an answer from an address. They are few: no
// more than polls that run.
func (s *socket) each(from netip.AddrPort, do func(*exchange)) {
	for _, x := range s.waiting {
		if x.to == from {
			do(x)
		}
	}
}

// settle ends the waiting of an exchange.
func (s *socket) settle(x *exchange, err error) {
	s.strike(x) // so it is settled once, and there is room
	x.failure = err
	x.ready <- struct{}{}
}

// strike takes the numbers of an exchange off the list.
func (s *socket) strike(x *exchange) {
	for _, id := range x.ids {
		delete(s.waiting, id)
	}
	x.ids = x.ids[:0]
}

// hearErrors reads what ICMP says of requests that were sent, and returns how much
// it was. A closed port is an answer. Of a host or network without a way there it
// is only noted, for routers say so while they look for one.
func (s *socket) hearErrors() int {
	return readErrors(s.raw, func(to netip.AddrPort, errno syscall.Errno, quote []byte) {
		_, _, id, quoted := pdu.Peek(quote)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.each(to, func(x *exchange) {
			if quoted && s.waiting[id] != x {
				return // it is about another request
			}
			switch errno {
			case syscall.ECONNREFUSED:
				s.settle(x, ErrRefused)
			case syscall.EHOSTUNREACH, syscall.ENETUNREACH:
				x.unreachable = true
			}
		})
	})
}

// maxSends is how often something is sent that an error kept from being sent: the
// kernel may mean one that ICMP reported of another device.
const maxSends = 8

func (s *socket) send(b []byte, to netip.AddrPort) (err error) {
	for range maxSends {
		if _, err = s.conn.WriteToUDPAddrPort(b, to); err == nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			break
		}
		s.hearErrors()
	}
	if errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) {
		return ErrUnreachable
	}
	return ErrSend
}

// list gives an exchange one more number that an answer may bear: a random one, so
// that nobody can answer who has not seen the request. There is none where the
// exchange was settled meanwhile.
func (s *socket) list(x *exchange) (id int32, settled bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.take() {
		return 0, true, nil
	}
	if s.broken {
		return 0, false, ErrSend
	}
	for taken := true; taken || id == 0; {
		var b [4]byte
		_, _ = rand.Read(b[:]) // it never fails
		id = int32(binary.NativeEndian.Uint32(b[:]) >> 1)
		_, taken = s.waiting[id]
	}
	x.ids = append(x.ids, id)
	s.waiting[id] = x
	return id, false, nil
}

// forget ends the waiting of an exchange.
func (s *socket) forget(x *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strike(x)
	x.take()
}

// silence says why an exchange had no answer of use.
func (s *socket) silence(x *exchange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return x.silence()
}
