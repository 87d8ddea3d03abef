package sitetest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

// Options say what else a site has.
type Options struct {
	// Devices is how many devices hang on a second switch behind the LAN's, each
	// with an SNMP agent of its own; at most 50. Each costs a namespace.
	Devices int
}

// Site is one lab.
type Site struct {
	Plan
	// TLS is what a client of the broker needs: the box.
	TLS ClientFiles
	// Pin is the broker's key: base64 of the SHA-256 of its SubjectPublicKeyInfo.
	Pin string
	// TrustAnchor is the DS record of [Zone], which is not delegated from anywhere.
	TrustAnchor string

	t      testing.TB
	prefix string // of the names of the namespaces
	dir    string // of this lab's files
	log    *os.File
	ns     map[string]*netns
	pki    *pki
	gwMIB  *snmptest.MIB
	broker *broker
	dns    *daemon
	dhcp   *dhcpd
	isp    *resolver
	public *resolver
	clock  *clock
	alive  [2]*os.File // a pipe: helpers end when its writing end is closed, which the end of this process does

	mu     sync.Mutex
	active []*fault       // oldest first
	held   map[string]int // how many faults hold a thing, see hold
	hub    *hub           // nil before StartHub
	rogue  *dhcpd         // nil before it ran
	lines  []*Line
	relay  *relay // while lines has any
	closed bool
	next   int // number of the next nft table

	closers []func()
}

// New makes a site and waits until it is healthy. It ends with the test, or with
// Close. The test is skipped where it cannot be: without root or a program that it
// needs. It fails there instead when SITEPROBE_REQUIRE is set and root is not what
// is missing.
func New(t testing.TB, opts Options) *Site {
	t.Helper()
	need(t)
	sweep()
	dir, err := claim()
	if err != nil {
		t.Fatalf("making a lab: %v", err)
	}
	s := &Site{Plan: plan(min(max(opts.Devices, 0), 50)), t: t, dir: dir, prefix: filepath.Base(dir) + "-", held: map[string]int{}}
	t.Cleanup(s.Close)
	if out, err := exec.Command("ip", "netns", "add", s.prefix+"try").CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("no network namespaces here: %s", out))
	}
	removeNetns(s.prefix + "try")
	if err := s.build(); err != nil {
		t.Fatalf("making a lab: %v", err)
	}
	s.AwaitHealthy(10 * time.Second)
	return s
}

// need skips or fails the test where there can be no lab.
func need(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a lab is made of network namespaces, which takes root")
	}
	for command, pkg := range map[string]string{"ip": "iproute2", "nft": "nftables", "dnsmasq": "dnsmasq-base", "mosquitto": "mosquitto"} {
		if _, err := find(command); err != nil {
			missing(t, fmt.Sprintf("no %s (package %s)", command, pkg))
		}
	}
}

// missing skips the test, or fails it where nothing may be missing.
func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("SITEPROBE_REQUIRE") != "" {
		t.Fatalf("%s, and SITEPROBE_REQUIRE wants it", why)
	}
	t.Skip(why)
}

func (s *Site) build() (err error) {
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		return err
	}
	if s.alive[0], s.alive[1], err = os.Pipe(); err != nil {
		return err
	}
	if s.pki, err = newPKI(s.dir); err != nil {
		return err
	}
	s.ns, err = layout(&s.Plan).build(s.prefix)
	if err != nil {
		return err
	}
	for _, step := range []func() error{s.startInternet, s.startISP, s.startBroker, s.startGateway, s.startHosts, s.startBox} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Close undoes everything and removes the site. The end of the test calls it, too.
func (s *Site) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	active := slices.Clone(s.active)
	s.mu.Unlock()
	for _, f := range slices.Backward(active) {
		f.stop() // flaps must not go on; what was cut goes away with the namespaces
	}
	if s.hub != nil {
		s.hub.run.stop()
	}
	s.rogue.stop()
	if s.relay != nil {
		s.relay.close()
	}
	if s.broker != nil {
		s.broker.close()
	}
	for _, f := range slices.Backward(s.closers) {
		f()
	}
	for _, f := range s.alive {
		if f != nil {
			_ = f.Close()
		}
	}
	if s.t.Failed() && s.log != nil {
		s.showLog()
	}
	var wg sync.WaitGroup
	for _, ns := range s.ns {
		wg.Go(func() {
			_ = ns.file.Close()
			removeNetns(ns.name)
		})
	}
	wg.Wait()
	_ = s.log.Close()
	_ = os.RemoveAll(filepath.Join(netnsEtc, s.prefix+nsBox))
	_ = os.RemoveAll(s.dir)
}

// showLog logs the end of what the daemons said.
func (s *Site) showLog() {
	const most = 8 << 10
	info, err := s.log.Stat()
	if err != nil {
		return
	}
	b := make([]byte, min(info.Size(), most))
	n, err := s.log.ReadAt(b, max(0, info.Size()-most))
	if err == nil || errors.Is(err, io.EOF) {
		s.t.Logf("the end of what the lab's daemons said:\n%s", b[:n])
	}
}

// closing adds what Close does, the last first.
func (s *Site) closing(f func()) { s.closers = append(s.closers, f) }

// closeWith closes c with the site.
func (s *Site) closeWith(c io.Closer) { s.closing(func() { _ = c.Close() }) }
