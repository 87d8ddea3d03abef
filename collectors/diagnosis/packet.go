package diagnosis

import (
	"bytes"
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

// packetSocket sends and receives frames of one Ethernet protocol at one interface.
// It takes CAP_NET_RAW: errDenied where there is none.
type packetSocket struct {
	file *os.File
	port port
	to   unix.SockaddrLinklayer
}

func openPacket(p port, protocol uint16) (*packetSocket, error) {
	be := protocol<<8 | protocol>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket: %w", denial(err))
	}
	s := &packetSocket{port: p, to: unix.SockaddrLinklayer{Protocol: be, Ifindex: p.index, Halen: 6}}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: be, Ifindex: p.index}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("opening a packet socket: %w", denial(err))
	}
	s.file = os.NewFile(uintptr(fd), "packet")
	return s, nil
}

var everybody = net.HardwareAddr{255, 255, 255, 255, 255, 255}

func (s *packetSocket) send(mac net.HardwareAddr, b []byte) error {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	to := s.to
	copy(to.Addr[:], mac)
	werr := raw.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), b, 0, &to)
		return !errors.Is(err, unix.EAGAIN)
	})
	return errors.Join(werr, err)
}

// receive calls f with each packet and its sender, until f gives true or the time is over.
func (s *packetSocket) receive(ctx context.Context, d time.Duration, f func(b []byte, mac net.HardwareAddr) bool) bool {
	until := time.Now().Add(d)
	if t, ok := ctx.Deadline(); ok && t.Before(until) {
		until = t
	}
	if s.file.SetReadDeadline(until) != nil {
		return false
	}
	raw, err := s.file.SyscallConn()
	if err != nil {
		return false
	}
	buf := make([]byte, 2048)
	for {
		var n int
		var from unix.Sockaddr
		err := raw.Read(func(fd uintptr) bool {
			n, from, err = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			return !errors.Is(err, unix.EAGAIN)
		})
		if err != nil || n <= 0 {
			return false
		}
		if l, ok := from.(*unix.SockaddrLinklayer); ok && l.Pkttype != unix.PACKET_OUTGOING && f(buf[:n], net.HardwareAddr(l.Addr[:6])) {
			return true
		}
	}
}

// arpRequest asks who has target; a sender of 0.0.0.0 makes it a probe (RFC 5227).
func arpRequest(mac net.HardwareAddr, sender, target netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, 1} // ARP over Ethernet for IPv4, a request
	b = append(b, mac...)
	b = append(b, sender.AsSlice()...)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, target.AsSlice()...)
}

// arpSender reads who says in an ARP packet that he has which address.
func arpSender(b []byte) (mac net.HardwareAddr, a netip.Addr, ok bool) {
	if len(b) < 28 || !bytes.Equal(b[:6], []byte{0, 1, 8, 0, 6, 4}) || b[6] != 0 || (b[7] != 1 && b[7] != 2) {
		return nil, a, false
	}
	return append(net.HardwareAddr{}, b[8:14]...), netip.AddrFrom4([4]byte(b[14:18])), true
}

// askARP asks n times who has an address, and gives how often somebody but this port
// said so, and the last one's MAC.
func askARP(ctx context.Context, p port, sender, target netip.Addr, n int, each time.Duration) (answers int, who net.HardwareAddr, err error) {
	s, err := openPacket(p, unix.ETH_P_ARP)
	if err != nil {
		return 0, nil, err
	}
	defer s.file.Close()
	for range n {
		if ctx.Err() != nil {
			break
		}
		if err := s.send(everybody, arpRequest(p.mac, sender, target)); err != nil {
			return answers, who, nil // no carrier: nobody answers
		}
		start := time.Now()
		if s.receive(ctx, each, func(b []byte, _ net.HardwareAddr) bool {
			mac, a, ok := arpSender(b)
			if ok && a == target && !bytes.Equal(mac, p.mac) {
				who = mac
				return true
			}
			return false
		}) {
			answers++
		}
		if rest := each - time.Since(start); answers > 0 && rest > 0 { // the next one is another look, not an echo of this one
			wait(ctx, min(rest, 100*time.Millisecond))
		}
	}
	return answers, who, nil
}

