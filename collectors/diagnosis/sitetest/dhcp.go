package sitetest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lease is what a DHCP server gives (RFC 2131).
type lease struct {
	Addr, Router, Server netip.Addr
	Bits                 int
	Lasts                time.Duration
	Portal               string // option 114 (RFC 8910), empty without
}

const (
	dhcpDiscover, dhcpOffer, dhcpRequest, dhcpAck           = 1, 2, 3, 5
	optMask, optRouter, optRequested, optLasts              = 1, 3, 50, 51
	optType, optServer, optWanted, optPortal, optEnd        = 53, 54, 55, 114, 255
	dhcpHeader                                              = 240 // up to and with the magic cookie
	dhcpMagic                                        uint32 = 0x63825363
)

// askLease gets a lease from the first server that offers one.
func askLease(dev string, patience time.Duration) (lease, error) {
	offers, c, err := discover(dev, patience, 1)
	if err != nil {
		return lease{}, err
	}
	defer c.Close()
	if len(offers) == 0 {
		return lease{}, errors.New("no DHCP server answers")
	}
	offer := offers[0]
	addr, server := offer.Addr.As4(), offer.Server.As4()
	if err := c.send(dhcpRequest, append(append([]byte{optRequested, 4}, addr[:]...), append([]byte{optServer, 4}, server[:]...)...)); err != nil {
		return lease{}, err
	}
	l, err := c.receive(dhcpAck, time.Now().Add(patience))
	if err != nil {
		return lease{}, fmt.Errorf("waiting for the lease: %w", err)
	}
	return l, nil
}

// discover asks for offers until there are as many as wanted or the time is over.
func discover(dev string, patience time.Duration, want int) ([]lease, *dhcpConn, error) {
	c, err := dialDHCP(dev)
	if err != nil {
		return nil, nil, err
	}
	var offers []lease
	for end := time.Now().Add(patience); len(offers) < want && time.Now().Before(end); {
		if err := c.send(dhcpDiscover, nil); err != nil && !errors.Is(err, syscall.ENETDOWN) {
			c.Close()
			return nil, nil, err
		}
		again := time.Now().Add(min(200*time.Millisecond, time.Until(end)))
		for len(offers) < want {
			l, err := c.receive(dhcpOffer, again)
			if err != nil {
				break
			}
			if !knows(offers, l.Server) {
				offers = append(offers, l)
			}
		}
	}
	return offers, c, nil
}

func knows(ls []lease, server netip.Addr) bool {
	for _, l := range ls {
		if l.Server == server {
			return true
		}
	}
	return false
}

// dhcpConn is a client's socket.
type dhcpConn struct {
	net.PacketConn
	xid uint32
	mac net.HardwareAddr
}

func dialDHCP(dev string) (*dhcpConn, error) {
	i, err := net.InterfaceByName(dev)
	if err != nil {
		return nil, fmt.Errorf("opening a DHCP socket: %w", err)
	}
	var sockErr error
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		err := c.Control(func(fd uintptr) {
			sockErr = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1),
				unix.BindToDevice(int(fd), dev))
		})
		return errors.Join(err, sockErr)
	}}
	conn, err := lc.ListenPacket(context.Background(), "udp4", ":68")
	if err != nil {
		return nil, fmt.Errorf("opening a DHCP socket: %w", err)
	}
	var xid [4]byte
	_, _ = rand.Read(xid[:]) // never fails
	return &dhcpConn{conn, binary.BigEndian.Uint32(xid[:]), i.HardwareAddr}, nil
}

func (c *dhcpConn) send(kind byte, more []byte) error {
	b := make([]byte, dhcpHeader, 300)
	b[0], b[1], b[2] = 1, 1, 6 // a request, Ethernet, 6 octets
	binary.BigEndian.PutUint32(b[4:], c.xid)
	binary.BigEndian.PutUint16(b[10:], 0x8000) // answers are to be broadcast
	copy(b[28:], c.mac)
	binary.BigEndian.PutUint32(b[236:], dhcpMagic)
	b = append(b, optType, 1, kind, optWanted, 4, optMask, optRouter, optLasts, optPortal)
	b = append(append(b, more...), optEnd)
	if _, err := c.WriteTo(b[:cap(b)], &net.UDPAddr{IP: net.IPv4bcast, Port: 67}); err != nil {
		return fmt.Errorf("asking for a lease: %w", err)
	}
	return nil
}

