package sitetest

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Healthy says what does not work, as seen from the box: its address, the path, IPv4
// and IPv6 to everything on the internet, both resolvers, the broker's port.
func (s *Site) Healthy() error {
	const timeout = time.Second
	for ttl, hop := range []Host{s.Gateway, s.Access, s.ISP} {
		if from, err := s.Box().Ping(s.Anchors[0].V4, ttl+1, timeout); err != nil || from != hop.V4 {
			return fmt.Errorf("hop %d: %s answers, not %s: %w", ttl+1, from, hop.V4, err)
		}
	}
	for _, h := range s.internet() {
		for _, addr := range []netip.Addr{h.V4, h.V6} {
			if _, err := s.Box().Ping(addr, 0, timeout); err != nil {
				return err
			}
		}
	}
	for _, server := range []Host{s.Gateway, s.PublicResolver, s.Anchors[0]} {
		m, err := s.ask(server, "portal."+Zone, timeout)
		if err != nil {
			return err
		}
		if a, ok := first[*dns.A](m); !ok || !a.A.Equal(net.IP(s.Portal.V4.AsSlice())) {
			return fmt.Errorf("%s does not know %s", server.V4, "portal."+Zone)
		}
	}
	return s.Box().Do(func() error {
		c, err := net.DialTimeout("tcp", netip.AddrPortFrom(s.Broker.V4, brokerPort).String(), timeout)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// ask asks a resolver for an IPv4 address, from the box, over UDP.
func (s *Site) ask(server Host, name string, timeout time.Duration) (m *dns.Msg, err error) {
	err = s.Box().Do(func() error {
		q := new(dns.Msg).SetQuestion(name, dns.TypeA)
		q.SetEdns0(1232, true)
		m, _, err = (&dns.Client{Timeout: timeout}).Exchange(q, net.JoinHostPort(server.V4.String(), "53"))
		return err
	})
	return m, err
}

func first[T dns.RR](m *dns.Msg) (rr T, ok bool) {
	for _, x := range m.Answer {
		if rr, ok = x.(T); ok {
			return rr, true
		}
	}
	return rr, false
}
