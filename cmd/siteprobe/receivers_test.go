package main

import (
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/collectors/host"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/syslog"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// Receivers go on, with all that they have counted and know, where only devices or
// profiles change.
func TestReceiversGoOn(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	clock := host.NewClock(host.Config{})
	path := filepath.Join(t.TempDir(), "buffer.db")
	cfg := buffer.DefaultConfig()
	cfg.Path = path
	buf, err := buffer.Open(cfg, buffer.Options{Probe: "t/s", Clock: boxClock{clock}, Log: log, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer buf.Close()
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := free.LocalAddr().String()
	free.Close()
	site := func(device, severity string) *config.Site {
		return &config.Site{Scope: scope.Config{Managed: []string{"127.0.0.0/8"}}, Devices: []config.Device{{Name: device, Address: "127.0.0.1"}},
			Syslog: syslog.Config{Listen: listen, Severity: severity}}
	}
	r := newReceivers(filepath.Dir(path), clock, buf, log)
	defer r.close()
	k := &kinds{}
	k.read(site("a", "info"), log)
	r.apply(site("a", "info"), k)
	was := r.syslog
	conn, err := net.Dial("udp", listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for r.syslog.Stats().Messages == 0 {
		if _, err := conn.Write([]byte("<11>a message")); err != nil {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it is not received")
		}
	}
	k.count++
	r.apply(site("b", "info"), k)
	if r.syslog != was || r.syslog.Stats().Messages == 0 {
		t.Error("another receiver has its place")
	}
	if name := r.made.names[netip.MustParseAddr("127.0.0.1")]; name != "b" {
		t.Errorf("the device is called %q", name)
	}
	r.apply(site("b", "err"), k)
	if r.syslog == was {
		t.Error("the settings have changed, and it goes on as before")
	}
}
