package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Pinger opens the sockets that echo requests are sent on: unprivileged ping
// sockets where the kernel lets this group have them (net.ipv4.ping_group_range),
// else raw ones (CAP_NET_RAW). It remembers which it got, and asks for that first
// the next time. It may be shared and used concurrently.
type Pinger struct {
	opener func(raw, v6 bool) (echoConn, error)

	mu  sync.Mutex
	raw bool // raw sockets were what worked last
}

// NewPinger makes a Pinger. It opens nothing yet.
func NewPinger() *Pinger { return &Pinger{opener: openEcho} }

// open returns a socket. The error wraps ErrNotPermitted when neither kind may be
// had, so that a box without the right to ping never calls a host down.
func (p *Pinger) open(v6 bool) (echoConn, error) {
	p.mu.Lock()
	first := p.raw
	p.mu.Unlock()

	conn, err := p.opener(first, v6)
	if err == nil {
		return conn, nil
	}
	conn, err2 := p.opener(!first, v6)
	if err2 == nil {
		p.mu.Lock()
		p.raw = !first
		p.mu.Unlock()
		return conn, nil
	}
	if denied(err) && denied(err2) {
		return nil, fmt.Errorf("ping: %w: neither ping_group_range nor CAP_NET_RAW allows it", ErrNotPermitted)
	}
	if denied(err) {
		err = err2
	}
	return nil, fmt.Errorf("opening an ICMP socket: %w", err)
}

// denied tells whether a kind of socket is not for us to have. A kernel or a
// sandbox that does not know ping sockets says so with EPROTONOSUPPORT and the like.
func denied(err error) bool {
	for _, e := range []syscall.Errno{syscall.EPERM, syscall.EACCES, syscall.EPROTONOSUPPORT, syscall.ESOCKTNOSUPPORT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// echoConn sends echo requests and receives the replies to them.
type echoConn interface {
	Send(to netip.Addr, seq int, data []byte) error
	// Receive returns the next echo reply that may be ours, or an error that wraps
	// os.ErrDeadlineExceeded.
	Receive() (echo, error)
	SetReadDeadline(time.Time) error
	Close() error
}

// echo is an echo reply.
type echo struct {
	from     netip.Addr
	seq      int
	data     []byte
	hopLimit int // 0: not told
}

// socket is an echoConn of the kernel.
type socket struct {
	net.PacketConn
	p4      *ipv4.PacketConn // one of the two, on top of PacketConn
	p6      *ipv6.PacketConn
	raw, v6 bool
	id      int
	buf     [1500]byte
}

func openEcho(raw, v6 bool) (echoConn, error) {
	s := &socket{raw: raw, v6: v6, id: int(time.Now().UnixNano()>>10) & 0xffff}
	if err := s.listen(); err != nil {
		return nil, err
	}
	s.tune()
	return s, nil
}

func (s *socket) listen() error {
	local := "0.0.0.0"
	if s.v6 {
		local = "::"
	}
	if s.raw {
		network := "ip4:icmp"
		if s.v6 {
			network = "ip6:ipv6-icmp"
		}
		lc := net.ListenConfig{Control: noBroadcast}
		conn, err := lc.ListenPacket(context.Background(), network, local)
		if err != nil {
			return err
		}
		s.PacketConn = conn
		if s.v6 {
			s.p6 = ipv6.NewPacketConn(conn)
		} else {
			s.p4 = ipv4.NewPacketConn(conn)
		}
		return nil
	}
	network := "udp4"
	if s.v6 {
		network = "udp6"
	}
	conn, err := icmp.ListenPacket(network, local)
	if err != nil {
		return err
	}
	s.PacketConn, s.p4, s.p6 = conn, conn.IPv4PacketConn(), conn.IPv6PacketConn()
	return nil
}

// noBroadcast takes from a raw socket the right that package net gives it. An echo
// request to a network's broadcast address would make all of its hosts answer; the
// kernel knows which addresses those are and refuses.
func noBroadcast(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 0)
	})
	return errors.Join(err, failed)
}

// tune asks for the hop limit of what is received and, on a raw socket, for echo
// replies only. Without either, pinging still works.
func (s *socket) tune() {
	if s.v6 {
		_ = s.p6.SetControlMessage(ipv6.FlagHopLimit, true)
		if s.raw {
			var f ipv6.ICMPFilter
			f.SetAll(true)
			f.Accept(ipv6.ICMPTypeEchoReply)
			_ = s.p6.SetICMPFilter(&f)
		}
		return
	}
	_ = s.p4.SetControlMessage(ipv4.FlagTTL, true)
	if s.raw {
		var f ipv4.ICMPFilter
		f.SetAll(true)
		f.Accept(ipv4.ICMPTypeEchoReply)
		_ = s.p4.SetICMPFilter(&f)
	}
}

// Send writes an echo request. On a ping socket the kernel puts in its own id.
func (s *socket) Send(to netip.Addr, seq int, data []byte) error {
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: s.id, Seq: seq, Data: data}}
	if s.v6 {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	b, err := m.Marshal(nil)
	if err != nil {
		return fmt.Errorf("making an echo request: %w", err)
	}
	var dst net.Addr = &net.UDPAddr{IP: to.AsSlice(), Zone: to.Zone()}
	if s.raw {
		dst = &net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()}
	}
	_, err = s.WriteTo(b, dst)
	return err
}

// Receive skips all that is not an echo reply to this socket.
func (s *socket) Receive() (echo, error) {
	for {
		n, hops, from, err := s.read()
		if err != nil {
			return echo{}, err
		}
		proto, kind := 1, icmp.Type(ipv4.ICMPTypeEchoReply)
		if s.v6 {
			proto, kind = 58, ipv6.ICMPTypeEchoReply
		}
		m, err := icmp.ParseMessage(proto, s.buf[:n])
		if err != nil || m.Type != kind {
			continue
		}
		body, ok := m.Body.(*icmp.Echo)
		if !ok || s.raw && body.ID != s.id {
			continue
		}
		return echo{from: from, seq: body.Seq, data: body.Data, hopLimit: hops}, nil
	}
}

func (s *socket) read() (n, hops int, from netip.Addr, err error) {
	var src net.Addr
	if s.v6 {
		var cm *ipv6.ControlMessage
		if n, cm, src, err = s.p6.ReadFrom(s.buf[:]); cm != nil {
			hops = cm.HopLimit
		}
	} else {
		var cm *ipv4.ControlMessage
		if n, cm, src, err = s.p4.ReadFrom(s.buf[:]); cm != nil {
			hops = cm.TTL
		}
	}
	switch a := src.(type) {
	case *net.UDPAddr:
		from = a.AddrPort().Addr()
	case *net.IPAddr:
		from, _ = netip.AddrFromSlice(a.IP)
	}
	return n, hops, from.Unmap(), err
}
