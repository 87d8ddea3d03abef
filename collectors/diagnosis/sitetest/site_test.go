package sitetest

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// TestHealthy: the lease, what the LAN's hosts say, what the gateway's SNMP says, and
// nothing of it on the machine's own network.
func TestHealthy(t *testing.T) {
	t.Parallel()
	before := outside(t)
	start := time.Now()
	s := New(t, Options{Devices: 3})
	if took := time.Since(start); took > 3*time.Second {
		t.Logf("a lab came up in %v, which is slow", took)
	}
	out, err := s.Box().Command("ip", "-4", "addr", "show", "dev", "eth0").Output()
	if err != nil || !strings.Contains(string(out), s.Probe.V4.String()+"/24") || !strings.Contains(string(out), "valid_lft 3") {
		t.Errorf("the box's addresses: %v\n%s", err, out)
	}
	for _, h := range append(s.Devices, s.Gateway, s.Server, s.NVR, s.Core) {
		if _, err := s.snmp(h, "1.3.6.1.2.1.1.5.0"); err != nil {
			t.Errorf("%s: %v", h.V4, err)
		}
		if _, err := s.Box().Ping(h.V6, 0, time.Second); err != nil {
			t.Error(err)
		}
	}
	s.testWANPort(t)
	s.testCoreSwitch(t)
	if after := outside(t); after != before {
		t.Errorf("the machine's own network was:\n%s\nnow it is:\n%s", before, after)
	}
}

// outside is the machine's own network: interfaces and routes.
func outside(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, args := range []string{"-br link", "-br addr", "route", "-6 route", "rule"} {
		out, err := exec.Command("ip", strings.Fields(args)...).Output()
		if err != nil {
			t.Fatalf("ip %s: %v", args, err)
		}
		all.Write(out)
	}
	return all.String()
}

// snmp asks a host for one variable, from the box.
func (s *Site) snmp(h Host, oid string) (v pdu.Varbind, err error) {
	var c net.Conn
	err = s.Box().Do(func() (err error) {
		c, err = net.Dial("udp", netip.AddrPortFrom(h.V4, 161).String())
		return err
	})
	if err != nil {
		return v, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * short))
	ask := pdu.Request{Type: pdu.TypeGet, Community: "public", ID: 7, OIDs: [][]byte{pdu.MustOID(oid)}}
	if _, err := c.Write(ask.Append(nil)); err != nil {
		return v, err
	}
	buf := make([]byte, 1500)
	n, err := c.Read(buf)
	if err != nil {
		return v, err
	}
	_, vs, err := pdu.ReadMessage(buf[:n], nil)
	if err != nil || len(vs) != 1 || vs[0].Absent() {
		return v, fmt.Errorf("%v: %v", vs, err)
	}
	return vs[0], nil
}

