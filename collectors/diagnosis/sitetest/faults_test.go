package sitetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/beevik/ntp"
	"github.com/miekg/dns"
)

// short is how long a test waits for what must not come.
const short = 120 * time.Millisecond

// seen is what the box sees, in one line that a table can hold: what answers is named,
// what does not is left out.
func (s *Site) seen() string {
	var out []string
	note := func(what string, ok bool) {
		if ok {
			out = append(out, what)
		}
	}
	answers := func(addr netip.Addr, ttl int, want netip.Addr) bool {
		from, err := s.Box().Ping(addr, ttl, short)
		return err == nil && from == want
	}
	note("link", s.boxLink())
	for ttl, hop := range []Host{s.Gateway, s.Access, s.ISP, s.Anchors[0]} {
		note(fmt.Sprintf("hop%d", ttl+1), answers(s.Anchors[0].V4, ttl+1, hop.V4))
	}
	note("backup", answers(s.Anchors[0].V4, 2, s.Backup.V4))
	for i, a := range s.Anchors {
		note(fmt.Sprintf("a%d", i+1), answers(a.V4, 0, a.V4))
	}
	note("v6", answers(s.Anchors[1].V6, 0, s.Anchors[1].V6))
	dnsSays := func(server Host, name string) string {
		m, err := s.ask(server, name, short)
		if err != nil {
			return "silent"
		}
		return dns.RcodeToString[m.Rcode]
	}
	local, public := dnsSays(s.Gateway, "portal."+Zone), dnsSays(s.PublicResolver, "portal."+Zone)
	note("dns", local == "NOERROR")
	note("public", public == "NOERROR")
	note("hijack", local == "NOERROR" && dnsSays(s.Gateway, "nosuchname."+Zone) == "NOERROR" ||
		public == "NOERROR" && dnsSays(s.PublicResolver, "nosuchname."+Zone) == "NOERROR")
	note("broker", s.brokerSays() == "connack 0")
	return strings.Join(out, " ")
}

func (s *Site) boxLink() (up bool) {
	_ = s.Box().Do(func() error {
		i, err := net.InterfaceByName("eth0")
		up = err == nil && i.Flags&net.FlagRunning != 0
		return err
	})
	return up
}

// brokerSays connects as the box does.
func (s *Site) brokerSays() string {
	cert, err := tls.LoadX509KeyPair(s.TLS.Cert, s.TLS.Key)
	if err != nil {
		return err.Error()
	}
	var raw net.Conn
	err = s.Box().Do(func() (err error) {
		raw, err = net.DialTimeout("tcp", netip.AddrPortFrom(s.Broker.V4, brokerPort).String(), 2*short)
		return err
	})
	if err != nil {
		return "no connection"
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(time.Second))
	c := tls.Client(raw, &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: s.pki.pool(), ServerName: "broker.lab.test"})
	body := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, byte(len(SiteName))}, SiteName...)
	if _, err := c.Write(append([]byte{0x10, byte(len(body))}, body...)); err != nil {
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
			return "expired"
		}
		if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
			return "unknown CA"
		}
		return err.Error()
	}
	ack := make([]byte, 4)
	if _, err := io.ReadFull(c, ack); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("connack %d", ack[3])
}

const allWell = "link hop1 hop2 hop3 hop4 a1 a2 a3 v6 dns public broker"

// faultCase is a fault and what the box sees of it.
type faultCase struct {
	name  string
	fault Fault
	want  string
}

