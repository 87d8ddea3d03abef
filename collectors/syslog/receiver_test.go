package syslog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/receive"
)

var sw1 = netip.MustParseAddr("127.0.0.1")

type wallClock struct{}

func (wallClock) Now() collectors.Stamp { return collectors.Stamp(time.Now().UnixMilli()) }
func (wallClock) Offset() (int64, bool) { return 0, true }

type memory struct {
	mu     sync.Mutex
	events []collectors.Event
}

func (m *memory) AddWaiting(x collectors.Batch, done func(kept bool)) bool {
	if err := x.Validate(); err != nil {
		panic(err)
	}
	m.mu.Lock()
	m.events = append(m.events, x.Events...)
	m.mu.Unlock()
	done(true)
	return true
}

func (m *memory) all() []collectors.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]collectors.Event(nil), m.events...)
}

// loopback manages 127.0.0.0/24 only.
type loopback struct{}

func (loopback) Sender(a netip.Addr) (string, bool) {
	if a == sw1 {
		return "sw1", true
	}
	return "", netip.MustParsePrefix("127.0.0.0/24").Contains(a)
}

type rig struct {
	*Receiver
	buf      *memory
	udp, tcp string
}

func start(t *testing.T, cfg Config) *rig {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := receive.NewSocket(conn)
	if err != nil {
		t.Fatal(err)
	}
	buf := &memory{}
	r, err := New(cfg, Options{Socket: s, Listener: l, Sources: loopback{}, Buffer: buf, Clock: wallClock{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done; conn.Close(); l.Close() })
	return &rig{r, buf, conn.LocalAddr().String(), l.Addr().String()}
}

func (r *rig) await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within 10 s; %+v; %+v", what, r.Stats(), r.buf.all())
		case <-tick.C:
		}
	}
}

func (r *rig) events(t *testing.T, n int) []collectors.Event {
	t.Helper()
	r.await(t, fmt.Sprintf("%d events", n), func() bool { return len(r.buf.all()) >= n })
	return r.buf.all()
}

func label(e *collectors.Event, name string) string {
	for _, l := range e.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

func dial(t *testing.T, network, address, from string) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: 10 * time.Second}
	if from != "" {
		if d.LocalAddr = net.Addr(&net.TCPAddr{IP: net.ParseIP(from)}); network == "udp" {
			d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(from)}
		}
	}
	c, err := d.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// What is severe becomes an event, what is not is counted, and so is what nobody may
// send.
func TestWhatBecomesAnEvent(t *testing.T) {
	r := start(t, Config{Severity: "err"})
	c := dial(t, "udp", r.udp, "")
	send(t, c, "<187>1: Mar 20 09:10:11.123: %LINK-3-UPDOWN: Interface Gi1/0/1, changed state to down")
	send(t, c, "<188>2: Mar 20 09:10:12.123: %SYS-4-P: only a warning")
	send(t, c, "<38>Mar  1 09:00:00 web1 sshd[812]: Failed password for root from 203.0.113.9 port 22022 ssh2")
	send(t, c, "\x00\x00")
	send(t, dial(t, "udp", r.udp, "127.0.1.1"), "<184>out of scope")
	es := r.events(t, 2)
	if e := &es[0]; e.Kind != "syslog" || e.Severity != collectors.Error || label(e, "device") != "sw1" || label(e, "severity") != "err" || label(e, "id") != "LINK-3-UPDOWN" ||
		label(e, "hint") != "true" || !strings.Contains(e.Text, "changed state to down") {
		t.Errorf("%+v", e)
	}
	if e := &es[1]; e.Kind != "login_failure" || label(e, "security") != "true" || label(e, "user") != "root" || label(e, "from") != "203.0.113.9" || label(e, "host") != "web1" {
		t.Errorf("%+v", e)
	}
	r.await(t, "the counts", func() bool {
		s := r.Stats()
		return s.Messages == 5 && s.Severities["warning"] == 1 && s.Severities["err"] == 1 && s.Severities["info"] == 1 &&
			s.Dropped[receive.Malformed] == 1 && s.Dropped[receive.OutOfScope] == 1
	})
}

