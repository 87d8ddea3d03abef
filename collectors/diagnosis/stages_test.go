package diagnosis

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/siteprobe/siteprobe/collectors"
)

// bench is a look at servers on loopback.
func bench(cfg Config, in Inputs, base Baseline) *look {
	p := New(cfg, DefaultContract(), in)
	p.resolv = nil
	l := &look{Prober: p, base: base, gate: newGate(), offers: make(chan []offer, 1), clockC: make(chan time.Duration, 1)}
	l.allowTargets()
	return l
}

func results(fs []Fact) map[string]Result {
	out := map[string]Result{}
	for _, f := range fs {
		out[f.Name] = f.Result
	}
	return out
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func portOf(a net.Addr) uint16 {
	_, p, _ := net.SplitHostPort(a.String())
	n, _ := strconv.ParseUint(p, 10, 16)
	return uint16(n)
}

func TestGate(t *testing.T) {
	g := newGate()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := portOf(l.Addr())
	ctx := within(t, 5*time.Second)
	if _, err := g.dial(ctx, "tcp", "127.0.0.1", port); err == nil {
		t.Error("what is not allowed was contacted")
	}
	g.allow("127.0.0.1", port)
	c, err := g.dial(ctx, "tcp", "127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if _, err := g.dial(ctx, "tcp", "127.0.0.1", port+1); err == nil {
		t.Error("another port was contacted")
	}
	g.allow("localhost", port)
	if _, err := g.dial(ctx, "tcp", "localhost", port); err == nil {
		t.Error("a name that leads to loopback was followed")
	}
	if g.mayPing(netip.MustParseAddr("192.0.2.1")) || !g.mayPing(netip.MustParseAddr("127.0.0.1")) {
		t.Error("who may be pinged is wrong")
	}
}

func TestPortalPages(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("success\n")) })
	mux.HandleFunc("/other", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<form>room</form>")) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good", http.StatusFound) })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	closed := httptest.NewServer(mux)
	closed.Close()
	for url, want := range map[string]Result{s.URL + "/good": Works, s.URL + "/other": Fails, s.URL + "/away": Fails, s.URL + "/broken": Unknown, s.URL + "/endless": Fails, closed.URL + "/good": Unknown} {
		page := Page{URL: url, Body: "success\n"}
		l := bench(Config{Portal: []Page{page}}, Inputs{}, Baseline{})
		if f := l.page(within(t, 5*time.Second), page); f.Result != want {
			t.Errorf("%s: %+v, want %s", url, f, want)
		}
	}
}

// resolverAt runs a DNS server on loopback; answer gives a name's address, or none.
func resolverAt(t *testing.T, answer func(name string) (string, int)) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(ready) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		a, code := answer(q.Question[0].Name)
		m.Rcode = code
		if a != "" {
			rr, _ := dns.NewRR(q.Question[0].Name + " 60 A " + a)
			m.Answer = append(m.Answer, rr)
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = s.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() { _ = s.Shutdown() })
	return netip.MustParseAddrPort(pc.LocalAddr().String())
}

func TestNTPQuorum(t *testing.T) {
	serve := func(off time.Duration) string {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = pc.Close() })
		go func() {
			buf := make([]byte, 512)
			for {
				n, from, err := pc.ReadFrom(buf)
				if err != nil {
					return
				}
				if n < 48 {
					continue
				}
				out := make([]byte, 48)
				out[0], out[1], out[2], out[3] = 4<<3|4, 2, 6, 0xec
				put := func(b []byte, at time.Time) {
					binary.BigEndian.PutUint32(b, uint32(at.Unix()+2208988800))
					binary.BigEndian.PutUint32(b[4:], uint32(uint64(at.Nanosecond())<<32/1e9))
				}
				now := time.Now().Add(off)
				put(out[16:], now.Add(-time.Second))
				copy(out[24:32], buf[40:48])
				put(out[32:], now)
				put(out[40:], now)
				_, _ = pc.WriteTo(out, from)
			}
		}()
		return pc.LocalAddr().String()
	}
	l := bench(Config{NTP: []string{serve(time.Hour), serve(time.Hour), serve(0)}}, Inputs{}, Baseline{})
	fs := l.clock(within(t, 8*time.Second))
	if off := <-l.clockC; (off - time.Hour).Abs() > time.Minute {
		t.Errorf("the clock is said to be %v behind", off)
	}
	if fs[0].Result != Fails || fs[1].Result != Fails || fs[2].Result != Works {
		t.Errorf("%+v", fs)
	}
}

// certificate makes a self-signed one for 127.0.0.1.
func certificate(t *testing.T, from, to time.Time, ips ...net.IP) (tls.Certificate, *x509.CertPool, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, NotBefore: from, NotAfter: to, IPAddresses: ips,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool, c
}

