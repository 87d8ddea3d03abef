package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// The site of the section checks.
const (
	checksCount    = 500
	checksInterval = 30 * time.Second
)

// services are servers of this run, on loopback.
type services struct {
	TCP, HTTP, TLS, DNS, SMTP string
	close                     []func()
}

// checks measures 500 checks every 30 s in the real probe, beside a loop that makes the
// same contacts with package net and nothing else.
func checks(ctx context.Context, o options, dir string) error {
	if err := goBuild(ctx, ".", dir, "./cmd/siteprobe"); err != nil {
		return err
	}
	s, err := startServices()
	if err != nil {
		return err
	}
	defer s.stop()
	site := filepath.Join(dir, "checks.yaml")
	if err := os.WriteFile(site, []byte(s.site(filepath.Join(dir, "checks", "buffer.db"))), 0o600); err != nil {
		return err
	}
	length := max(2*checksInterval, o.length)
	probe, err := measureChecks(ctx, dir, "probe", length, filepath.Join(dir, "siteprobe"), "run", "-c", site)
	if err != nil {
		return err
	}
	task, err := json.Marshal(s)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bare, err := measureChecks(ctx, dir, "bare", length, self, "-child", "dial", string(task))
	if err != nil {
		return err
	}
	fmt.Printf("%d checks every %v (a fifth each: tcp, http, tls, dns, smtp with its greeting), for %v of one run:\n\n", checksCount, checksInterval, length)
	t := newTable(os.Stdout, "|", "CPU|ms/check", "CPU|% of a core", "memory|MiB now", "memory|MiB peak")
	for _, r := range []struct {
		name string
		f    checksFigures
	}{{"siteprobe", probe}, {"a bare loop", bare}} {
		n := float64(checksCount) * length.Seconds() / checksInterval.Seconds()
		t.row(r.name, fixed(r.f.cpu/n*1000, 2), fixed(r.f.cpu/length.Seconds()*100, 2), fixed(r.f.now/(1<<20), 1), fixed(r.f.peak/(1<<20), 1))
	}
	fmt.Println()
	return nil
}

type checksFigures struct{ cpu, now, peak float64 }

// measureChecks runs a program over one interval, for its first slots to spread, and
// then measures it.
func measureChecks(ctx context.Context, dir, name string, length time.Duration, program string, args ...string) (f checksFigures, err error) {
	p, err := start(ctx, filepath.Join(dir, "checks-"+name+".log"), program, args...)
	if err != nil {
		return f, err
	}
	defer p.stop()
	if err := pause(ctx, checksInterval); err != nil {
		return f, err
	}
	before, err := p.cpuSoFar()
	if err != nil {
		return f, err
	}
	if err := pause(ctx, length); err != nil {
		return f, err
	}
	after, err := p.cpuSoFar()
	if err != nil {
		return f, err
	}
	f.cpu = after - before
	f.now, f.peak, err = memory(p.cmd.Process.Pid)
	return f, err
}

// site writes a site file with checks of all kinds.
func (s *services) site(db string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "site: {id: checks, tenant: bench, internet: none}\ndiagnosis: {heartbeat: 0s}\nscope: {managed: [127.0.0.0/8]}\ndefaults: {interval: %v, timeout: 3s}\nbuffer: {path: %q}\nchecks:\n", checksInterval, db)
	kinds := []string{
		fmt.Sprintf("tcp: {address: %q}", s.TCP), fmt.Sprintf("http: {url: %q}", s.HTTP), fmt.Sprintf("http: {url: %q, insecure: true}", s.TLS),
		fmt.Sprintf("dns: {server: %q, name: a.bench}", s.DNS), fmt.Sprintf("banner: {protocol: smtp, address: %q}", s.SMTP),
	}
	for i := range checksCount {
		fmt.Fprintf(&b, "  - {name: c%03d, %s}\n", i, kinds[i%len(kinds)])
	}
	return b.String()
}

// dialAll is the bare loop: the same contacts, spread over the interval, until the
// process is ended.
func dialAll(task string) error {
	var s services
	if err := json.Unmarshal([]byte(task), &s); err != nil {
		return err
	}
	plain := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // a server of this run
	page := func(url string) {
		if r, err := plain.Get(url); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
		}
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.DNS)
	}}
	kinds := []func(){
		func() { greet(s.TCP, false) }, func() { page(s.HTTP) }, func() { page(s.TLS) },
		func() { _, _ = resolver.LookupNetIP(context.Background(), "ip4", "a.bench.") }, func() { greet(s.SMTP, true) },
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	tick := time.NewTicker(checksInterval / checksCount)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-end:
			return nil
		case <-tick.C:
			go kinds[i%len(kinds)]()
		}
	}
}

// greet connects and, if asked to, reads a line.
func greet(address string, read bool) {
	conn, err := net.DialTimeout("tcp", address, 3*time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	if read {
		_, _ = conn.Read(make([]byte, 512))
	}
}

// startServices starts what is checked.
func startServices() (*services, error) {
	s := &services{}
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "all is well") })
	web, secured := httptest.NewServer(page), httptest.NewTLSServer(page)
	s.HTTP, s.TLS = web.URL, secured.URL
	s.close = append(s.close, web.Close, secured.Close)
	for _, l := range []struct {
		address *string
		says    string
	}{{&s.TCP, ""}, {&s.SMTP, "220 bench ESMTP\r\n"}} {
		address, stop, err := serveLine(l.says)
		if err != nil {
			s.stop()
			return nil, err
		}
		*l.address, s.close = address, append(s.close, stop)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		s.stop()
		return nil, err
	}
	s.DNS = conn.LocalAddr().String()
	var serving sync.WaitGroup
	serving.Go(func() { serveNames(conn) })
	s.close = append(s.close, func() { _ = conn.Close(); serving.Wait() })
	return s, nil
}

func (s *services) stop() {
	for _, c := range s.close {
		c()
	}
}

// serveLine says a line to whoever connects.
func serveLine(says string) (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
				_, _ = io.WriteString(conn, says)
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			})
		}
	})
	return l.Addr().String(), func() { _ = l.Close(); all.Wait() }, nil
}

// serveNames answers every question with one address.
func serveNames(conn net.PacketConn) {
	b := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.Additionals = true, nil
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET},
			Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
		if out, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(out, from)
		}
	}
}
