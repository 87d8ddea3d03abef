package discovery

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/check"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// This file is a network for tests: namespaces on one bridge, a host in each, and a
// sniffer at the box's port. What runs within a namespace is this test's own program,
// started again with one of these errands in its environment.
const errand = "SITEPROBE_DISCOVERY_ERRAND"

func TestMain(m *testing.M) {
	run, ok := map[string]func(string) error{"sniff": sniff, "swallow": swallow, "agent": agent, "sweep": sweepErrand}[os.Getenv(errand)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := run(os.Getenv(errand + "_WITH")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// untilTerm returns when the process is asked to end, or its parent closes its stdin.
func untilTerm() {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		term <- syscall.SIGTERM
	}()
	<-term
}

// canaries are the communities that must not get astray.
func canaries() []string { return []string{"canary-lan", "canary-other"} }

// frame is what the sniffer tells of what the box sends.
type frame struct {
	At        time.Time
	To        netip.Addr // of an ARP request, who is looked for
	Proto     string     // arp, icmp, udp, other
	Port      int
	Community string // that stands in it
	User      bool   // an SNMPv3 user stands in it
}

// sniff prints each frame that comes in at an interface.
func sniff(iface string) error {
	i, err := net.InterfaceByName(iface)
	if err != nil {
		return err
	}
	all := uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, int(all))
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index}); err != nil {
		return err
	}
	fmt.Println("ready")
	go func() {
		untilTerm()
		os.Exit(0)
	}()
	out := json.NewEncoder(os.Stdout)
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if l, ok := from.(*unix.SockaddrLinklayer); !ok || l.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if f, ok := dissect(buf[:n]); ok {
			if err := out.Encode(f); err != nil {
				return err
			}
		}
	}
}

func dissect(b []byte) (f frame, ok bool) {
	f.At = time.Now()
	if len(b) < 34 {
		return f, false
	}
	for _, c := range canaries() {
		if bytes.Contains(b, []byte(c)) {
			f.Community = c
		}
	}
	f.User = bytes.Contains(b, []byte("canary-user"))
	switch binary.BigEndian.Uint16(b[12:]) {
	case unix.ETH_P_ARP:
		f.Proto = "arp"
		f.To = netip.AddrFrom4([4]byte(b[38:42]))
		return f, binary.BigEndian.Uint16(b[20:]) == 1
	case unix.ETH_P_IP:
		ip := b[14:]
		f.To = netip.AddrFrom4([4]byte(ip[16:20]))
		f.Proto = "other"
		switch head := int(ip[0]&15) * 4; ip[9] {
		case unix.IPPROTO_ICMP:
			f.Proto = "icmp"
		case unix.IPPROTO_UDP:
			f.Proto = "udp"
			if len(ip) >= head+4 {
				f.Port = int(binary.BigEndian.Uint16(ip[head+2:]))
			}
		}
		return f, true
	}
	return f, false
}

// swallow listens at SNMP's port and answers nothing, as some PLCs do.
func swallow(string) error {
	conn, err := net.ListenPacket("udp4", ":161")
	if err != nil {
		return err
	}
	fmt.Println("ready")
	untilTerm()
	return conn.Close()
}

// agent serves a switch with a name and a serial number in ENTITY-MIB.
func agent(with string) error {
	name, serial, _ := strings.Cut(with, " ")
	mib := snmptest.Switch(2)
	mib.Set("1.3.6.1.2.1.1.5.0", snmptest.Octets(name))
	entity := func(column, row string, v snmptest.Value) {
		mib.Set("1.3.6.1.2.1.47.1.1.1.1."+column+"."+row, v)
	}
	for row, class := range map[string]int32{"1": 3, "2": 6, "3": 10} { // a chassis, a power supply, a port
		entity("2", row, snmptest.Octets("part "+row))
		entity("5", row, snmptest.Integer(class))
		entity("7", row, snmptest.Octets("entity "+row))
		entity("11", row, snmptest.Octets(serial+"-"+row))
		entity("13", row, snmptest.Octets("Model-"+row))
	}
	mib.Set("1.3.6.1.2.1.4.22.1.2.1.10.77.0.30", snmptest.Octets("\x00\x1b\x21\x00\x00\x30"))
	a, err := snmptest.Listen("0.0.0.0:161", snmptest.Config{MIB: mib, Community: "canary-lan"})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	untilTerm()
	return a.Close()
}

// sweepWith is what a sweep within the box's namespace is to do.
type sweepWith struct {
	Dir    string
	Config Config
	Scope  scope.Config
	Lan    []string // targets that are polled with canary-lan: name=address
}

// sweepErrand sweeps once and prints the kinds of what has changed.
func sweepErrand(with string) error {
	var w sweepWith
	if err := json.Unmarshal([]byte(with), &w); err != nil {
		return err
	}
	dialer, err := scope.New(w.Scope, nil)
	if err != nil {
		return err
	}
	lan := snmp.Credential{Name: "lan", Auth: snmp.Auth{Version: "2c", Community: collectors.Secret("canary-lan")}}
	w.Config.Tried = []snmp.Credential{
		{Name: "core", Auth: snmp.Auth{Version: "3", Username: "canary-user", AuthProtocol: "SHA256", AuthPassword: "authpass1234", PrivProtocol: "AES", PrivPassword: "privpass1234"}},
		lan,
	}
	opt := Options{Scope: dialer, Registry: OpenRegistry(w.Dir), Pinger: check.NewPinger()}
	listed := map[string]bool{}
	for _, t := range w.Lan {
		name, address, _ := strings.Cut(t, "=")
		listed[name] = true
		opt.Targets = append(opt.Targets, Target{Listed: true, Config: snmp.Config{Device: name, Address: address, Credentials: []snmp.Credential{lan}, Timeout: time.Second}})
	}
	opt.Taken = func(s string) bool { return listed[s] }
	c, err := New(w.Config, opt)
	if err != nil {
		return err
	}
	changes, err := c.Sweep(context.Background(), nil)
	for _, c := range changes {
		fmt.Println(c.Kind, c.Device.Title(), c.Device.Address)
	}
	return err
}