// TestFaults: each fault has the effect that it says and no other that can be seen
// from the box, and undo heals it.
func TestFaults(t *testing.T) {
	for where, cases := range map[string][]faultCase{
		"inside": {
			{"UnplugBox", (*Site).UnplugBox, ""},
			{"StopDHCP", (*Site).StopDHCP, "link v6"},
			{"GatewayDead", (*Site).GatewayDead, "link"},
			{"ResolverDown", (*Site).ResolverDown, "link hop1 hop2 hop3 hop4 a1 a2 a3 v6 public broker"},
			{"DNS53Blocked", (*Site).DNS53Blocked, "link hop1 hop2 hop3 hop4 a1 a2 a3 v6 dns broker"},
			{"BrokerBlocked", (*Site).BrokerBlocked, "link hop1 hop2 hop3 hop4 a1 a2 a3 v6 dns public"},
			{"CaptivePortal", (*Site).CaptivePortal, "link hop1 dns"},
			{"V6Down and BrokerBlocked", Together((*Site).V6Down, (*Site).BrokerBlocked), "link hop1 hop2 hop3 hop4 a1 a2 a3 dns public"},
			{"WANPortDown twice", Together((*Site).WANPortDown, (*Site).WANPortDown), "link hop1"},
			{"OnBackupWAN", (*Site).OnBackupWAN, "link hop1 hop4 backup a1 a2 a3 v6 dns public broker"},
		},
		"outside": {
			{"WANPortDown", (*Site).WANPortDown, "link hop1"},
			{"AccessDown", (*Site).AccessDown, "link hop1"},
			{"ISPPathBroken", (*Site).ISPPathBroken, "link hop1 hop2"},
			{"InternetDown", (*Site).InternetDown, "link hop1 hop2 hop3"},
			{"AnchorDown", func(s *Site) func() { return s.AnchorDown(1) }, "link hop1 hop2 hop3 hop4 a1 a3 dns public broker"},
			{"V6Down", (*Site).V6Down, "link hop1 hop2 hop3 hop4 a1 a2 a3 dns public broker"},
			{"PublicDNSDown", (*Site).PublicDNSDown, "link hop1 hop2 hop3 hop4 a1 a2 a3 v6 dns broker"},
			{"DNSHijack", (*Site).DNSHijack, "link hop1 hop2 hop3 hop4 a1 a2 a3 v6 dns public hijack broker"},
			{"MTUBlackhole", (*Site).MTUBlackhole, "link hop1 hop2 hop3 hop4 a1 a2 a3 v6 dns public"}, // the broker's certificates are long
		},
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			s := New(t, Options{})
			if got := s.seen(); got != allWell {
				t.Fatalf("healthy: %s", got)
			}
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) { s.testFault(t, c) })
			}
			if got := s.seen(); got != allWell {
				t.Errorf("in the end: %s", got)
			}
		})
	}
}

