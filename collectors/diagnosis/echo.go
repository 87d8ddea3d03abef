package diagnosis

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// echoRequest is one echo request.
type echoRequest struct {
	to   netip.Addr
	ttl  int  // 0: the usual one
	size int  // octets of the whole packet, with its IP header; 0: a small one
	df   bool // not to be fragmented, whatever the kernel believes about the path
}

// echoAnswer is what came of it.
type echoAnswer struct {
	kind echoKind
	from netip.Addr
	mtu  int // of echoTooBig: the largest packet that the next hop takes; 0: not said
	took time.Duration
}

type echoKind int

const (
	echoReplied     echoKind = iota + 1
	echoExceeded             // a router at which the TTL ended
	echoUnreachable          // a router, or this box, says that there is no way
	echoTooBig               // a router, or this box, says that the packet is too large
)

var (
	errSilent = errors.New("no answer")
	errDenied = errors.New("this box may not do that")
)

// echo sends one request and waits for what answers it, until ctx ends. It uses an
// unprivileged ping socket where there is one (net.ipv4.ping_group_range), else a raw
// one, and the socket's error queue (IP_RECVERR) for what routers say.
func echo(ctx context.Context, r echoRequest) (a echoAnswer, err error) {
	s, err := openEcho(r)
	if err != nil {
		return a, err
	}
	defer s.file.Close()
	until, ok := ctx.Deadline()
	if !ok || time.Until(until) > 5*time.Second {
		until = time.Now().Add(5 * time.Second)
	}
	if err := s.file.SetReadDeadline(until); err != nil {
		return a, fmt.Errorf("an ICMP socket: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) })()
	start := time.Now()
	if _, err := s.file.Write(s.request(r)); err != nil {
		switch {
		case errors.Is(err, unix.EMSGSIZE):
			return echoAnswer{kind: echoTooBig}, nil
		case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.EADDRNOTAVAIL):
			return echoAnswer{kind: echoUnreachable}, nil
		}
		return a, fmt.Errorf("sending an echo request: %w", denial(err))
	}
	raw, err := s.file.SyscallConn()
	if err != nil {
		return a, fmt.Errorf("an ICMP socket: %w", err)
	}
	err = raw.Read(func(fd uintptr) bool {
		for {
			got, more := s.take(int(fd), &a)
			if got || !more {
				return got
			}
		}
	})
	a.took = time.Since(start)
	if err != nil {
		return a, errSilent
	}
	return a, nil
}

// echoSocket is a socket for one request.
type echoSocket struct {
	file  *os.File
	raw   bool
	v6    bool
	id    uint16
	token [8]byte
}

func openEcho(r echoRequest) (*echoSocket, error) {
	s := &echoSocket{v6: r.to.Is6()}
	if _, err := rand.Read(s.token[:]); err != nil {
		return nil, err
	}
	s.id = binary.BigEndian.Uint16(s.token[:])
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	if s.v6 {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		s.raw = true
		if fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto); err != nil {
			return nil, fmt.Errorf("opening an ICMP socket: %w", denial(err))
		}
	}
	if err := s.set(fd, r); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("an ICMP socket: %w", err)
	}
	var to unix.Sockaddr = &unix.SockaddrInet4{Addr: as4(r.to)}
	if s.v6 {
		to = &unix.SockaddrInet6{Addr: r.to.As16()}
	}
	// A broadcast address is refused by the kernel here: SO_BROADCAST is not set.
	if err := unix.Connect(fd, to); err != nil && !errors.Is(err, unix.ENETUNREACH) && !errors.Is(err, unix.EHOSTUNREACH) {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("an ICMP socket: %w", denial(err))
	} else if err != nil {
		_ = unix.Close(fd)
		return nil, errSilent // there is no way: nobody will answer
	}
	s.file = os.NewFile(uintptr(fd), "icmp")
	return s, nil
}

func as4(a netip.Addr) (b [4]byte) {
	if a.Is4() {
		b = a.As4()
	}
	return b
}