// wait waits, but no longer than ctx lasts.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// offer is what a DHCP server offers.
type offer struct {
	server netip.Addr
	router netip.Addr
	portal string // option 114, RFC 8910
}

// askDHCP sends a DHCPDISCOVER, which takes no lease and changes none, and gathers
// offers (RFC 2131).
func askDHCP(ctx context.Context, p port, patience time.Duration) ([]offer, error) {
	s, err := openPacket(p, unix.ETH_P_IP)
	if err != nil {
		return nil, err
	}
	defer s.file.Close()
	xid := uint32(time.Now().UnixNano())
	seen := map[netip.Addr]bool{}
	var out []offer
	for range 2 {
		if err := s.send(everybody, dhcpDiscover(p.mac, xid)); err != nil {
			break // no carrier
		}
		s.receive(ctx, patience/2, func(b []byte, _ net.HardwareAddr) bool {
			if o, ok := readOffer(b, xid); ok && !seen[o.server] {
				seen[o.server] = true
				out = append(out, o)
			}
			return len(out) >= maxTargets
		})
	}
	return out, nil
}

// dhcpDiscover makes a DHCPDISCOVER with its UDP and IPv4 headers.
func dhcpDiscover(mac net.HardwareAddr, xid uint32) []byte {
	d := make([]byte, 240)
	d[0], d[1], d[2] = 1, 1, 6 // a request, Ethernet
	binary.BigEndian.PutUint32(d[4:], xid)
	d[10] = 0x80 // answers by broadcast: there is no address to answer to yet
	copy(d[28:], mac)
	copy(d[236:], []byte{99, 130, 83, 99})
	d = append(d, 53, 1, 1, 55, 4, 1, 3, 54, 114, 255) // DISCOVER; wanted: mask, router, server, captive portal
	udp := make([]byte, 8, 8+len(d))
	binary.BigEndian.PutUint16(udp, 68)
	binary.BigEndian.PutUint16(udp[2:], 67)
	binary.BigEndian.PutUint16(udp[4:], uint16(8+len(d))) // no checksum, which IPv4 allows
	udp = append(udp, d...)
	ip := make([]byte, 20, 20+len(udp))
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(udp)))
	copy(ip[16:], []byte{255, 255, 255, 255})
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	return append(ip, udp...)
}

// readOffer reads an IPv4 packet that may be a DHCPOFFER of our transaction.
func readOffer(b []byte, xid uint32) (o offer, ok bool) {
	if len(b) < 20 || b[0]>>4 != 4 || b[9] != 17 {
		return o, false
	}
	b = b[min(int(b[0]&15)*4, len(b)):]
	if len(b) < 8+240 || binary.BigEndian.Uint16(b[2:]) != 68 {
		return o, false
	}
	b = b[8:]
	if b[0] != 2 || binary.BigEndian.Uint32(b[4:]) != xid || !bytes.Equal(b[236:240], []byte{99, 130, 83, 99}) {
		return o, false
	}
	isOffer := false
	for b = b[240:]; len(b) >= 2 && b[0] != 255; {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		n := int(b[1])
		if len(b) < 2+n {
			break
		}
		v := b[2 : 2+n]
		switch {
		case b[0] == 53 && n == 1:
			isOffer = v[0] == 2
		case b[0] == 54 && n == 4:
			o.server = netip.AddrFrom4([4]byte(v))
		case b[0] == 3 && n >= 4:
			o.router = netip.AddrFrom4([4]byte(v[:4]))
		case b[0] == 114:
			o.portal = clean(string(v))
		}
		b = b[2+n:]
	}
	return o, isOffer && o.server.IsValid()
}
