package check

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// serveDNS answers on one loopback port, over UDP and TCP.
func serveDNS(t *testing.T, h dns.HandlerFunc) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		t.Skipf("the TCP port beside the UDP port is taken: %v", err)
	}
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
		started, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			_ = s.ActivateAndServe() // ends with Shutdown
		}()
		<-started
		t.Cleanup(func() { _ = s.Shutdown(); <-ended })
	}
	return pc.LocalAddr().String()
}

func reply(t *testing.T, w dns.ResponseWriter, q *dns.Msg, rcode int, records ...string) {
	m := new(dns.Msg).SetRcode(q, rcode)
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
		}
		m.Answer = append(m.Answer, rr)
	}
	_ = w.WriteMsg(m)
}

func TestDNS(t *testing.T) {
	long := strings.Repeat("x", 200)
	server := serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
		_, udp := w.LocalAddr().(*net.UDPAddr)
		switch q.Question[0].Name {
		case "dc1.acme.local.":
			reply(t, w, q, 0, "www.acme.local. 60 IN CNAME dc1.acme.local.", "dc1.acme.local. 60 IN A 192.168.10.11", "dc1.acme.local. 60 IN A 192.168.10.12")
		case "mail.acme.local.":
			reply(t, w, q, 0, "mail.acme.local. 60 IN MX 10 MX1.acme.local.")
		case "7.2.0.192.in-addr.arpa.":
			reply(t, w, q, 0, "7.2.0.192.in-addr.arpa. 60 IN PTR host.acme.local.")
		case "acme.local.":
			reply(t, w, q, 0, "acme.local. 60 IN SOA ns1.acme.local. root.acme.local. 42 1 1 1 1")
		case "big.acme.local.":
			if udp {
				m := new(dns.Msg).SetReply(q)
				m.Truncated = true
				_ = w.WriteMsg(m)
				return
			}
			reply(t, w, q, 0, `big.acme.local. 60 IN TXT "`+long+`" "`+long+`"`)
		case "empty.acme.local.":
			reply(t, w, q, 0)
		case "forged.acme.local.":
			m := new(dns.Msg).SetReply(q)
			m.Id++
			_ = w.WriteMsg(m) // skipped: another id
			m = new(dns.Msg).SetReply(q)
			m.Question[0].Name = "other.acme.local."
			_ = w.WriteMsg(m)               // skipped: another question
			_, _ = w.Write([]byte{1, 2, 3}) // skipped: no message
			reply(t, w, q, 0, "forged.acme.local. 60 IN A 192.168.10.13")
		case "silent.acme.local.":
		case "broken.acme.local.":
			m := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
			m.Question = nil
			_ = w.WriteMsg(m)
		default:
			reply(t, w, q, dns.RcodeNameError)
		}
	})
	for _, test := range []struct {
		name   string
		cfg    DNS
		reason string // empty: up
		also   []string
	}{
		{"all expected", DNS{Name: "dc1.acme.local", Expect: []string{"192.168.10.12", "192.168.10.11"}}, "",
			[]string{"probe_dns_rcode=0", "probe_dns_answer_rrs=3", "probe_dns_query_succeeded=1", "probe_dns_duration_seconds/request=*", "probe_dns_serial="}},
		{"one is missing", DNS{Name: "dc1.acme.local", Expect: []string{"192.168.10.99"}}, "dns: expected answer is missing", nil},
		{"mx in another case", DNS{Name: "mail.acme.local", Type: "MX", Expect: []string{"10 mx1.acme.local"}}, "", nil},
		{"ptr of an address", DNS{Name: "192.0.2.7", Type: "PTR", Expect: []string{"host.acme.local"}}, "", nil},
		{"serial", DNS{Name: "acme.local", Type: "SOA"}, "", []string{"probe_dns_serial=42"}},
		{"truncated", DNS{Name: "big.acme.local", Type: "TXT", Expect: []string{long + long}}, "", nil},
		{"no such name", DNS{Name: "nope.acme.local"}, "dns: NXDOMAIN", []string{"probe_dns_rcode=3"}},
		{"no such name, as expected", DNS{Name: "nope.acme.local", Rcode: "NXDOMAIN"}, "", nil},
		{"no data", DNS{Name: "empty.acme.local"}, "dns: no record of the type", nil},
		{"forged answers", DNS{Name: "forged.acme.local", Expect: []string{"192.168.10.13"}}, "", nil},
		{"failure without a question", DNS{Name: "broken.acme.local"}, "dns: SERVFAIL", nil},
		{"no answer", DNS{Name: "silent.acme.local"}, "timeout: dns query",
			[]string{"probe_dns_query_succeeded=0", "probe_dns_rcode=", "probe_dns_duration_seconds/connect=*"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Server = server
			timeout := 5 * time.Second
			if strings.HasPrefix(test.reason, "timeout") {
				timeout = 60 * time.Millisecond
			}
			r := collect(t, mustNew(t, Config{Timeout: timeout, DNS: &test.cfg}, &scope{}, Options{}))
			if test.reason == "" {
				r.up()
			} else {
				r.down(test.reason)
			}
			r.want(test.also...)
		})
	}
}

func TestDNSAsksAgainWhenADatagramIsLost(t *testing.T) {
	seen := make(chan struct{}, dnsTries)
	server := serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
		seen <- struct{}{}
		if len(seen) == 1 {
			return
		}
		reply(t, w, q, 0, "a.example. 60 IN A 192.0.2.1")
	})
	r := collect(t, mustNew(t, Config{Timeout: 900 * time.Millisecond, DNS: &DNS{Server: server, Name: "a.example"}}, &scope{}, Options{}))
	r.up()
	if asked := len(seen); asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
}

func TestDNSServerThatIsNotThere(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := pc.LocalAddr().String()
	if err := pc.Close(); err != nil {
		t.Fatal(err)
	}
	collect(t, mustNew(t, Config{DNS: &DNS{Server: address, Name: "a.example"}}, &scope{}, Options{})).down("connection refused")
}