// set asks for the error queue, and for TTL and DF where the request wants them.
func (s *echoSocket) set(fd int, r echoRequest) error {
	level, recvErr, ttl, discover := unix.IPPROTO_IP, unix.IP_RECVERR, unix.IP_TTL, unix.IP_MTU_DISCOVER
	if s.v6 {
		level, recvErr, ttl, discover = unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.IPV6_UNICAST_HOPS, unix.IPV6_MTU_DISCOVER
	}
	err := unix.SetsockoptInt(fd, level, recvErr, 1)
	if r.ttl > 0 {
		err = errors.Join(err, unix.SetsockoptInt(fd, level, ttl, r.ttl))
	}
	if r.df {
		err = errors.Join(err, unix.SetsockoptInt(fd, level, discover, unix.IP_PMTUDISC_PROBE)) // the same number for IPv6
	}
	return err
}

// request makes the ICMP message. On a ping socket the kernel puts in its own
// identifier, on one of IPv6 the checksum.
func (s *echoSocket) request(r echoRequest) []byte {
	header := 20
	if s.v6 {
		header = 40
	}
	b := make([]byte, 8+max(len(s.token), r.size-header-8))
	b[0] = 8
	if s.v6 {
		b[0] = 128
	}
	binary.BigEndian.PutUint16(b[4:], s.id)
	copy(b[8:], s.token[:])
	if !s.v6 {
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// take reads one message, of the error queue first. got: it is an answer; more: there
// may be another one.
func (s *echoSocket) take(fd int, a *echoAnswer) (got, more bool) {
	buf, oob := make([]byte, 2048), make([]byte, 512)
	n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if err == nil {
		return s.queued(buf[:n], oob[:oobn], a), true
	}
	n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return false, false
	case err != nil: // the error that lies in the queue, told once here too
		return false, true
	}
	b := buf[:n]
	if s.raw && !s.v6 { // with its IP header
		if len(b) < 20 || len(b) < int(b[0]&15)*4 {
			return false, true
		}
		b = b[int(b[0]&15)*4:]
	}
	reply := byte(0)
	if s.v6 {
		reply = 129
	}
	if len(b) < 16 || b[0] != reply || [8]byte(b[8:16]) != s.token {
		return false, true
	}
	a.kind, a.from = echoReplied, addrOf(from)
	return true, true
}

// queued reads a message of the error queue: what a router said about a packet that
// was sent, of which data is the beginning.
func (s *echoSocket) queued(data, oob []byte, a *echoAnswer) bool {
	ms, err := unix.ParseSocketControlMessage(oob)
	if err != nil || s.raw && (len(data) < 6 || binary.BigEndian.Uint16(data[4:]) != s.id) {
		return false // of another socket's packet to the same address
	}
	for _, m := range ms {
		const size = 16 // sock_extended_err: errno 4, origin 1, type 1, code 1, pad 1, info 4, data 4; then the router's address
		if len(m.Data) < size {
			continue
		}
		errno, info := unix.Errno(binary.NativeEndian.Uint32(m.Data)), binary.NativeEndian.Uint32(m.Data[8:])
		origin, kind := m.Data[4], m.Data[5]
		a.from = offender(m.Data[size:])
		switch {
		case errno == unix.EMSGSIZE:
			a.kind, a.mtu = echoTooBig, int(min(info, 1<<16))
		case origin == unix.SO_EE_ORIGIN_ICMP && kind == 11, origin == unix.SO_EE_ORIGIN_ICMP6 && kind == 3:
			a.kind = echoExceeded
		default:
			a.kind = echoUnreachable
		}
		return true
	}
	return false
}

// offender reads a raw sockaddr.
func offender(b []byte) netip.Addr {
	if len(b) >= 8 && binary.NativeEndian.Uint16(b) == unix.AF_INET {
		return netip.AddrFrom4([4]byte(b[4:8]))
	}
	if len(b) >= 24 && binary.NativeEndian.Uint16(b) == unix.AF_INET6 {
		return netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	}
	return netip.Addr{}
}

func addrOf(s unix.Sockaddr) netip.Addr {
	switch x := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(x.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(x.Addr).Unmap()
	}
	return netip.Addr{}
}

// denial tells what this box's kernel or sandbox refuses from other errors.
func denial(err error) error {
	for _, e := range []unix.Errno{unix.EPERM, unix.EACCES, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.ESOCKTNOSUPPORT} {
		if errors.Is(err, e) {
			return errDenied
		}
	}
	return err
}
