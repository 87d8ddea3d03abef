package snmp

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// An unconnected socket does not hear of closed ports, unless it asks for the
// kernel's queue of errors (ip(7), IP_RECVERR): what ICMP reports of any datagram
// that was sent, with the address that it was sent to and the beginning of what was
// in it. A closed port is worth it: the box and the cable are fine and SNMP is off,
// which is another errand for a technician than a device that is gone.

// askForErrors switches the queue on.
func askForErrors(raw syscall.RawConn, v6 bool) error {
	level, option := unix.IPPROTO_IP, unix.IP_RECVERR
	if v6 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = unix.SetsockoptInt(int(fd), level, option, 1) }); err != nil {
		return err
	}
	return inner
}

// maxErrors is how many are read at a time.
const maxErrors = 64

// readErrors reads the queue and calls hear with what each error is about, which
// holds for the call only. It returns how many there were.
func readErrors(raw syscall.RawConn, hear func(to netip.AddrPort, errno syscall.Errno, quote []byte)) (n int) {
	var quote, control [512]byte
	for n < maxErrors {
		var size, controlSize int
		var to unix.Sockaddr
		var inner error
		err := raw.Control(func(fd uintptr) {
			size, controlSize, _, to, inner = unix.Recvmsg(int(fd), quote[:], control[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		})
		if err != nil || inner != nil {
			return n
		}
		n++
		if errno := reported(control[:controlSize]); errno != 0 {
			hear(addressOf(to), errno, quote[:size])
		}
	}
	return n
}

// reported finds the error in the control message (struct sock_extended_err, whose
// first field it is).
func reported(control []byte) syscall.Errno {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		v4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
		v6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if (v4 || v6) && len(m.Data) >= 4 {
			return syscall.Errno(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return 0
}

func addressOf(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