// lab is the network.
type lab struct {
	t     *testing.T
	self  string
	names map[string]bool
	id    string
}

// newLab makes a network with nothing in it but the bridge and the box at 10.77.0.1.
func newLab(t *testing.T) *lab {
	t.Helper()
	need := func(why string, bad bool) {
		switch {
		case !bad:
		case os.Getenv("SITEPROBE_REQUIRE") != "" && os.Geteuid() == 0:
			t.Fatalf("%s, and SITEPROBE_REQUIRE wants it", why)
		default:
			t.Skip(why)
		}
	}
	need("network namespaces are made by root", os.Geteuid() != 0)
	_, err := exec.LookPath("ip")
	need("no ip (package iproute2)", err != nil)
	_, err = os.Stat(snmpd)
	need("no snmpd (package snmpd)", err != nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, self: self, names: map[string]bool{}, id: fmt.Sprintf("spd%d", os.Getpid())}
	t.Cleanup(l.remove)
	out, err := exec.Command("ip", "netns", "add", l.ns("lan")).CombinedOutput()
	l.names["lan"] = true
	need(fmt.Sprintf("no network namespaces here: %s", out), err != nil)
	l.ip("-n", l.ns("lan"), "link", "add", "br0", "type", "bridge")
	l.ip("-n", l.ns("lan"), "link", "set", "br0", "up")
	l.host("box", "10.77.0.1", "00:1b:21:00:00:01")
	l.in("box", "sh", "-c", "echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range")
	return l
}

const snmpd = "/usr/sbin/snmpd"

func (l *lab) ns(name string) string { return l.id + "-" + name }

func (l *lab) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (l *lab) in(ns string, args ...string) {
	l.t.Helper()
	l.ip(append([]string{"netns", "exec", l.ns(ns)}, args...)...)
}

// host makes a namespace with an address on the bridge.
func (l *lab) host(name, address, mac string) {
	l.t.Helper()
	l.ip("netns", "add", l.ns(name))
	l.names[name] = true
	l.ip("-n", l.ns("lan"), "link", "add", "p-"+name, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", l.ns(name))
	l.ip("-n", l.ns("lan"), "link", "set", "p-"+name, "master", "br0", "up")
	l.ip("-n", l.ns(name), "link", "set", "lo", "up")
	l.ip("-n", l.ns(name), "addr", "add", address+"/16", "dev", "eth0")
	l.ip("-n", l.ns(name), "link", "set", "eth0", "up")
}

// readdress gives a host another address, and the box forgets its neighbours.
func (l *lab) readdress(name, address string) {
	l.t.Helper()
	l.ip("-n", l.ns(name), "addr", "flush", "dev", "eth0", "scope", "global")
	l.ip("-n", l.ns(name), "addr", "add", address+"/16", "dev", "eth0")
	l.ip("-n", l.ns("box"), "neigh", "flush", "all")
}

func (l *lab) remove() {
	for name := range l.names {
		_ = exec.Command("ip", "netns", "del", l.ns(name)).Run()
	}
}

// errand starts this program in a namespace and waits until it is ready.
func (l *lab) errand(ns, what, with string) *bufio.Scanner {
	l.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", l.ns(ns), l.self)
	cmd.Env = append(os.Environ(), errand+"="+what, errand+"_WITH="+with)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() || lines.Text() != "ready" {
		l.t.Fatalf("%s in %s is not ready", what, ns)
	}
	return lines
}

// snmpd starts net-snmp's agent in a namespace.
func (l *lab) snmpd(ns, conf string) {
	l.t.Helper()
	dir := l.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "snmpd.conf"), []byte(conf), 0o600); err != nil {
		l.t.Fatal(err)
	}
	none, state := filepath.Join(dir, "none"), filepath.Join(dir, "state")
	cmd := exec.Command("ip", "netns", "exec", l.ns(ns), snmpd, "-f", "-Lo", "-C", "-c", filepath.Join(dir, "snmpd.conf"), "-m", "", "-M", none, "-I", "-smux")
	cmd.Env = []string{"SNMP_PERSISTENT_DIR=" + state, "SNMPCONFPATH=" + none, "MIBS=", "HOME=" + state, "PATH=" + os.Getenv("PATH")}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	// It listens once the kernel of its namespace has the port.
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		out, err := exec.Command("ip", "netns", "exec", l.ns(ns), "cat", "/proc/net/udp").Output()
		if err == nil && strings.Contains(string(out), ":00A1 ") {
			tick.Stop()
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatal("snmpd does not listen")
		}
	}
}

// sweep sweeps from the box and returns what has changed.
func (l *lab) sweep(w sweepWith) string {
	l.t.Helper()
	with, err := json.Marshal(w)
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", l.ns("box"), l.self)
	cmd.Env = append(os.Environ(), errand+"=sweep", errand+"_WITH="+string(with))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("sweeping: %v\n%s", err, stderr.String())
	}
	return string(out)
}