func (s *Site) testWANPort(t *testing.T) {
	const wan0, wan1 = "1.3.6.1.2.1.2.2.1.8.2", "1.3.6.1.2.1.2.2.1.8.3"
	is := func(oid string, want uint64) {
		t.Helper()
		err := eventually(3*time.Second, func() error {
			v, err := s.snmp(s.Gateway, oid)
			if err == nil && v.Num != want {
				err = fmt.Errorf("ifOperStatus is %d, want %d", v.Num, want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	is(wan0, 1)
	is(wan1, 1)
	undo := s.WANPortDown()
	is(wan0, 2)
	undo()
	is(wan0, 1)
	undo = s.AccessDown()
	is(wan0, 1)
	undo()
	if v, err := s.snmp(s.Gateway, "1.3.6.1.2.1.31.1.1.1.6.2"); err != nil || v.Num == 0 {
		t.Errorf("octets received at the WAN: %d %v", v.Num, err)
	}
}

func (s *Site) testCoreSwitch(t *testing.T) {
	answers := func(h Host) bool {
		_, err := s.Box().Ping(h.V4, 0, short)
		return err == nil
	}
	undo := s.CoreSwitchDown()
	if answers(s.Core) || answers(s.Devices[2]) || !answers(s.NVR) {
		t.Error("with the core switch down it or a device behind it answers, or the NVR does not")
	}
	undo()
	undo = s.DeviceDown(1)
	if answers(s.Devices[1]) || !answers(s.Devices[2]) {
		t.Error("with a device down it answers, or another does not")
	}
	undo()
	defer s.HostDown("nvr")()
	if answers(s.NVR) {
		t.Error("the NVR answers that is down")
	}
}

// TestSlow: delay and loss, with large packets, and the line afterwards.
func TestSlow(t *testing.T) {
	t.Parallel()
	s := New(t, Options{})
	took := func() time.Duration {
		start := time.Now()
		if _, err := s.Box().Ping(s.Anchors[0].V4, 0, 2*time.Second); err != nil {
			t.Error(err)
		}
		return time.Since(start)
	}
	undo := s.Slow(Line{Delay: 40 * time.Millisecond, Jitter: 10 * time.Millisecond})
	if d := took(); d < 80*time.Millisecond {
		t.Errorf("there and back in %v", d)
	}
	if err := s.send(50_000); err != nil {
		t.Errorf("sending over a slow line: %v", err)
	}
	worse := s.Slow(Line{Loss: 1})
	if _, err := s.Box().Ping(s.Anchors[0].V4, 0, short); err == nil {
		t.Error("everything is lost, yet something answers")
	}
	worse()
	undo()
	if d := took(); d > 30*time.Millisecond {
		t.Logf("afterwards there and back in %v", d)
	}
	half := s.Slow(Line{Loss: 0.5})
	lost := 0
	for range 40 {
		if _, err := s.Box().Ping(s.Anchors[0].V4, 0, 30*time.Millisecond); err != nil {
			lost++
		}
	}
	half()
	if lost < 15 || lost > 39 { // three quarters are expected
		t.Errorf("%d of 40 were lost on a line that loses half each way", lost)
	}
	s.Reset()
}

// TestFlap: it goes and comes until it is undone, and Reset does that.
func TestFlap(t *testing.T) {
	t.Parallel()
	s := New(t, Options{})
	broken := func() bool {
		_, err := s.Box().Ping(s.Anchors[0].V4, 0, short)
		return err != nil
	}
	undo := s.Flap(func(s *Site) func() { return s.AnchorDown(0) }, 4*short, 4*short)
	for _, want := range []bool{true, false, true} {
		err := eventually(5*time.Second, func() error {
			if broken() != want {
				return fmt.Errorf("down: %v", !want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	undo()
	if broken() {
		t.Error("down after the end of the flaps")
	}
	s.Flap((*Site).UnplugBox, time.Hour, 0)
	s.StopDHCP()
	s.ISPPathBroken()
	s.Reset()
	if got := s.seen(); got != allWell {
		t.Errorf("after Reset: %s", got)
	}
	s.Flap((*Site).UnplugBox, time.Hour, 0) // Close comes before its end
}

// holdVariable makes TestHold hold a lab: what it says is how it ends.
const holdVariable = "SITEPROBE_LAB_HOLD"

// TestHold is run by TestNothingIsLeft, in a process of its own.
func TestHold(t *testing.T) {
	how := os.Getenv(holdVariable)
	if how == "" {
		t.Skip("it is run by TestNothingIsLeft")
	}
	s := New(t, Options{})
	cmd, err := s.Box().Role("hang")
	if err != nil {
		t.Fatal(err)
	}
	s.RogueDHCP()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Println("prefix", s.prefix)
	switch how {
	case "panic":
		panic("as it was asked to")
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// TestNothingIsLeft: no namespace, process or file outlives a lab, however it ends.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	need(t)
	for _, how := range []string{"close", "panic", "kill"} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestHold$", "-test.v")
		cmd.Env = append(os.Environ(), holdVariable+"="+how)
		out, err := cmd.Output()
		if (err == nil) != (how == "close") {
			t.Errorf("%s: %v\n%s", how, err, out)
		}
		prefix := ""
		for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
			if p, ok := strings.CutPrefix(lines.Text(), "prefix "); ok {
				prefix = p
			}
		}
		if prefix == "" {
			t.Fatalf("%s: no lab came up:\n%s", how, out)
		}
		if how == "kill" {
			// Its daemons go without anybody's help.
			err := eventually(5*time.Second, func() error {
				all, _ := filepath.Glob(filepath.Join(netnsDir, prefix+"*"))
				for _, ns := range all {
					if pids, _ := exec.Command("ip", "netns", "pids", filepath.Base(ns)).Output(); len(pids) > 0 {
						return fmt.Errorf("processes in %s: %s", ns, pids)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			sweep()
		}
		for _, dir := range []string{netnsDir, netnsEtc, os.TempDir()} {
			left, _ := filepath.Glob(filepath.Join(dir, strings.TrimSuffix(prefix, "-")+"*"))
			if len(left) > 0 {
				t.Errorf("%s: left behind: %s", how, left)
			}
		}
	}
}

func TestOwner(t *testing.T) {
	for name, want := range map[string]int{
		"siteprobe-lab-77-0-gw": 77, "siteprobe-lab-77-0": 77, "siteprobe-lab-x-0": 0, "siteprobe-lab--1-0": 0, "lab-77-0": 0,
	} {
		if pid, ok := owner(name); ok != (want != 0) || ok && pid != want {
			t.Errorf("%s is of %d %v, want %d", name, pid, ok, want)
		}
	}
}
