package trap

import (
	"context"
	"log/slog"
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
	"github.com/siteprobe/siteprobe/collectors/snmp"
)

// wallClock is the machine's, as a boot clock.
type wallClock struct{}

func (wallClock) Now() collectors.Stamp { return collectors.Stamp(time.Now().UnixMilli()) }
func (wallClock) Offset() (int64, bool) { return 0, true }

// memory is a buffer that commits at once, or when it is told to.
type memory struct {
	mu      sync.Mutex
	hold    bool
	refuse  int // so many from now on
	events  []collectors.Event
	waiting []func(kept bool)
}

func (m *memory) AddWaiting(x collectors.Batch, done func(kept bool)) bool {
	if err := x.Validate(); err != nil {
		panic(err)
	}
	m.mu.Lock()
	if m.refuse > 0 {
		m.refuse--
		m.mu.Unlock()
		return false
	}
	m.events = append(m.events, x.Events...)
	m.waiting = append(m.waiting, done)
	hold := m.hold
	m.mu.Unlock()
	if !hold {
		m.commit()
	}
	return true
}

func (m *memory) commit() { m.end(true) }

// lose is a commit that never comes.
func (m *memory) lose() { m.end(false) }

func (m *memory) end(kept bool) {
	m.mu.Lock()
	waiting := m.waiting
	m.waiting, m.hold = nil, false
	m.mu.Unlock()
	for _, f := range waiting {
		f(kept)
	}
}

func (m *memory) all() []collectors.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]collectors.Event(nil), m.events...)
}

// loopback manages 127.0.0.0/24 and ::1.
type loopback struct{}

func (loopback) Sender(a netip.Addr) (string, bool) {
	switch {
	case a == netip.MustParseAddr("127.0.0.1"):
		return "sw1", true
	case a == netip.MustParseAddr("::1"):
		return "", true
	}
	return "", netip.MustParsePrefix("127.0.0.0/24").Contains(a)
}

type rig struct {
	*Receiver
	buf  *memory
	addr string
	stop func()
}

func credentials() []snmp.Credential {
	return []snmp.Credential{
		{Name: "lan", Auth: snmp.Auth{Version: "2c", Community: "canary-community"}},
		{Name: "open", Auth: snmp.Auth{Version: "3", Username: "open"}},
	}
}

func v3User() snmp.Credential {
	return snmp.Credential{Name: "core", Auth: snmp.Auth{Version: "3", Username: "core", AuthProtocol: "SHA256", AuthPassword: "authpass1234",
		PrivProtocol: "AES", PrivPassword: "privpass1234"}}
}

func start(t *testing.T, creds []snmp.Credential) *rig {
	t.Helper()
	return startOn(t, "127.0.0.1:0", t.TempDir(), creds)
}

func startOn(t *testing.T, listen, dir string, creds []snmp.Credential) *rig {
	t.Helper()
	at, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	s, err := receive.NewSocket(conn)
	if err != nil {
		t.Fatal(err)
	}
	buf := &memory{}
	r, err := New(Config{Listen: conn.LocalAddr().String(), Credentials: creds}, Options{Socket: s,
		Engine: OpenEngine(dir, wallClock{}.Now, slog.New(slog.DiscardHandler)), Sources: loopback{}, Buffer: buf, Clock: wallClock{}, Every: time.Millisecond})
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
	x := &rig{Receiver: r, buf: buf, addr: conn.LocalAddr().String(), stop: func() { cancel(); <-done; conn.Close() }}
	t.Cleanup(x.stop)
	return x
}

// await waits until a condition holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within 10 s", what)
		case <-tick.C:
		}
	}
}

// events waits for n events.
func (r *rig) await(t *testing.T, n int) []collectors.Event {
	t.Helper()
	await(t, "events", func() bool { return len(r.buf.all()) >= n })
	return r.buf.all()
}

func requireTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("SITEPROBE_REQUIRE") != "" {
			t.Fatalf("%s (package snmp) is not installed, and SITEPROBE_REQUIRE wants it", name)
		}
		t.Skipf("%s (package snmp) is not installed", name)
	}
}

// snmptrap runs net-snmp's tool, with nothing of this machine's settings.
func snmptrap(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	requireTool(t, "snmptrap")
	dir := t.TempDir()
	cmd := exec.Command("snmptrap", append([]string{"-m", "", "-M", dir}, args...)...)
	cmd.Env = []string{"HOME=" + dir, "SNMP_PERSISTENT_DIR=" + dir, "SNMPCONFPATH=" + dir, "MIBS=", "PATH=" + os.Getenv("PATH")}
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// linkDown is what a switch would say.
func linkDown(index string) []string {
	return []string{"", "1.3.6.1.6.3.1.1.5.3", "1.3.6.1.2.1.2.2.1.1." + index, "i", index, "1.3.6.1.2.1.2.2.1.8." + index, "i", "2",
		"1.3.6.1.2.1.31.1.1.1.1." + index, "s", "Gi1/0/" + index}
}

func label(e *collectors.Event, name string) string {
	for _, l := range e.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

func mustHold(t *testing.T, e *collectors.Event, kind, text string, labels ...string) {
	t.Helper()
	if e.Kind != kind || !strings.Contains(e.Text, text) {
		t.Errorf("%s %q, want %s with %q", e.Kind, e.Text, kind, text)
	}
	for i := 0; i+1 < len(labels); i += 2 {
		if got := label(e, labels[i]); got != labels[i+1] {
			t.Errorf("label %s is %q, want %q (%q)", labels[i], got, labels[i+1], e.Text)
		}
	}
}
