package receive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Datagram is what came. Data is valid until the handler returns.
type Datagram struct {
	From netip.AddrPort // not mapped into IPv6
	Data []byte
	Cut  bool // it was longer than the buffer

	to []byte // as a control message: the address that was asked
}

// queueBytes is how much the kernel is asked to keep of what was not read yet; it may
// give less.
const queueBytes = 4 << 20

// Socket reads datagrams. It does not own its connection: that may stay open while
// one receiver takes another's place, so that nothing is lost between them.
type Socket struct {
	conn *net.UDPConn
	over uint32 // datagrams that the kernel has dropped since the socket was opened
}

// NewSocket prepares a connection, which must not be connected to an address.
func NewSocket(conn *net.UDPConn) (*Socket, error) {
	_ = conn.SetReadBuffer(queueBytes) // what it refuses to have it has not; losses are counted
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("preparing the socket: %w", err)
	}
	var opt error
	err = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
		// To answer from the address that was asked. One of the two fails on a socket of
		// the other family.
		e4 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		e6 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		if e4 != nil && e6 != nil {
			opt = e4
		}
	})
	if err = errors.Join(err, opt); err != nil {
		return nil, fmt.Errorf("preparing the socket: %w", err)
	}
	return &Socket{conn: conn}, nil
}

// Serve calls handle for each datagram of at most size octets (a longer one is Cut),
// one after the other, until ctx is done. lost is told how many the kernel has dropped
// before they could be read.
func (s *Socket) Serve(ctx context.Context, size int, handle func(*Datagram), lost func(n uint64)) error {
	end, err := Interrupt(ctx, s.conn.SetReadDeadline)
	if err != nil {
		return fmt.Errorf("reading datagrams: %w", err)
	}
	defer end()
	buf, oob := make([]byte, size), make([]byte, 256)
	for ctx.Err() == nil {
		n, oobn, flags, from, err := s.conn.ReadMsgUDPAddrPort(buf, oob)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("reading datagrams: %w", err)
		case err != nil:
			continue // what an answer before met, such as a port that is closed
		}
		d := Datagram{From: netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port()), Data: buf[:n], Cut: flags&unix.MSG_TRUNC != 0}
		if over := s.control(oob[:oobn], &d); over > 0 {
			lost(uint64(over))
		}
		handle(&d)
	}
	return nil
}

// Interrupt makes whoever waits on a socket without a deadline give up once ctx is done.
// end has to be called before the socket is used by anybody else.
func Interrupt(ctx context.Context, setDeadline func(time.Time) error) (end func(), err error) {
	if err := setDeadline(time.Time{}); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = setDeadline(time.Unix(1, 0)) // a socket that is closed has interrupted everybody
	})
	return func() {
		if !stop() {
			<-done
		}
	}, nil
}

// control reads what the kernel says of a datagram, and how many it dropped since
// the one before.
func (s *Socket) control(oob []byte, d *Datagram) (over uint32) {
	ms, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for _, m := range ms {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_RXQ_OVFL && len(m.Data) >= 4:
			now := binary.NativeEndian.Uint32(m.Data)
			over = now - s.over
			s.over = now
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			// ipi_ifindex, ipi_spec_dst: what the datagram was sent to, or where that was a
			// broadcast the address of the box.
			d.to = unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: [4]byte(m.Data[4:8])})
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			info := unix.Inet6Pktinfo{Addr: [16]byte(m.Data[:16])}
			if a := netip.AddrFrom16(info.Addr); a.IsLinkLocalUnicast() {
				info.Ifindex = binary.NativeEndian.Uint32(m.Data[16:20])
			}
			d.to = unix.PktInfo6(&info)
		}
	}
	return over
}

// Answer sends to where a datagram came from, from the address that it was sent to.
// The datagram may be a copy without its Data.
func (s *Socket) Answer(d *Datagram, data []byte) error {
	if _, _, err := s.conn.WriteMsgUDPAddrPort(data, d.to, d.From); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	return nil
}
