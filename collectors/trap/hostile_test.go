package trap

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/receive"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// What follows writes messages by hand, right and wrong.

func oid(s string) []byte { return tlv(pdu.TagOID, pdu.MustOID(s)) }
func num(n int64) []byte  { return number(pdu.TagInteger, n) }
func text(s string) []byte {
	return tlv(pdu.TagOctets, []byte(s))
}
func bind(name string, value []byte) []byte { return tlv(tagSequence, oid(name), value) }

func linkDownPDU(tag byte, id int64, more ...[]byte) []byte {
	binds := append([][]byte{bind("1.3.6.1.2.1.1.3.0", number(pdu.TagTimeTicks, 55)), bind("1.3.6.1.6.3.1.1.4.1.0", oid("1.3.6.1.6.3.1.1.5.3"))}, more...)
	return tlv(tag, num(id), num(0), num(0), tlv(tagSequence, binds...))
}

func v2c(community string, body []byte) []byte {
	return tlv(tagSequence, num(version2c), text(community), body)
}

// v3 writes a message of user open, who has no key, or with whatever engine, flags.
func v3(engine []byte, flags byte, user string, scoped []byte) []byte {
	params := tlv(tagSequence, tlv(pdu.TagOctets, engine), num(1), num(1), text(user), text(""), text(""))
	return tlv(tagSequence, num(version3), tlv(tagSequence, num(77), num(65507), tlv(pdu.TagOctets, []byte{flags}), num(modelUSM)),
		tlv(pdu.TagOctets, params), scoped)
}

func scoped(engine, body []byte) []byte {
	return tlv(tagSequence, tlv(pdu.TagOctets, engine), text(""), body)
}

var theirEngine = []byte("\x80\x00\x1f\x88\x04theirs")