// receive returns the next answer of a kind.
func (c *dhcpConn) receive(kind byte, until time.Time) (lease, error) {
	_ = c.SetReadDeadline(until)
	buf := make([]byte, 1500)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return lease{}, err
		}
		if l, k, ok := c.parse(buf[:n]); ok && k == kind {
			return l, nil
		}
	}
}

func (c *dhcpConn) parse(b []byte) (l lease, kind byte, ok bool) {
	if len(b) < dhcpHeader || binary.BigEndian.Uint32(b[4:]) != c.xid || b[0] != 2 {
		return l, 0, false
	}
	l.Addr = netip.AddrFrom4([4]byte(b[16:20]))
	for o := b[dhcpHeader:]; len(o) >= 2 && o[0] != optEnd; {
		if o[0] == 0 {
			o = o[1:]
			continue
		}
		if len(o) < 2+int(o[1]) {
			return l, 0, false
		}
		v := o[2 : 2+o[1]]
		switch {
		case o[0] == optType && len(v) == 1:
			kind = v[0]
		case o[0] == optMask && len(v) == 4:
			l.Bits, _ = net.IPMask(v).Size()
		case o[0] == optRouter && len(v) >= 4:
			l.Router = netip.AddrFrom4([4]byte(v))
		case o[0] == optServer && len(v) == 4:
			l.Server = netip.AddrFrom4([4]byte(v))
		case o[0] == optLasts && len(v) == 4:
			l.Lasts = time.Duration(binary.BigEndian.Uint32(v)) * time.Second
		case o[0] == optPortal:
			l.Portal = string(v)
		}
		o = o[2+len(v):]
	}
	return l, kind, true
}

// dhcpd is dnsmasq as a DHCP server; it may be stopped and started.
type dhcpd struct {
	s    *Site
	ns   string
	args []string
	opts string // a file of more options, read again on SIGHUP
	run  *daemon
}

// newDHCPD makes the DHCP server of a namespace, which hands out addresses in the
// range and names a router.
func (s *Site) newDHCPD(ns, dev, from, to, router string, more ...string) (*dhcpd, error) {
	d := &dhcpd{s: s, ns: ns, opts: filepath.Join(s.dir, "dhcp-"+ns)}
	if err := os.WriteFile(d.opts, nil, 0o644); err != nil {
		return nil, err
	}
	d.args = append(dnsmasqArgs(dev), "--port=0", "--no-ping", "--dhcp-authoritative", "--leasefile-ro",
		"--dhcp-optsfile="+d.opts, fmt.Sprintf("--dhcp-range=%s,%s,255.255.255.0,1h", from, to),
		"--dhcp-option=option:router,"+router, "--dhcp-option=option:dns-server,"+router)
	d.args = append(d.args, more...)
	return d, nil
}

// dnsmasqArgs are for a dnsmasq that reads nothing of the machine's.
func dnsmasqArgs(dev string) []string {
	// As a daemon it would set its user, upon which the kernel forgets to end it with
	// the test.
	return []string{"--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=",
		"--interface=" + dev, "--except-interface=lo", "--bind-interfaces"}
}

func (d *dhcpd) start() (err error) {
	d.run, err = d.s.ns[d.ns].start(d.s.log, "dnsmasq", d.args...)
	return err
}

// stop stops it; a nil one is stopped.
func (d *dhcpd) stop() {
	if d != nil {
		d.run.stop()
		d.run = nil
	}
}

// options puts these in place of those before, in the words of --dhcp-option. A server
// that is stopped reads them when it is started.
func (d *dhcpd) options(text string) error {
	if err := os.WriteFile(d.opts, []byte(text), 0o644); err != nil {
		return fmt.Errorf("setting DHCP options: %w", err)
	}
	if d.run == nil {
		return nil
	}
	return d.run.signal(syscall.SIGHUP)
}