// Over TCP messages are framed by length, by lines, or by both.
func TestTCP(t *testing.T) {
	r := start(t, Config{})
	c := dial(t, "tcp", r.tcp, "")
	send(t, c, "<11>one\n17 <11>two and a bit<11>three\r\n5 <1")
	send(t, c, "1>4\n") // "5 <11>4" in two parts
	send(t, c, "9000 <11>"+strings.Repeat("x", 9000-4)+"<11>five\n<11>"+strings.Repeat("y", 20_000)+"\n<11>six\n")
	texts := func() string {
		var s []string
		for _, e := range r.buf.all() {
			if len(e.Text) > 200 {
				e.Text = ""
			}
			s = append(s, e.Text)
		}
		return strings.Join(s, "|")
	}
	r.await(t, "all messages", func() bool { return r.Stats().Dropped[receive.TooLong] == 2 && strings.Contains(texts(), "six") })
	if got := texts(); got != "one|two and a bit|three|4||five||six" {
		t.Errorf("%q", got)
	}
	send(t, c, "<11>a last line without an end")
	c.Close()
	r.await(t, "the last line", func() bool { return strings.Contains(texts(), "a last line without an end") })
	// A number at the beginning of a line is no length.
	c = dial(t, "tcp", r.tcp, "")
	send(t, c, "123: sw1: a line\n7\n\n4294967296 <11>x\n<11>after\n")
	r.await(t, "what comes after", func() bool { return strings.HasSuffix(texts(), "after") })
}

// Connections are bounded, by sender and in all, and only managed addresses have any.
func TestConnections(t *testing.T) {
	r := start(t, Config{})
	closed := func(c net.Conn) bool {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err := bufio.NewReader(c).ReadByte()
		return err == io.EOF || err != nil && !os.IsTimeout(err)
	}
	if !closed(dial(t, "tcp", r.tcp, "127.0.1.1")) {
		t.Error("a stranger's connection stays open")
	}
	var mine []net.Conn
	for range maxPerSource {
		c := dial(t, "tcp", r.tcp, "")
		mine = append(mine, c)
		send(t, c, "<11>x\n")
	}
	r.await(t, "all are open", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.open == maxPerSource })
	if !closed(dial(t, "tcp", r.tcp, "")) {
		t.Error("one too many stays open")
	}
	send(t, dial(t, "tcp", r.tcp, "127.0.0.2"), "<11>another one's\n")
	r.await(t, "another sender is heard", func() bool { return strings.Contains(fmt.Sprint(r.buf.all()), "another one's") })
	mine[0].Close()
	r.await(t, "one has gone", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.conns[sw1] == maxPerSource-1 })
	if s := r.Stats(); s.Dropped[receive.TooMany] != 1 || s.Dropped[receive.OutOfScope] != 1 {
		t.Errorf("%+v", s)
	}
}

// What util-linux's logger sends, in each of its forms.
func TestLogger(t *testing.T) {
	if _, err := exec.LookPath("logger"); err != nil {
		if os.Getenv("SITEPROBE_REQUIRE") != "" {
			t.Fatal("no logger (package bsdutils), and SITEPROBE_REQUIRE wants it")
		}
		t.Skip("no logger (package bsdutils)")
	}
	r := start(t, Config{})
	host, udp, _ := net.SplitHostPort(r.udp)
	_, tcp, _ := net.SplitHostPort(r.tcp)
	forms := [][]string{
		{"-d", "-P", udp}, {"-d", "-P", udp, "--rfc3164"}, {"-d", "-P", udp, "--rfc5424"}, {"-d", "-P", udp, "--rfc5424=notime"},
		{"-T", "-P", tcp}, {"-T", "-P", tcp, "--octet-count"}, {"-T", "-P", tcp, "--rfc3164"}, {"-T", "-P", tcp, "--rfc3164", "--octet-count"},
	}
	for i, form := range forms {
		args := append([]string{"-n", host, "-p", "local3.err", "-t", "backup", "-i"}, append(form, fmt.Sprintf("form %d: the tape is full", i))...)
		if out, err := exec.Command("logger", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	got := map[string]bool{}
	for _, e := range r.events(t, len(forms)) {
		got[e.Text] = true
		if label(&e, "app") != "backup" || label(&e, "facility") != "local3" || label(&e, "severity") != "err" || label(&e, "host") == "" {
			t.Errorf("%+v", e)
		}
	}
	for i := range forms {
		if !got[fmt.Sprintf("backup: form %d: the tape is full", i)] {
			t.Errorf("form %v has not come: %v", forms[i], got)
		}
	}
}

func TestValidate(t *testing.T) {
	for c, good := range map[Config]bool{
		{}: true, {Listen: ":9514"}: true, {Listen: "127.0.0.1:9514", Severity: "info"}: true, {Listen: "[::1]:1", Severity: "Warning"}: true, {Listen: "systemd"}: true,
		{Listen: "9514"}: false, {Listen: ":0"}: false, {Listen: "gw:9514"}: false, {Severity: "bad"}: false, {Listen: ":95140"}: false,
	} {
		if err := c.Validate(); (err == nil) != good {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