func (s *Site) testFault(t *testing.T, c faultCase) {
	undo := c.fault(s)
	err := eventually(3*time.Second, func() error { // the kernel tells of a carrier once a second
		if got := s.seen(); got != c.want {
			return fmt.Errorf("the box sees:\n%s, want\n%s", got, c.want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	start := time.Now()
	undo()
	undo() // does nothing
	s.AwaitHealthy(10 * time.Second)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("healing took %v", took)
	}
}

// TestBrokerFaults: what the broker says, and that it is itself afterwards.
func TestBrokerFaults(t *testing.T) {
	t.Parallel()
	s := New(t, Options{})
	for _, c := range []struct {
		fault Fault
		want  string
	}{
		{(*Site).BrokerCertExpired, "expired"},
		{(*Site).TLSIntercepted, "unknown CA"},
		{(*Site).BrokerAuthRefused, "connack 5"},
		{(*Site).BrokerBusy, "connack 3"},
		{(*Site).BrokerIDRejected, "connack 2"},
		{(*Site).BrokerDown, "no connection"},
		{(*Site).BrokerBlocked, "no connection"},
		{Together((*Site).BrokerBusy, (*Site).BrokerCertExpired), "expired"},
	} {
		undo := c.fault(s)
		if got := s.brokerSays(); got != c.want {
			t.Errorf("the broker says %q, want %q", got, c.want)
		}
		undo()
		if got := s.brokerSays(); got != "connack 0" {
			t.Errorf("after %s the broker says %q", c.want, got)
		}
	}
	s.BrokerBusy()
	s.Reset()
	if got := s.brokerSays(); got != "connack 0" {
		t.Errorf("after Reset the broker says %q", got)
	}
}

// TestIDTaken: who connects with the box's name is thrown out again.
func TestIDTaken(t *testing.T) {
	t.Parallel()
	s := New(t, Options{})
	undo := s.IDTaken()
	cert, err := tls.LoadX509KeyPair(s.TLS.Cert, s.TLS.Key)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var raw net.Conn
		err = s.Box().Do(func() (err error) {
			raw, err = net.DialTimeout("tcp", netip.AddrPortFrom(s.Broker.V4, brokerPort).String(), 5*time.Second)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
		out := make(chan struct{})
		go func() {
			defer close(out)
			stay(context.Background(), tls.Client(raw, &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: s.pki.pool(), ServerName: "broker.lab.test"}))
		}()
		select {
		case <-out:
		case <-time.After(8 * time.Second):
			t.Error("nobody takes the box's place")
		}
	}
	undo()
}

// TestHubStall: the hub's process stands still, also when the broker comes back
// meanwhile, and goes on. Any program will do for it.
func TestHubStall(t *testing.T) {
	t.Parallel()
	s := New(t, Options{})
	program := filepath.Join(t.TempDir(), "hub")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.StartHub(program); err != nil {
		t.Fatal(err)
	}
	stands := func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.hub.run.cmd.Process.Pid))
		return strings.Contains(string(text), ") T ")
	}
	is := func(want bool) {
		t.Helper()
		err := eventually(5*time.Second, func() error {
			if stands() != want {
				return fmt.Errorf("the hub stands still: %v, want %v", !want, want)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	is(false)
	undo := s.HubStall()
	is(true)
	first := s.hub.run.cmd.Process.Pid
	s.BrokerBusy()()
	is(true)
	if s.hub.run.cmd.Process.Pid == first {
		t.Error("the broker is a new one, the hub is not")
	}
	undo()
	is(false)
}

// TestServices: what is not seen by ping and a connection.
func TestServices(t *testing.T) {
	t.Parallel()
	s := New(t, Options{})
	for name, test := range map[string]func(*testing.T){
		"NTP": s.testNTP, "DNSSEC": s.testDNSSEC, "MTU": s.testMTU, "DHCP": s.testDHCP,
		"portal": s.testPortal, "whoami": s.testWhoami, "duplicate": s.testDuplicate,
	} {
		t.Run(name, test)
	}
}

func (s *Site) offset(t *testing.T, server Host) time.Duration {
	t.Helper()
	var r *ntp.Response
	err := s.Box().Do(func() (err error) {
		r, err = ntp.QueryWithOptions(server.V4.String(), ntp.QueryOptions{Timeout: 2 * time.Second})
		return err
	})
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		t.Fatalf("NTP: %v", err)
	}
	return r.ClockOffset
}

func (s *Site) testNTP(t *testing.T) {
	undo := s.ClockWrong(time.Hour)
	for _, server := range s.NTP {
		if d := s.offset(t, server) - time.Hour; d.Abs() > time.Second {
			t.Errorf("a clock that is wrong by an hour is wrong by %v more", d)
		}
	}
	undo()
	if d := s.offset(t, s.NTP[0]); d.Abs() > time.Second {
		t.Errorf("a clock that is right is wrong by %v", d)
	}
}

func (s *Site) testDNSSEC(t *testing.T) {
	for _, server := range []Host{s.PublicResolver, s.Anchors[2], s.Gateway} {
		m, err := s.ask(server, SignedName, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		sig, ok := first[*dns.RRSIG](m)
		a, _ := first[*dns.A](m)
		if !ok {
			t.Fatalf("%s: no signature in\n%s", server.V4, m)
		}
		if err := sig.Verify(s.public.zone.key, []dns.RR{a}); err != nil {
			t.Errorf("%s: the signature: %v", server.V4, err)
		}
		if server != s.Gateway && !m.AuthenticatedData {
			t.Errorf("%s does not say that it has validated", server.V4)
		}
		for name, want := range map[string]int{BogusName: dns.RcodeServerFailure, "qzxv." + Zone: dns.RcodeNameError, "qzxv.example.": dns.RcodeNameError} {
			m, err := s.ask(server, name, time.Second)
			if err != nil || m.Rcode != want {
				t.Errorf("%s says of %s: %v %v", server.V4, name, m, err)
			}
		}
	}
	defer s.DNSHijack()()
	m, err := s.ask(s.PublicResolver, "qzxv."+Zone, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := first[*dns.A](m); !ok || a.A.String() != hijackedTo {
		t.Errorf("hijacked: %s", m)
	}
}

// send sends so much to an anchor over TCP and waits until its end has been answered.
func (s *Site) send(bytesToSend int) error {
	var c net.Conn
	err := s.Box().Do(func() (err error) {
		c, err = net.DialTimeout("tcp", netip.AddrPortFrom(s.Anchors[0].V4, 80).String(), time.Second)
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprintf(c, "POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", bytesToSend, bytes.Repeat([]byte("x"), bytesToSend)); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 12))
	return err
}

func (s *Site) testMTU(t *testing.T) {
	for _, size := range []int{10, 100_000} {
		if err := s.send(size); err != nil {
			t.Errorf("sending %d octets: %v", size, err)
		}
	}
	undo := s.MTUBlackhole()
	if err := s.send(800); err != nil {
		t.Errorf("sending little: %v", err)
	}
	if err := s.send(3000); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("sending 3000 octets into a black hole: %v", err)
	}
	undo()
	if err := s.send(100_000); err != nil {
		t.Errorf("sending much after that: %v", err)
	}
}

// offers are the DHCP servers and option 114.
func (s *Site) offers(t *testing.T, patience time.Duration) (servers []string, portal string) {
	t.Helper()
	err := s.Box().Do(func() error {
		offers, c, err := discover("eth0", patience, 2)
		if err != nil {
			return err
		}
		for _, o := range offers {
			servers = append(servers, o.Server.String())
			portal = o.Portal
		}
		return c.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return servers, portal
}

func (s *Site) testDHCP(t *testing.T) {
	if got, _ := s.offers(t, 2*short); fmt.Sprint(got) != "[192.168.77.1]" {
		t.Errorf("DHCP servers: %s", got)
	}
	undo := s.RogueDHCP()
	if got, _ := s.offers(t, 5*time.Second); len(got) != 2 {
		t.Errorf("DHCP servers with a rogue: %s", got)
	}
	undo()
	undo = s.StopDHCP()
	if got, _ := s.offers(t, 2*short); len(got) != 0 {
		t.Errorf("DHCP servers when there are none: %s", got)
	}
	undo()
}

func (s *Site) get(t *testing.T, url string) string {
	t.Helper()
	cmd, err := s.Box().Role("get", url)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("asking for %s: %v\n%s", url, err, out)
	}
	return string(out)
}

func (s *Site) testPortal(t *testing.T) {
	if got := s.get(t, PortalURL); !strings.HasSuffix(got, "\r\n\r\n"+PortalBody) || !strings.Contains(got, s.Anchors[0].V4.String()) {
		t.Errorf("without a portal:\n%s", got)
	}
	undo := s.CaptivePortal()
	if got := s.get(t, PortalURL); !strings.Contains(got, "302 "+PortalPage) {
		t.Errorf("with a portal:\n%s", got)
	}
	if got := s.get(t, PortalPage); !strings.Contains(got, "Room number") {
		t.Errorf("the portal's page:\n%s", got)
	}
	if _, portal := s.offers(t, 2*short); portal != PortalPage {
		t.Errorf("option 114: %q", portal)
	}
	undo()
	if _, portal := s.offers(t, 2*short); portal != "" {
		t.Errorf("option 114 afterwards: %q", portal)
	}
}

func (s *Site) testWhoami(t *testing.T) {
	if got := s.get(t, WhoamiURL); !strings.HasSuffix(got, s.WAN.V4.String()) {
		t.Errorf("the internet sees the site at\n%s", got)
	}
	defer s.OnBackupWAN()()
	if got := s.get(t, WhoamiURL); !strings.HasSuffix(got, s.BackupWAN.V4.String()) {
		t.Errorf("on the backup WAN the internet sees the site at\n%s", got)
	}
}

// testDuplicate asks from the gateway who has the box's address.
func (s *Site) testDuplicate(t *testing.T) {
	owners := func() string {
		out, _ := s.command(nsGateway, "ip", "neigh", "show", s.Probe.V4.String()).Output()
		return string(out)
	}
	before := owners()
	undo := s.DuplicateIP()
	if got := owners(); got == before || strings.Contains(got, probeMAC) {
		t.Errorf("duplicated, yet the gateway finds the box at %s", got)
	}
	undo()
	if got := owners(); !strings.Contains(got, probeMAC) {
		t.Errorf("afterwards the gateway finds the box at %s", got)
	}
}