func TestBrokerCertificates(t *testing.T) {
	now := time.Now()
	home := net.IPv4(127, 0, 0, 1)
	good, pool, _ := certificate(t, now.Add(-time.Hour), now.Add(time.Hour), home)
	expired, expiredPool, _ := certificate(t, now.Add(-48*time.Hour), now.Add(-time.Hour), home)
	foreign, _, _ := certificate(t, now.Add(-time.Hour), now.Add(time.Hour), home)
	other, otherPool, _ := certificate(t, now.Add(-time.Hour), now.Add(time.Hour), net.IPv4(192, 0, 2, 1))
	for _, c := range []struct {
		name    string
		cert    tls.Certificate
		pool    *x509.CertPool
		off     time.Duration
		chain   Result
		expires Result
	}{
		{"good", good, pool, 0, Works, Works},
		{"expired", expired, expiredPool, 0, Works, Fails},
		{"expired by a wrong clock", good, pool, 0, Works, Works},
		{"of another authority", foreign, pool, 0, Fails, Works},
		{"of another name", other, otherPool, 0, Fails, Works},
		{"good in another year, by the clock of NTP", expired, expiredPool, -24 * time.Hour, Works, Works},
	} {
		t.Run(c.name, func(t *testing.T) {
			ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{c.cert}})
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				for {
					x, err := ln.Accept()
					if err != nil {
						return
					}
					go func() { _ = x.(*tls.Conn).Handshake(); _ = x.Close() }()
				}
			}()
			l := bench(Config{}, Inputs{Servers: []string{"mqtts://" + ln.Addr().String()}, Roots: func() (*x509.CertPool, error) { return c.pool, nil }}, Baseline{BrokerSPKI: []string{"x"}})
			l.clockC <- c.off
			fs := l.broker(within(t, 10*time.Second))
			r := results(fs)
			if r[BrokerTCP] != Works || r[BrokerChain] != c.chain || r[BrokerExpiry] != c.expires || r[BrokerPin] != Fails {
				t.Errorf("%+v", fs)
			}
			for _, f := range fs {
				if err := f.Validate(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestLargeHello(t *testing.T) {
	b, err := largeHello("broker.example")
	if err != nil || len(b) < 3000 || len(b) > 16<<10 {
		t.Fatalf("%d octets, %v", len(b), err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	l := bench(Config{}, Inputs{Servers: []string{"mqtts://" + ln.Addr().String()}}, Baseline{})
	if f := l.writeLarge(within(t, 5*time.Second), "x", "127.0.0.1", portOf(ln.Addr())); f.Result != Works {
		t.Errorf("%+v", f)
	}
}

func TestEcho(t *testing.T) {
	ctx := within(t, 2*time.Second)
	a, err := echo(ctx, echoRequest{to: netip.MustParseAddr("127.0.0.1"), size: 1000, df: true})
	if denied(err) {
		t.Skip("this user may not send echo requests")
	}
	if err != nil || a.kind != echoReplied {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := echo(within(t, 2*time.Second), echoRequest{to: netip.MustParseAddr("::1")}); err == nil && a.kind != echoReplied {
		t.Errorf("IPv6: %+v", a)
	}
}

func TestSelfFacts(t *testing.T) {
	s := &collectors.Schema{Source: "host", Series: []collectors.Series{
		{Metric: "node_memory_MemAvailable_bytes", Kind: collectors.Gauge}, {Metric: "node_memory_MemTotal_bytes", Kind: collectors.Gauge},
		{Metric: "process_open_fds", Kind: collectors.Gauge}, {Metric: "process_max_fds", Kind: collectors.Gauge},
		{Metric: "node_filesystem_avail_bytes", Kind: collectors.Gauge, Labels: []collectors.Label{{Name: "mountpoint", Value: "/"}}},
		{Metric: "node_filesystem_size_bytes", Kind: collectors.Gauge, Labels: []collectors.Label{{Name: "mountpoint", Value: "/"}}},
	}}
	batch := func(vs ...float64) *collectors.Batch {
		b := &collectors.Batch{Source: "host", Schema: s}
		for _, v := range vs {
			b.Values = append(b.Values, collectors.GaugeValue(v))
		}
		return b
	}
	r := results(selfFacts(Inputs{}, batch(50, 100, 10, 100, 50, 100)))
	if r[SelfMemory] != Works || r[SelfSockets] != Works || r[SelfDisk] != Works {
		t.Error(r)
	}
	r = results(selfFacts(Inputs{DiskFull: func() bool { return true }, Trouble: func() []string { return []string{"uplink"} }}, batch(1, 100, 99, 100, 50, 100)))
	if r[SelfMemory] != Fails || r[SelfSockets] != Fails || r[SelfDisk] != Fails || r[SelfStalled] != Fails {
		t.Error(r)
	}
	if fs := selfFacts(Inputs{}, &collectors.Batch{}); len(fs) != 0 {
		t.Errorf("of nothing: %+v", fs)
	}
}

func TestSessionFacts(t *testing.T) {
	for _, c := range []struct {
		name string
		u    Uplink
		want map[string]Result
	}{
		{"none", Uplink{}, map[string]Result{Connected: Skipped}},
		{"up", Uplink{Configured: true, Connected: true}, map[string]Result{Connected: Works, SessionAuth: Works, SessionBusy: Works, HubAck: Works}},
		{"refused", Uplink{Configured: true, Stage: "connack", Reason: ReasonAuth, Refused: 2}, map[string]Result{Connected: Fails, SessionAuth: Fails}},
		{"not stored", Uplink{Configured: true, Connected: true, UnstoredS: 70}, map[string]Result{Connected: Works, SessionAuth: Works, SessionBusy: Works, HubAck: Fails}},
		{"thrown out", Uplink{Configured: true, Short: 4, Stage: "session"}, map[string]Result{Connected: Fails, SessionTaken: Fails}},
	} {
		got := results(sessionFacts(c.u, Baseline{}))
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		for k, v := range c.want {
			if got[k] != v {
				t.Errorf("%s: %s is %s, want %s", c.name, k, got[k], v)
			}
		}
	}
}

func TestOffers(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	b := dhcpDiscover(mac, 7)
	if _, ok := readOffer(b, 7); ok {
		t.Error("a request is taken for an offer")
	}
	b[28] = 2 // an answer ...
	binary.BigEndian.PutUint16(b[22:], 68)
	b = append(b[:28+240], 53, 1, 2, 54, 4, 192, 0, 2, 1, 3, 4, 192, 0, 2, 254, 114, 3, 'u', 'r', 'l', 255)
	o, ok := readOffer(b, 7)
	if want := (offer{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.254"), "url"}); !ok || o != want {
		t.Errorf("%+v, %v", o, ok)
	}
	if _, ok := readOffer(b, 8); ok {
		t.Error("an offer to somebody else is taken")
	}
	for n := range b { // and whatever is cut off breaks nothing
		readOffer(b[:n], 7)
		arpSender(b[:n])
	}
}

func TestWhoIsContacted(t *testing.T) {
	cfg := DefaultConfig()
	in := Inputs{Servers: []string{"mqtts://broker.example:8883", "wss://broker.example/mqtt"}}
	allowed := func(internet string) []string {
		c := DefaultContract()
		c.Internet = internet
		p := New(cfg, c, in)
		l := &look{Prober: p, gate: newGate()}
		l.allowTargets()
		var out []string
		for k := range l.gate.ports {
			out = append(out, k)
		}
		slices.Sort(out)
		return out
	}
	if got, want := allowed(InternetNone), []string{"broker.example:443", "broker.example:8883"}; !slices.Equal(got, want) {
		t.Errorf("none: %v", got)
	}
	if got, want := allowed(InternetLimited), []string{"broker.example:443", "broker.example:8883", "time.apple.com:123", "time.cloudflare.com:123", "time.google.com:123"}; !slices.Equal(got, want) {
		t.Errorf("limited: %v", got)
	}
	if got := allowed(InternetFull); len(got) != 5+12+2 {
		t.Errorf("full: %d: %v", len(got), got)
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"no provider":    func(c *Config) { c.Anchors[0].Provider = "" },
		"no address":     func(c *Config) { c.Anchors[0].Address4, c.Anchors[0].Address6 = "", "" },
		"wrong family":   func(c *Config) { c.Anchors[0].Address4 = "::1" },
		"a port":         func(c *Config) { c.Anchors[0].TCP = 70000 },
		"a resolver":     func(c *Config) { c.Resolvers = []string{"dns.example"} },
		"ntp":            func(c *Config) { c.NTP = []string{"a b"} },
		"encrypted page": func(c *Config) { c.Portal[0].URL = "https://a.example/" },
		"user in a page": func(c *Config) { c.Portal[0].URL = "http://u:p@a.example/" },
		"a long body":    func(c *Config) { c.Portal[0].Body = string(make([]byte, maxBody+1)) },
		"a name":         func(c *Config) { c.Names.Bogus = "a b" },
		"no addresses":   func(c *Config) { c.Names.Addresses = nil },
		"too many":       func(c *Config) { c.NTP = make([]string, 9) },
	} {
		c := DefaultConfig()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: is taken", name)
		}
	}
}

func TestTruth(t *testing.T) {
	honest := resolverAt(t, func(name string) (string, int) {
		switch name {
		case "canary.test.":
			return "192.0.2.1", dns.RcodeSuccess
		case "bogus.test.":
			return "", dns.RcodeServerFailure
		}
		return "", dns.RcodeNameError
	})
	liar := resolverAt(t, func(string) (string, int) { return "203.0.113.9", dns.RcodeSuccess })
	cfg := Config{Names: Names{Canary: "canary.test", Addresses: []string{"192.0.2.1"}, Bogus: "bogus.test", Random: "test"}}
	for at, want := range map[netip.AddrPort]Result{honest: Works, liar: Fails} {
		l := bench(cfg, Inputs{}, Baseline{})
		l.dnsPort = at.Port()
		l.gate.allow(at.Addr().String(), at.Port())
		r := results(l.truth(within(t, 5*time.Second), at.Addr()))
		if r[NamesRandom] != want || r[NamesCanary] != want || r[NamesBogus] != want {
			t.Errorf("%v: %v, want %s", at, r, want)
		}
	}
}
