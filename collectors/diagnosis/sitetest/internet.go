package sitetest

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// startInternet starts all that anchors, resolvers, NTP and portal hosts serve. They
// are one namespace, so one listener serves for all of them.
func (s *Site) startInternet() error {
	zone, err := newZone(s.named())
	if err != nil {
		return err
	}
	s.TrustAnchor = zone.anchor.String()
	s.public, s.isp = &resolver{zone: zone, validates: true}, &resolver{zone: zone, validates: true}
	s.clock = &clock{}
	web, err := s.pki.issue(s.pki.ca, "web", time.Now().Add(20*time.Hour), s.internet()...)
	if err != nil {
		return fmt.Errorf("making a certificate: %w", err)
	}
	return s.ns[nsInternet].do(func() error {
		if err := s.serveDNS(s.public); err != nil {
			return err
		}
		for port, config := range map[string]*tls.Config{":80": nil, ":443": {Certificates: []tls.Certificate{web.tls}}} {
			if err := s.serveHTTP(port, config, internetHandler()); err != nil {
				return err
			}
		}
		for _, h := range s.NTP {
			for _, addr := range []string{h.V4.String(), h.V6.String()} {
				conn, err := net.ListenPacket("udp", net.JoinHostPort(addr, "123"))
				if err != nil {
					return fmt.Errorf("serving NTP: %w", err)
				}
				s.closeWith(conn)
				go s.clock.serve(conn)
			}
		}
		return nil
	})
}

// startISP starts the provider's resolver, at either WAN.
func (s *Site) startISP() error {
	for _, ns := range []string{nsISP, nsBackup} {
		if err := s.ns[ns].do(func() error { return s.serveDNS(s.isp) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) serveDNS(h dns.Handler) error {
	conn, err := net.ListenPacket("udp", ":53")
	if err != nil {
		return fmt.Errorf("serving DNS: %w", err)
	}
	s.closeWith(conn)
	l, err := net.Listen("tcp", ":53")
	if err != nil {
		return fmt.Errorf("serving DNS: %w", err)
	}
	s.closeWith(l)
	for _, server := range []*dns.Server{{PacketConn: conn, Handler: h}, {Listener: l, Handler: h}} {
		go func() { _ = server.ActivateAndServe() }() // ends with its socket
	}
	return nil
}

// serveHTTP serves at an address of the calling thread's namespace.
func (s *Site) serveHTTP(at string, config *tls.Config, h http.Handler) error {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	s.closeWith(server)
	go func() { _ = server.Serve(l) }()
	return nil
}

func internetHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/check", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, PortalBody) })
	mux.HandleFunc("/ip", func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		_, _ = io.WriteString(w, host)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { // takes large requests, to see whether large packets arrive
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
		_, _ = io.WriteString(w, "hello\n")
	})
	return mux
}

// portalHandler is a captive portal.
func portalHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/login" {
			http.Redirect(w, r, PortalPage, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "<html><title>Guest access</title><form>Room number: <input name=room></form></html>\n")
	})
}

// clock is the time that the NTP servers tell: the machine's plus an offset.
type clock struct{ offset atomic.Int64 }

// serve answers as a stratum 2 server (RFC 5905) until conn is closed.
func (c *clock) serve(conn net.PacketConn) {
	buf := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < 48 || buf[0]&7 != 3 { // a client's
			continue
		}
		now := time.Now().Add(time.Duration(c.offset.Load()))
		out := make([]byte, 48)
		out[0], out[1], out[2], out[3] = buf[0]&0x38|4, 2, 6, 0xec // no leap second, the client's version, server; stratum 2; poll 64 s; precision 1 us
		binary.BigEndian.PutUint32(out[4:], 1<<8)                  // root delay 4 ms
		binary.BigEndian.PutUint32(out[8:], 1<<7)                  // root dispersion 2 ms
		copy(out[12:], []byte{192, 0, 2, 10})
		putNTP(out[16:], now.Add(-10*time.Second))
		copy(out[24:32], buf[40:48])
		putNTP(out[32:], now)
		putNTP(out[40:], time.Now().Add(time.Duration(c.offset.Load())))
		_, _ = conn.WriteTo(out, from)
	}
}

// putNTP writes a time as seconds since 1900 and their fraction.
func putNTP(b []byte, t time.Time) {
	const since1900 = 2208988800
	binary.BigEndian.PutUint32(b, uint32(t.Unix()+since1900))
	binary.BigEndian.PutUint32(b[4:], uint32(uint64(t.Nanosecond())<<32/1e9))
}
