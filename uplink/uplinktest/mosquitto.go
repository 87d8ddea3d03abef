package uplinktest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// mosquittoPath is where Debian installs it.
const mosquittoPath = "/usr/sbin/mosquitto"

// Mosquitto is a real broker on a loopback port of its own.
type Mosquitto struct {
	Port int

	t      testing.TB
	config string
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	log    *lockedBuffer
}

// StartMosquitto starts mosquitto and waits until it accepts connections. The
// lines are added to its configuration, which without them lets anybody in. It is
// killed at the end of the test; its log is shown when the test has failed. The
// test is skipped where mosquitto is not installed, and fails there if
// SITEPROBE_REQUIRE is set, as in CI.
func StartMosquitto(t testing.TB, lines ...string) *Mosquitto {
	t.Helper()
	if _, err := os.Stat(mosquittoPath); err != nil {
		if os.Getenv("SITEPROBE_REQUIRE") != "" {
			t.Fatalf("no mosquitto to test against, and SITEPROBE_REQUIRE wants it: %v", err)
		}
		t.Skipf("no mosquitto to test against: %v (apt-get install mosquitto)", err)
	}
	m := &Mosquitto{t: t, Port: freePort(t), log: new(lockedBuffer)}
	conf := []string{
		fmt.Sprintf("listener %d 127.0.0.1", m.Port),
		"persistence false",
		"log_dest stderr",
		"connection_messages true",
	}
	if os.Geteuid() == 0 {
		conf = append(conf, "user root") // or it gives up root, and cannot read the test's directory
	}
	if !strings.Contains(strings.Join(lines, "\n"), "allow_anonymous") {
		conf = append(conf, "allow_anonymous true")
	}
	m.config = filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(m.config, []byte(strings.Join(append(conf, lines...), "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Kill9()
		if t.Failed() {
			t.Logf("mosquitto's log:\n%s", m.log)
		}
	})
	m.Restart()
	return m
}

// TLSLines configures mosquitto for TLS with the PKI's certificates; with clients
// set it asks for a client certificate and takes its common name as username.
func TLSLines(p *PKI, expires time.Time, clients bool) []string {
	cert, key := p.Server(expires)
	lines := []string{"certfile " + cert, "keyfile " + key}
	if clients {
		lines = append(lines, "cafile "+p.CA, "require_certificate true", "use_identity_as_username true")
	}
	return lines
}

// URL returns the server with the given scheme, mqtt or mqtts.
func (m *Mosquitto) URL(scheme string) string {
	return fmt.Sprintf("%s://127.0.0.1:%d", scheme, m.Port)
}

// Addr returns the host and port.
func (m *Mosquitto) Addr() string { return fmt.Sprintf("127.0.0.1:%d", m.Port) }

// Kill9 kills the broker as a power cut would. It may be dead already.
func (m *Mosquitto) Kill9() {
	if m.cmd == nil {
		return
	}
	m.cmd.Process.Kill() // an error means that it is gone
	<-m.exited
	m.cmd = nil
}

// Restart starts the broker on the port that it had, after Kill9 where it runs.
func (m *Mosquitto) Restart() {
	m.t.Helper()
	m.Kill9()
	cmd := exec.Command(mosquittoPath, "-c", m.config)
	cmd.Stdout, cmd.Stderr = m.log, m.log
	if err := cmd.Start(); err != nil {
		m.t.Fatalf("starting mosquitto: %v", err)
	}
	exited := make(chan struct{})
	go func() { defer close(exited); cmd.Wait() }() // how it ended is in its log
	m.cmd, m.exited = cmd, exited

	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", m.Addr()); err == nil {
			c.Close()
			return
		}
		select {
		case <-exited:
			m.t.Fatalf("mosquitto ended at once:\n%s", m.log)
		case <-deadline:
			m.t.Fatalf("mosquitto did not listen within %v:\n%s", patience, m.log)
		case <-tick.C:
		}
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
