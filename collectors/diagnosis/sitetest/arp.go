package sitetest

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// announce sends gratuitous ARP (RFC 5227, an announcement) for an address from the
// eth0 of a namespace: the LAN then sends there.
func (s *Site) announce(ns string, addr netip.Addr) error {
	return s.ns[ns].do(func() error {
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Sendto(fd, gratuitous(i.HardwareAddr, addr), 0, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ARP), Ifindex: i.Index, Halen: 6}); err != nil && err != unix.ENETDOWN {
			return fmt.Errorf("announcing %s: %w", addr, err)
		}
		return nil
	})
}

func gratuitous(mac net.HardwareAddr, addr netip.Addr) []byte {
	ip := addr.As4()
	b := append([]byte{255, 255, 255, 255, 255, 255}, mac...)
	b = append(b, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1) // ARP over Ethernet for IPv4, a request
	b = append(append(b, mac...), ip[:]...)
	return append(append(b, 0, 0, 0, 0, 0, 0), ip[:]...)
}

// bigEndian is a protocol's number as AF_PACKET wants it.
func bigEndian(proto uint16) uint16 { return proto<<8 | proto>>8 }
