package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/provisioning/config"
)

// TestSiteFile: what is written is a site file, without a warning, from a folder
// with a name that YAML would rather have quoted.
func TestSiteFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `it's: a "folder" #1`)
	s, err := readSecrets(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := readSecrets(dir)
	if err != nil || *again != *s {
		t.Errorf("the secrets change from one start to the next: %v", err)
	}
	text, err := siteFile(site{
		Name: siteName, Secrets: dir, Buffer: filepath.Join(dir, "buffer.db"), Server: "mqtt://127.0.0.1:1883",
		Devices: []device{{"linux-v2c", "127.0.0.1:10161", "v2c"}, {"linux-v3", "127.0.0.1:10162", "v3"}},
		Checks: []check{{"page", "http", `{url: "http://127.0.0.1:8080/"}`}, {"broker", "tcp", `{address: "127.0.0.1:1883"}`},
			{"loopback", "icmp", "{address: 127.0.0.1}"}, {"resolver", "dns", `{server: "127.0.0.53:53", name: localhost, type: A}`}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "site.yaml")
	if err := writeFile(file, text); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(c.Warnings) > 0 || len(c.Devices) != 2 || len(c.Checks) != 4 || c.Info.Tenant+"/"+c.Info.ID != siteName {
		t.Errorf("%+v", c)
	}
	if got := c.Credentials[1].SNMP.Username; got != snmpUser {
		t.Errorf("the site file's user is %s, snmpd's %s", got, snmpUser)
	}
	if got := c.Uplink.Password.Reveal(); got != s.uplink {
		t.Error("the uplink's password is another")
	}
}

// TestRelay: it hands on, breaks what there is and what comes when cut, and is
// whole again when mended.
func TestRelay(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	r, err := newRelay("127.0.0.1:0", echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	talk := func(c net.Conn) error {
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		if _, err := io.WriteString(c, "ping"); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 4))
		return err
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", r.address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	first := dial()
	if err := talk(first); err != nil {
		t.Fatal(err)
	}
	r.cut()
	if err := talk(first); err == nil {
		t.Error("a connection outlives the cut")
	}
	if c, err := net.Dial("tcp", r.address()); err == nil { // it may be broken off as early as that
		if err := talk(c); err == nil {
			t.Error("the line is cut, and it carries")
		}
		c.Close()
	}
	r.mend()
	last := dial()
	if err := talk(last); err != nil {
		t.Errorf("after mending: %v", err)
	}
	r.close()
	if err := talk(last); err == nil {
		t.Error("a connection outlives the relay")
	}
	if !isFree("tcp", r.address()) {
		t.Error("the relay still listens")
	}
}

func TestFreePort(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		first := freePort(network, 23411)
		if network == "tcp" {
			l, err := net.Listen(network, first)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
		} else {
			c, err := net.ListenPacket(network, first)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		if second := freePort(network, 23411); second == first {
			t.Errorf("%s: %s is taken and given again", network, first)
		}
	}
}

// TestHang: what does not stop when asked is killed.
func TestHang(t *testing.T) {
	died := make(chan *process, 1)
	log := filepath.Join(t.TempDir(), "logs", "stubborn.log")
	p, err := launch("stubborn", log, died, nil, "sh", "-c", "trap '' TERM; echo ready; while :; do read x; done </dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	err = p.until(t.Context(), "say it", func() bool {
		b, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(b), "ready")
	})
	if err != nil {
		t.Fatal(err)
	}
	if !p.stop(100 * time.Millisecond) {
		t.Error("it stopped by itself")
	}
	if got := <-died; got != p {
		t.Error("another died")
	}
}

func TestUntil(t *testing.T) {
	died := make(chan *process, 1)
	p, err := launch("brief", filepath.Join(t.TempDir(), "brief.log"), died, nil, "sh", "-c", "echo no room here; exit 7")
	if err != nil {
		t.Fatal(err)
	}
	err = p.until(t.Context(), "answer", func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "brief stopped by itself (exit status 7)") || !strings.Contains(err.Error(), "    no room here") {
		t.Errorf("error %v", err)
	}
}

func TestWords(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1240: "1,240", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{time.Minute: "1m", 90 * time.Second: "1m30s", 20 * time.Second: "20s", 2 * time.Hour: "2h", 100 * time.Minute: "1h40m"} {
		if got := brief(d); got != want {
			t.Errorf("brief(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestUsage(t *testing.T) {
	for want, args := range map[int][][]string{0: {{"-h"}}, 2: {{"--nonsense"}, {"word"}, {"--cut-for", "0s"}}} {
		for _, a := range args {
			var out, errOut output
			if got := execute(context.Background(), a, nil, &out, &errOut); got != want {
				t.Errorf("%v: exit code %d, want %d", a, got, want)
			}
		}
	}
}
