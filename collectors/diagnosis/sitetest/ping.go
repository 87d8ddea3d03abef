package sitetest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// errUnreachable is what a router or a host says of a target.
var errUnreachable = errors.New("unreachable, says a router")

// ping sends one echo request and returns who answered: see [Box.Ping].
func ping(to netip.Addr, ttl int, timeout time.Duration) (netip.Addr, error) {
	network, at, proto := "ip4:icmp", "0.0.0.0", 1
	var kind icmp.Type = ipv4.ICMPTypeEcho
	if to.Is6() {
		network, at, proto, kind = "ip6:ipv6-icmp", "::", 58, ipv6.ICMPTypeEchoRequest
	}
	c, err := icmp.ListenPacket(network, at)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("opening an ICMP socket: %w", err)
	}
	defer c.Close()
	if ttl > 0 && to.Is6() {
		err = c.IPv6PacketConn().SetHopLimit(ttl)
	} else if ttl > 0 {
		err = c.IPv4PacketConn().SetTTL(ttl)
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("setting the TTL: %w", err)
	}
	// The identifier tells the answers to this request from those to others.
	id := int(time.Now().UnixNano()/1000+int64(os.Getpid())) & 0xffff
	b, err := (&icmp.Message{Type: kind, Body: &icmp.Echo{ID: id, Seq: 1, Data: []byte("siteprobe lab")}}).Marshal(nil)
	if err != nil {
		return netip.Addr{}, err
	}
	if _, err := c.WriteTo(b, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return netip.Addr{}, fmt.Errorf("pinging %s: %w", to, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(timeout))
	buf := make([]byte, 1500)
	for {
		n, peer, err := c.ReadFrom(buf)
		if err != nil {
			return netip.Addr{}, fmt.Errorf("pinging %s: %w", to, err)
		}
		m, err := icmp.ParseMessage(proto, buf[:n])
		if err != nil {
			continue
		}
		from, _ := netip.AddrFromSlice(peer.(*net.IPAddr).IP)
		if done, err := answers(m, id); done {
			return from.Unmap(), err
		}
	}
}

// answers tells whether m is about the echo request with the identifier, and what
// it says.
func answers(m *icmp.Message, id int) (bool, error) {
	quotes := func(data []byte, header int) bool { // what a router quotes: an IP header, then the request
		if header == 0 && len(data) > 0 {
			header = int(data[0]&15) * 4
		}
		return len(data) >= header+6 && int(data[header+4])<<8|int(data[header+5]) == id
	}
	header := 0
	if _, v6 := m.Type.(ipv6.ICMPType); v6 {
		header = ipv6.HeaderLen
	}
	switch b := m.Body.(type) {
	case *icmp.Echo:
		reply := m.Type == ipv4.ICMPTypeEchoReply || m.Type == ipv6.ICMPTypeEchoReply
		return reply && b.ID == id, nil
	case *icmp.TimeExceeded:
		return quotes(b.Data, header), nil
	case *icmp.DstUnreach:
		return quotes(b.Data, header), errUnreachable
	}
	return false, nil
}
