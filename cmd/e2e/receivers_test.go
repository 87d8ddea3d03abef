package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/siteprobe/siteprobe/uplink/wire"
)

// receiving is a probe that polls nothing and receives.
type receiving struct {
	t     *testing.T
	dir   string
	probe *process
}

func newReceiving(t *testing.T) *receiving {
	t.Helper()
	r := &receiving{t: t, dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(r.dir, "community"), []byte(community+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.probe = newProcess(t, "siteprobe", "run", "-c", r.file(), "--log-level", "debug")
	return r
}

func (r *receiving) file() string { return filepath.Join(r.dir, "siteprobe.yaml") }

// site writes the site file with some more lines.
func (r *receiving) site(more string) {
	r.t.Helper()
	s := fmt.Sprintf("site: {id: e2e, tenant: northwind}\ndiagnosis: {heartbeat: 0s}\nscope: {managed: [127.0.0.0/8]}\ncredentials: [{name: lan, snmp: {version: 2c, community: {file: %s}}}]\n"+
		"buffer: {path: %s, commit: 50ms}\n%s", filepath.Join(r.dir, "community"), filepath.Join(r.dir, "buffer.db"), more)
	if err := os.WriteFile(r.file(), []byte(s), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *receiving) reload(more string) {
	r.t.Helper()
	r.site(more)
	from := r.probe.mark()
	r.probe.signal(syscall.SIGHUP)
	r.probe.mustAwait("the site file is in force", from)
}

// status asks the daemon.
func (r *receiving) status() (s wire.Status) {
	out, _, _ := run(r.t, "siteprobe", "status", "--json", "-c", r.file())
	_ = json.Unmarshal([]byte(out), &s) // an empty one is not what is waited for
	return s
}

// awaitStatus waits until the receivers are as they should be.
func (r *receiving) awaitStatus(what string, cond func(s *wire.Status) bool) {
	r.t.Helper()
	eventually(r.t, patience, what, func() bool { s := r.status(); return s.Site != "" && cond(&s) })
}

// kept is all that the buffer holds, as text. The probe must have ended.
func (r *receiving) kept() string {
	var all strings.Builder
	for _, text := range readContents(r.t, filepath.Join(r.dir, "buffer.db")).batches {
		all.WriteString(text)
	}
	return all.String()
}

// log sends a message of syslog.
func log(t *testing.T, network, addr, text string) {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("<11>" + text + "\n")); err != nil {
		t.Fatal(err)
	}
}

// TestReceivers starts, changes and stops receivers by the site file.
func TestReceivers(t *testing.T) {
	requireSnmptrap(t)
	t.Parallel()
	r := newReceiving(t)
	in := &informer{t: t, addr: freeUDP(t), dir: t.TempDir(), wait: "20"}
	logs := freeUDP(t)
	both := fmt.Sprintf("traps: {listen: %q}\nsyslog: {listen: %q}\n", in.addr, logs)
	r.site(both)
	r.probe.start()
	r.probe.mustAwait("siteprobe runs", r.probe.begin)
	in.send(false)
	log(t, "udp", logs, "over udp")
	log(t, "tcp", logs, "over tcp")
	r.awaitStatus("what was received is committed", func(s *wire.Status) bool {
		return len(s.Receivers) == 2 && s.Receivers[0].Events == 1 && s.Receivers[1].Events == 2 && len(s.Trouble) <= 1
	})
	if out, _, _ := run(t, "siteprobe", "status", "-c", r.file()); !strings.Contains(out, "1 messages, 1 events") || !strings.Contains(out, in.addr) {
		t.Errorf("status says %s", out)
	}

	// Another device: the receivers go on, and know its name.
	r.reload(both + "devices: [{name: gw, address: 127.0.0.1, ping: true}]\n")
	in.send(false)
	r.awaitStatus("they go on", func(s *wire.Status) bool { return len(s.Receivers) == 2 && s.Receivers[0].Events == 2 })
	// None, and a port that another has.
	r.reload("")
	r.awaitStatus("none is left", func(s *wire.Status) bool { return len(s.Receivers) == 0 })
	taken, err := net.ListenPacket("udp", in.addr)
	if err != nil {
		t.Fatalf("the port is not free again: %v", err)
	}
	r.reload(both)
	r.awaitStatus("it says what is wrong", func(s *wire.Status) bool {
		return len(s.Receivers) == 1 && strings.Contains(fmt.Sprint(s.Trouble), "traps: not received")
	})
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	r.reload(both)
	in.send(false)
	r.awaitStatus("it receives again", func(s *wire.Status) bool {
		return len(s.Receivers) == 2 && s.Receivers[0].Events == 1 && !strings.Contains(fmt.Sprint(s.Trouble), "not received")
	})
	r.probe.stop()
	all := r.kept()
	for _, want := range []string{"inform-1;", "inform-2;", "inform-3;", "over udp", "over tcp", "{device gw}"} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is not kept", want)
		}
	}
	if acked, failed := in.counts(); acked != 3 || failed > 0 {
		t.Errorf("%d informs acknowledged, %d not", acked, failed)
	}
}

// TestSocketActivation: systemd opens the sockets, of ports that the daemon itself may
// not have, and starts it with what came before it ran.
func TestSocketActivation(t *testing.T) {
	requireSnmptrap(t)
	const tool = "systemd-socket-activate"
	path, err := exec.LookPath(tool)
	if err != nil {
		if os.Getenv("SITEPROBE_REQUIRE") != "" {
			t.Fatalf("no %s to test with (apt-get install systemd)", tool)
		}
		t.Skipf("no %s to test with (apt-get install systemd)", tool)
	}
	t.Parallel()
	r := newReceiving(t)
	in := &informer{t: t, addr: freeUDP(t), dir: t.TempDir(), wait: "20"}
	logs := freeUDP(t)
	r.site("traps: {listen: systemd}\nsyslog: {listen: systemd}\n")
	r.probe.args = append([]string{"-d", "-l", in.addr, "-l", logs, "--fdname=traps:syslog", r.probe.path}, r.probe.args...)
	r.probe.path = path
	r.probe.start()
	r.probe.mustAwait("Listening on "+logs, r.probe.begin)
	log(t, "udp", logs, "before it ran")
	r.probe.mustAwait("siteprobe runs", r.probe.begin)
	in.send(false)
	r.awaitStatus("what was received is committed", func(s *wire.Status) bool {
		return len(s.Receivers) == 2 && s.Receivers[0].Listen == "systemd" && s.Receivers[0].Events == 1 && s.Receivers[1].Events == 1
	})
	// The sockets outlive their section in the site file.
	r.reload("")
	r.reload("traps: {listen: systemd}\n")
	in.send(false)
	r.reload("traps: {listen: systemd}\nsyslog: {listen: systemd}\n")
	log(t, "udp", logs, "after all")
	r.awaitStatus("both receive again", func(s *wire.Status) bool { return len(s.Receivers) == 2 && s.Receivers[1].Events == 1 })
	r.probe.stop()
	if all := r.kept(); !strings.Contains(all, "before it ran") || !strings.Contains(all, "inform-1;") || !strings.Contains(all, "inform-2;") || !strings.Contains(all, "after all") {
		t.Error("something is not kept")
	}
	if acked, failed := in.counts(); acked != 2 || failed > 0 {
		t.Errorf("%d informs acknowledged, %d not", acked, failed)
	}
}