// hostile are datagrams that are no notification, or more than one.
func hostile() map[string][]byte {
	good := v2c("canary-community", linkDownPDU(tagTrapV2, 1))
	deep := []byte{}
	for range 1000 {
		deep = tlv(tagSequence, deep)
	}
	return map[string][]byte{
		"nothing":             {},
		"one octet":           {0x30},
		"zeros":               make([]byte, 400),
		"ones":                bytes.Repeat([]byte{0xff}, 400),
		"text":                []byte("GET / HTTP/1.0\r\n\r\n"),
		"deep":                deep,
		"indefinite length":   append([]byte{0x30, 0x80}, good[2:]...),
		"length of 4 GB":      append([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, good[2:]...),
		"length of lengths":   append([]byte{0x30, 0xfe}, good[2:]...),
		"trailing":            append(bytes.Clone(good), 0),
		"twice":               append(bytes.Clone(good), good...),
		"cut":                 good[:len(good)-1],
		"version 2":           tlv(tagSequence, num(2), text("canary-community"), linkDownPDU(tagTrapV2, 1)),
		"version -1":          tlv(tagSequence, num(-1), text("canary-community"), linkDownPDU(tagTrapV2, 1)),
		"a get":               v2c("canary-community", linkDownPDU(tagGet, 1)),
		"a response":          v2c("canary-community", linkDownPDU(tagResponse, 1)),
		"a v1 trap as v2c":    v2c("canary-community", tlv(tagTrapV1, oid("1.3.6.1.4.1.1"), tlv(pdu.TagIPAddress, make([]byte, 4)), num(2), num(0), number(pdu.TagTimeTicks, 1), tlv(tagSequence))),
		"an inform as v1":     tlv(tagSequence, num(version1), text("canary-community"), linkDownPDU(tagInform, 1)),
		"no trap oid":         v2c("canary-community", tlv(tagTrapV2, num(1), num(0), num(0), tlv(tagSequence, bind("1.3.6.1.2.1.1.3.0", number(pdu.TagTimeTicks, 5))))),
		"trap oid no oid":     v2c("canary-community", tlv(tagTrapV2, num(1), num(0), num(0), tlv(tagSequence, bind("1.3.6.1.6.3.1.1.4.1.0", num(4))))),
		"no variables":        v2c("canary-community", tlv(tagTrapV2, num(1), num(0), num(0))),
		"request id of 9":     v2c("canary-community", tlv(tagTrapV2, tlv(pdu.TagInteger, make([]byte, 9)), num(0), num(0), tlv(tagSequence))),
		"empty integer":       v2c("canary-community", tlv(tagTrapV2, tlv(pdu.TagInteger), num(0), num(0), tlv(tagSequence))),
		"empty name":          v2c("canary-community", linkDownPDU(tagTrapV2, 1, tlv(tagSequence, tlv(pdu.TagOID), num(1)))),
		"open name":           v2c("canary-community", linkDownPDU(tagTrapV2, 1, tlv(tagSequence, tlv(pdu.TagOID, []byte{0x2b, 0x86}), num(1)))),
		"name of 2^40":        v2c("canary-community", linkDownPDU(tagTrapV2, 1, tlv(tagSequence, tlv(pdu.TagOID, []byte{0x2b, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}), num(1)))),
		"name of 200 arcs":    v2c("canary-community", linkDownPDU(tagTrapV2, 1, tlv(tagSequence, tlv(pdu.TagOID, bytes.Repeat([]byte{1}, 200)), num(1)))),
		"address of 5":        v2c("canary-community", linkDownPDU(tagTrapV2, 1, bind("1.3.6.1", tlv(pdu.TagIPAddress, make([]byte, 5))))),
		"unknown tag":         v2c("canary-community", linkDownPDU(tagTrapV2, 1, bind("1.3.6.1", tlv(0x55, make([]byte, 5))))),
		"long tag":            v2c("canary-community", linkDownPDU(tagTrapV2, 1, bind("1.3.6.1", []byte{0x1f, 0x81, 0x01, 0}))),
		"null of 1":           v2c("canary-community", linkDownPDU(tagTrapV2, 1, bind("1.3.6.1", tlv(pdu.TagNull, []byte{0})))),
		"two values":          v2c("canary-community", linkDownPDU(tagTrapV2, 1, tlv(tagSequence, oid("1.3.6.1"), num(1), num(2)))),
		"behind the pdu":      tlv(tagSequence, num(version2c), text("canary-community"), linkDownPDU(tagTrapV2, 1), num(1)),
		"v1 generic 7":        tlv(tagSequence, num(version1), text("canary-community"), tlv(tagTrapV1, oid("1.3.6.1.4.1.1"), tlv(pdu.TagIPAddress, make([]byte, 4)), num(7), num(0), number(pdu.TagTimeTicks, 1), tlv(tagSequence))),
		"v3 without a model":  tlv(tagSequence, num(version3), tlv(tagSequence, num(1), num(65507), tlv(pdu.TagOctets, []byte{0}), num(1)), text(""), scoped(theirEngine, linkDownPDU(tagTrapV2, 1))),
		"v3 private and open": v3(theirEngine, flagPriv, "open", text("x")),
		"v3 long engine":      v3(bytes.Repeat([]byte{1}, 33), 0, "open", scoped(theirEngine, linkDownPDU(tagTrapV2, 1))),
		"v3 without scope":    v3(theirEngine, 0, "open", num(1)),
		"v3 open, of no use":  v3(theirEngine, 0, "open", scoped(theirEngine, linkDownPDU(tagResponse, 1))),
	}
}

// Every hostile datagram is counted and makes no event but one of the kind that says
// so; a good trap after it is taken.
func TestHostile(t *testing.T) {
	for name, b := range hostile() {
		t.Run(name, func(t *testing.T) {
			r := still(t)
			from := netip.MustParseAddrPort("127.0.0.1:999")
			r.handle(&receive.Datagram{From: from, Data: b})
			s := r.Stats()
			if s.Dropped[receive.Malformed] != 1 || s.Traps+s.Informs != 0 {
				t.Errorf("%+v", s)
			}
			r.handle(&receive.Datagram{From: from, Data: v2c("canary-community", linkDownPDU(tagTrapV2, 1))})
			if s := r.Stats(); s.Traps != 1 {
				t.Errorf("a good one is not taken: %+v", s)
			}
		})
	}
}

// still is a receiver that does not run.
func still(t testing.TB) *Receiver {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s, err := receive.NewSocket(conn)
	if err != nil {
		t.Fatal(err)
	}
	creds := append(credentials(), snmp.Credential{Name: "core", Auth: snmp.Auth{Version: "3", Username: "core", AuthProtocol: "SHA256", AuthPassword: "authpass1234",
		PrivProtocol: "DES", PrivPassword: "privpass1234"}})
	r, err := New(Config{Credentials: creds}, Options{Socket: s, Engine: OpenEngine(t.TempDir(), wallClock{}.Now, quiet()), Sources: loopback{},
		Buffer: &memory{}, Clock: wallClock{}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is believed in part, or not at all, is told as a matter of security.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		why  string
	}{
		"another community":                      {v2c("guess", linkDownPDU(tagTrapV2, 1)), "wrong_community"},
		"no community":                           {v2c("", linkDownPDU(tagInform, 1)), "wrong_community"},
		"unknown user":                           {v3(theirEngine, 0, "mallory", scoped(theirEngine, linkDownPDU(tagTrapV2, 1))), "unknown_user"},
		"less secure":                            {v3(theirEngine, 0, "core", scoped(theirEngine, linkDownPDU(tagTrapV2, 1))), "security_level"},
		"unsigned":                               {v3(theirEngine, flagAuth|flagPriv, "core", text("12345678")), "wrong_digest"},
		"inform to another":                      {v3(theirEngine, 0, "open", scoped(theirEngine, linkDownPDU(tagInform, 1))), "unknown_engine"},
		"trap of no engine":                      {v3(nil, 0, "open", scoped(theirEngine, linkDownPDU(tagTrapV2, 1))), "unknown_engine"},
		"reportable, of another engine and user": {v3(theirEngine, flagReportable, "mallory", scoped(theirEngine, linkDownPDU(tagInform, 1))), "unknown_user"},
		"reportable, less secure":                {v3(theirEngine, flagReportable, "core", scoped(theirEngine, linkDownPDU(tagInform, 1))), "security_level"},
		"reportable, unsigned":                   {v3(theirEngine, flagAuth|flagPriv|flagReportable, "core", text("12345678")), "wrong_digest"},
		"reportable, inform to another":          {v3(theirEngine, flagReportable, "open", scoped(theirEngine, linkDownPDU(tagInform, 1))), "unknown_engine"},
		"engine of 4 octets":                     {v3([]byte("1234"), 0, "open", scoped(theirEngine, linkDownPDU(tagTrapV2, 1))), "unknown_engine"},
	} {
		t.Run(name, func(t *testing.T) {
			r := still(t)
			r.handle(&receive.Datagram{From: netip.MustParseAddrPort("127.0.0.1:999"), Data: c.data})
			if s := r.Stats(); s.Refused[c.why] != 1 || len(s.Refused) != 1 || s.Traps+s.Informs != 0 || len(s.Dropped) != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Discovery by RFC 3414, 4: who and when we are is told to whom asks for reports.
func TestDiscovery(t *testing.T) {
	r := start(t, credentials())
	conn, err := net.Dial("udp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	get := tlv(tagGet, num(4711), num(0), num(0), tlv(tagSequence))
	if _, err := conn.Write(v3(nil, flagReportable, "", scoped(nil, get))); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 1500)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMessage(b[:n])
	if err != nil || m.secured.id != 77 || !bytes.Equal(m.secured.engine, r.opt.Engine.id) || m.secured.boots != 1 || m.secured.flags != 0 {
		t.Fatalf("%+v %v", m, err)
	}
	p, err := readScoped(m.secured.scoped, false)
	if err != nil || p.pdu[0] != tagReport || requestIDOf(p.pdu) != 4711 || !bytes.Contains(p.pdu, oid("1.3.6.1.6.3.15.1.1.4.0")) {
		t.Fatalf("%x %v", p.pdu, err)
	}
	if len(r.buf.all()) > 0 || len(r.Stats().Refused) > 0 {
		t.Errorf("a question is told as an event: %+v", r.Stats())
	}
}

// An inform that comes again before and after its commit is one event, and answered
// every time once it is safe, never before.
func TestInformComesAgain(t *testing.T) {
	r := start(t, credentials())
	r.buf.mu.Lock()
	r.buf.hold = true
	r.buf.mu.Unlock()
	conn, err := net.Dial("udp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func(id int64) {
		if _, err := conn.Write(v2c("canary-community", linkDownPDU(tagInform, id, bind("1.3.6.1.2.1.2.2.1.1.3", num(3))))); err != nil {
			t.Fatal(err)
		}
	}
	answers := func(want int, within time.Duration) (ids []int64) {
		_ = conn.SetReadDeadline(time.Now().Add(within))
		b := make([]byte, 1500)
		for len(ids) < want {
			n, err := conn.Read(b)
			if err != nil {
				return ids
			}
			m, err := readMessage(b[:n])
			if err != nil || m.pdu[0] != tagResponse || string(m.community) != "canary-community" {
				t.Fatalf("%x %v", b[:n], err)
			}
			ids = append(ids, requestIDOf(m.pdu))
		}
		return ids
	}
	for range 3 {
		send(7)
	}
	r.await(t, 1)
	if got := answers(1, 300*time.Millisecond); len(got) > 0 {
		t.Fatalf("answered before the commit: %v", got)
	}
	r.buf.commit()
	if got := answers(1, 10*time.Second); fmt.Sprint(got) != "[7]" {
		t.Fatal(got)
	}
	send(7) // the answer was lost
	if got := answers(1, 10*time.Second); fmt.Sprint(got) != "[7]" {
		t.Fatal(got)
	}
	send(8) // another one of the same content: counted, and answered with its number
	if got := answers(1, 10*time.Second); fmt.Sprint(got) != "[8]" {
		t.Fatal(got)
	}
	es := r.buf.all()
	await(t, "the answers are counted", func() bool { return r.Stats().Answered == 3 })
	if s := r.Stats(); s.Informs != 2 || s.Answered != 3 || len(es) != 2 {
		t.Errorf("%+v %+v", s, es)
	}
	mustHold(t, &es[0], "trap", "linkDown ifIndex.3=3", "inform", "true", "count", "")
}

// An inform whose event was refused or lost is taken when it comes again.
func TestInformIsSavedByItsRepetition(t *testing.T) {
	r := start(t, credentials())
	conn, err := net.Dial("udp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func() {
		if _, err := conn.Write(v2c("canary-community", linkDownPDU(tagInform, 7))); err != nil {
			t.Fatal(err)
		}
	}
	dropped := func(n uint64) func() bool {
		return func() bool { return r.Stats().Dropped[receive.NotKept] == n }
	}
	r.buf.mu.Lock()
	r.buf.refuse, r.buf.hold = 1, true
	r.buf.mu.Unlock()
	send()
	await(t, "it is refused", dropped(1))
	send()
	r.await(t, 1)
	r.buf.lose()
	await(t, "it is lost", dropped(2))
	send()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1500)); err != nil {
		t.Fatalf("it is not answered: %v", err)
	}
	await(t, "the answer is counted", func() bool { return r.Stats().Answered == 1 })
	if len(r.buf.all()) != 2 {
		t.Errorf("%+v", r.buf.all())
	}
}

// A trap of another engine is taken once: sent again by somebody else, or of an earlier
// boot, it is refused. An engine that restarts counts its boots.
func TestTimeWindow(t *testing.T) {
	s := &security{engine: &Engine{id: []byte("12345"), boots: 3, now: wallClock{}.Now}}
	m := func(boots, time uint32) *secured { return &secured{engine: theirEngine, boots: boots, time: time} }
	for i, c := range []struct {
		boots, time uint32
		want        bool
	}{
		{5, 1000, true}, {5, 900, true}, {5, 849, false}, {5, 5000, true}, {5, 1000, false}, {4, 9000, false}, {6, 1, true}, {5, 5001, false}, {6, 0, true},
	} {
		if got := s.timely(m(c.boots, c.time), false); got != c.want {
			t.Errorf("%d: boots %d time %d: %v", i, c.boots, c.time, got)
		}
	}
	s.engine.start = s.engine.now()
	for _, c := range []struct {
		boots, time uint32
		want        bool
	}{{3, 0, true}, {3, 150, true}, {3, 152, false}, {2, 0, false}, {4, 0, false}, {0, 0, false}} {
		if got := s.timely(m(c.boots, c.time), true); got != c.want {
			t.Errorf("ours: boots %d time %d: %v", c.boots, c.time, got)
		}
	}
	for i := range 3 * maxEngines {
		x := m(1, 1)
		x.engine = []byte(fmt.Sprintf("engine %d", i))
		s.timely(x, false)
	}
	if n := len(s.engine.peers.of); n > maxEngines {
		t.Errorf("%d engines are kept", n)
	}
}

// A receiver that takes another's place knows the time of senders' engines: a trap that
// was recorded before is not believed.
func TestTimeWindowOutlivesTheReceiver(t *testing.T) {
	engine := OpenEngine(t.TempDir(), wallClock{}.Now, quiet())
	open := func(time uint32) bool {
		s, err := newSecurity(engine, credentials())
		if err != nil {
			t.Fatal(err)
		}
		return s.timely(&secured{engine: theirEngine, boots: 5, time: time}, false)
	}
	if !open(1000) || open(800) || !open(1001) {
		t.Error("the window was forgotten")
	}
}

// What things are called and who may send can be changed while windows go on.
func TestUpdate(t *testing.T) {
	r := start(t, credentials())
	conn, err := net.Dial("udp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func(tag byte, id int64) {
		if _, err := conn.Write(v2c("canary-community", linkDownPDU(tag, id))); err != nil {
			t.Fatal(err)
		}
	}
	send(tagInform, 1)
	mustHold(t, &r.await(t, 1)[0], "trap", "linkDown", "device", "sw1")
	await(t, "it is answered", func() bool { return r.Stats().Answered == 1 })
	r.Update(elsewhere{}, standard{})
	send(tagInform, 1) // it was taken before, and is answered at once
	await(t, "it is answered again", func() bool { return r.Stats().Answered == 2 })
	send(tagTrapV2, 2)
	await(t, "it is counted into the window of before", func() bool { return r.Stats().Repeated == 1 })
	if _, err := conn.Write(v2c("canary-community", linkDownPDU(tagTrapV2, 3, bind("1.3.6.1.4.1.99999.1", num(1))))); err != nil {
		t.Fatal(err)
	}
	es := r.await(t, 2)
	mustHold(t, &es[1], "trap", "1.3.6.1.6.3.1.1.5.3", "device", "core")
	if s := r.Stats(); s.Informs != 1 || s.Messages != 4 {
		t.Errorf("%+v", s)
	}
}

// elsewhere knows everybody by another name.
type elsewhere struct{}

func (elsewhere) Sender(netip.Addr) (string, bool) { return "core", true }

// 10,000 datagrams of one source, faster than anyone may send, and nothing of another
// one's is lost.
func TestFlood(t *testing.T) {
	r := start(t, credentials())
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(r.addr))
	flood, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 66)}, to)
	if err != nil {
		t.Fatal(err)
	}
	defer flood.Close()
	other, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, to)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for i := range 10_000 {
		if _, err := flood.Write(v2c("canary-community", linkDownPDU(tagTrapV2, 1, bind("1.3.6.1.2.1.2.2.1.1.3", num(int64(i)))))); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 999 {
			if _, err := other.Write(v2c("canary-community", linkDownPDU(tagTrapV2, 1, bind("1.3.6.1.2.1.31.1.1.1.1.1", text(fmt.Sprintf("other-%d;", i)))))); err != nil {
				t.Fatal(err)
			}
		}
	}
	others := func() (n int) {
		for _, e := range r.buf.all() {
			if strings.Contains(e.Text, "other-") {
				n++
			}
		}
		return n
	}
	await(t, "the other source's ten", func() bool { return others() == 10 })
	await(t, "all is accounted for", func() bool {
		s := r.Stats()
		return s.Messages+s.Dropped[receive.Overflow] == 10_010
	})
	s := r.Stats()
	t.Logf("%d events, dropped %v", s.Events, s.Dropped)
	if s.Dropped[receive.TooFast] < 9000 {
		t.Errorf("%+v", s)
	}
}
