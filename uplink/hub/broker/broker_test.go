package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/hub/broker"
	"github.com/siteprobe/siteprobe/uplink/mqtt"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
)

// start starts a broker on free loopback ports. What it logs is the test's, and
// the text is returned by the function.
func start(t testing.TB, c broker.Config) (b *broker.Broker, logged func() string) {
	t.Helper()
	var buf buffer
	c.Log = slog.New(slog.NewTextHandler(&buf, nil))
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	b, err := broker.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b, buf.String
}

type buffer struct {
	mu sync.Mutex
	s  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.s.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.s.String()
}

func hubOptions(b *broker.Broker) mqtt.Options {
	var o mqtt.Options
	o.Username, o.Password = b.HubCredentials()
	o.Inbox = 64 << 20
	return o
}

func TestTransport(t *testing.T) {
	uplinktest.TestTransport(t, func(t *testing.T) (uplink.Transport, string) {
		b, _ := start(t, broker.Config{})
		return mqtt.New(hubOptions(b)), b.HubServer()
	})
}

func dial(t testing.TB, o mqtt.Options, server, id string, will *uplink.Message) (uplink.Conn, error) {
	t.Helper()
	c, err := mqtt.New(o).Dial(context.Background(), server, uplink.Hello{ClientID: id, Will: will})
	if err == nil {
		t.Cleanup(func() { c.Close(false) })
	}
	return c, err
}

func mustDial(t testing.TB, o mqtt.Options, server, id string) uplink.Conn {
	t.Helper()
	c, err := dial(t, o, server, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func publish(t testing.TB, c uplink.Conn, topic, text string, retain bool) {
	t.Helper()
	tok := c.Publish(uplink.Message{Topic: topic, Payload: []byte(text), Retain: retain})
	uplinktest.Await(t, tok.Done(), "a PUBACK")
	if tok.Err() != nil {
		t.Fatalf("publishing to %s: %v", topic, tok.Err())
	}
}

func subscribe(t testing.TB, c uplink.Conn, topics ...string) <-chan uplink.Message {
	t.Helper()
	got := make(chan uplink.Message, 1000)
	if err := c.Subscribe(context.Background(), topics, func(m uplink.Message) { got <- m }); err != nil {
		t.Fatal(err)
	}
	return got
}

func wantReason(t *testing.T, err error, stage uplink.Stage, reason uplink.Reason) {
	t.Helper()
	if e, ok := errors.AsType[*uplink.LinkError](err); !ok || e.Stage != stage || e.Reason != reason {
		t.Errorf("error %v, want stage %s, reason %q", err, stage, reason)
	}
}

// Every way in: plain, TLS, WebSocket, WebSocket over TLS; every proof of who one
// is: a certificate, a password, on loopback the client id alone.
func TestWaysIn(t *testing.T) {
	pki := uplinktest.NewPKI(t)
	cert, key := pki.Server(time.Time{})
	users := map[string]collectors.Secret{"acme/berlin": "hunter2"}
	for name, c := range map[string]struct {
		config broker.Config
		schema string
		o      mqtt.Options
	}{
		"plain":     {broker.Config{}, "mqtt", mqtt.Options{}},
		"password":  {broker.Config{Users: users}, "mqtt", mqtt.Options{Username: "acme/berlin", Password: "hunter2"}},
		"TLS":       {broker.Config{Cert: cert, Key: key, Users: users}, "mqtts", mqtt.Options{Username: "acme/berlin", Password: "hunter2", TLS: pki.TLS("")}},
		"clients":   {broker.Config{Cert: cert, Key: key, ClientCA: pki.CA}, "mqtts", mqtt.Options{TLS: pki.TLS("acme/berlin")}},
		"WebSocket": {broker.Config{}, "ws", mqtt.Options{}},
		"wss":       {broker.Config{Cert: cert, Key: key, ClientCA: pki.CA}, "wss", mqtt.Options{TLS: pki.TLS("acme/berlin")}},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.WebSocket = "127.0.0.1:0"
			b, _ := start(t, c.config)
			addr := b.Addr()
			if strings.HasPrefix(c.schema, "ws") {
				addr = b.WebSocketAddr()
			}
			site := mustDial(t, c.o, c.schema+"://"+addr, "acme/berlin")
			hub := mustDial(t, hubOptions(b), b.HubServer(), "hub")
			up, down := subscribe(t, hub, "sp/v1/+/+/d/l"), subscribe(t, site, "sp/v1/acme/berlin/a")
			text := strings.Repeat("x", uplink.MaxMessage)
			publish(t, site, "sp/v1/acme/berlin/d/l", text, false)
			if m := uplinktest.Await(t, up, "a block"); string(m.Payload) != text {
				t.Errorf("the hub got %d bytes", len(m.Payload))
			}
			publish(t, hub, "sp/v1/acme/berlin/a", "ack", false)
			uplinktest.Await(t, down, "an acknowledgement")
			if cs := b.Clients(); len(cs) != 2 || cs[0].Identity != "acme/berlin" || cs[1].Identity != "hub" || cs[0].Since.IsZero() || cs[0].Remote == "" {
				t.Errorf("clients %+v", cs)
			}
			site.Close(true)
		})
	}
}

func TestRefused(t *testing.T) {
	pki := uplinktest.NewPKI(t)
	cert, key := pki.Server(time.Time{})
	withCerts, log := start(t, broker.Config{Cert: cert, Key: key, ClientCA: pki.CA})
	withUsers, _ := start(t, broker.Config{Users: map[string]collectors.Secret{"acme/berlin": "hunter2"}})
	open, _ := start(t, broker.Config{})
	hubUser, hubPassword := open.HubCredentials()
	berlin := mqtt.Options{TLS: pki.TLS("acme/berlin")}
	stranger := berlin.TLS
	stranger.CA = pki.CA
	stranger.Cert, stranger.Key = uplinktest.NewPKI(t).Client("acme/berlin", time.Time{})
	elsewhere := &uplink.Message{Topic: "sp/v1/acme/paris/st", Payload: []byte("gone")}
	for name, c := range map[string]struct {
		server, id string
		o          mqtt.Options
		will       *uplink.Message
		stage      uplink.Stage
		reason     uplink.Reason
	}{
		"no certificate":       {server: "mqtts://" + withCerts.Addr(), id: "acme/berlin", o: mqtt.Options{TLS: pki.TLS("")}, stage: "tls", reason: uplink.ReasonCertificate},
		"a stranger's":         {server: "mqtts://" + withCerts.Addr(), id: "acme/berlin", o: mqtt.Options{TLS: stranger}, stage: "tls", reason: uplink.ReasonCertificate},
		"another's client id":  {server: "mqtts://" + withCerts.Addr(), id: "acme/paris", o: berlin, stage: "connack", reason: uplink.ReasonCredentials},
		"the hub's client id":  {server: "mqtts://" + withCerts.Addr(), id: "hub", o: berlin, stage: "connack", reason: uplink.ReasonCredentials},
		"no site's name":       {server: "mqtts://" + withCerts.Addr(), id: "acme", o: mqtt.Options{TLS: pki.TLS("acme")}, stage: "connack", reason: uplink.ReasonCredentials},
		"another's will":       {server: "mqtts://" + withCerts.Addr(), id: "acme/berlin", o: berlin, will: elsewhere, stage: "connack", reason: uplink.ReasonCredentials},
		"wrong password":       {server: "mqtt://" + withUsers.Addr(), id: "acme/berlin", o: mqtt.Options{Username: "acme/berlin", Password: "hunter3"}, stage: "connack", reason: uplink.ReasonCredentials},
		"unknown user":         {server: "mqtt://" + withUsers.Addr(), id: "acme/paris", o: mqtt.Options{Username: "acme/paris", Password: "hunter2"}, stage: "connack", reason: uplink.ReasonCredentials},
		"no password":          {server: "mqtt://" + withUsers.Addr(), id: "acme/berlin", stage: "connack", reason: uplink.ReasonCredentials},
		"client id of none":    {server: "mqtt://" + open.Addr(), id: "x", stage: "connack", reason: uplink.ReasonCredentials},
		"the hub from outside": {server: "mqtt://" + withUsers.Addr(), id: "hub", o: mqtt.Options{Username: hubUser, Password: hubPassword}, stage: "connack", reason: uplink.ReasonCredentials},
		"a site at the hub's":  {server: open.HubServer(), id: "acme/berlin", stage: "connack", reason: uplink.ReasonCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dial(t, c.o, c.server, c.id, c.will)
			wantReason(t, err, c.stage, c.reason)
		})
	}
	if s := log(); !strings.Contains(s, "client refused") {
		t.Errorf("the log does not tell of clients that were refused:\n%s", s)
	}
}

// A site reaches nothing of another's: it neither reads its acknowledgements nor
// writes its readings, and the hub never sees the attempt.
func TestSitesAreApart(t *testing.T) {
	b, log := start(t, broker.Config{})
	server := "mqtt://" + b.Addr()
	hub := mustDial(t, hubOptions(b), b.HubServer(), "hub")
	got := subscribe(t, hub, "sp/v1/#")

	berlin := mustDial(t, mqtt.Options{}, server, "acme/berlin")
	for _, topic := range []string{"sp/v1/acme/paris/a", "sp/v1/acme/+/a", "#", "$SYS/#", "sp/v1/acme/berlin/d/l"} {
		err := berlin.Subscribe(t.Context(), []string{topic}, func(uplink.Message) {})
		wantReason(t, err, "subscribe", uplink.ReasonDenied)
	}
	tok := berlin.Publish(uplink.Message{Topic: "sp/v1/acme/paris/d/l", Payload: []byte("forged")})
	uplinktest.Await(t, tok.Done(), "a token")
	if tok.Err() == nil {
		t.Error("a forged block is acknowledged")
	}
	uplinktest.Await(t, berlin.Done(), "the disconnection")

	berlin = mustDial(t, mqtt.Options{}, server, "acme/berlin")
	publish(t, berlin, "sp/v1/acme/berlin/d/l", "own", false)
	if m := uplinktest.Await(t, got, "a block"); string(m.Payload) != "own" {
		t.Errorf("the hub got %s %q", m.Topic, m.Payload)
	}
	if n := b.Stats().Denied; n != 6 {
		t.Errorf("%d topics counted as denied, want 6", n)
	}
	if s := log(); !strings.Contains(s, "topic denied") || !strings.Contains(s, "acme/berlin") || strings.Contains(s, "mochi") || strings.Contains(s, "forged") {
		t.Errorf("log:\n%s", s)
	}
}

// Of a site's messages the broker keeps two topics only.
func TestRetained(t *testing.T) {
	b, _ := start(t, broker.Config{})
	site := mustDial(t, mqtt.Options{}, "mqtt://"+b.Addr(), "acme/berlin")
	for i := range 100 {
		publish(t, site, fmt.Sprintf("sp/v1/acme/berlin/c/r/%d", i), "x", true)
	}
	publish(t, site, "sp/v1/acme/berlin/st", "up", true)
	publish(t, site, "sp/v1/acme/berlin/acc", "barrier", false) // mochi acknowledges before it hands on
	hub := mustDial(t, hubOptions(b), b.HubServer(), "hub")
	got := subscribe(t, hub, "sp/v1/acme/berlin/st", "sp/v1/acme/berlin/ev", "sp/v1/acme/berlin/c/r/+")
	if m := uplinktest.Await(t, got, "what is retained"); !m.Retain || m.Topic != "sp/v1/acme/berlin/st" {
		t.Errorf("got %+v", m)
	}
	publish(t, site, "sp/v1/acme/berlin/ev", "marker", false)
	if m := uplinktest.Await(t, got, "the marker"); string(m.Payload) != "marker" {
		t.Errorf("got %+v", m)
	}
}

// A second box with the same id takes over; the first is told nothing by MQTT and
// sees its connection end.
func TestTwoBoxesWithOneID(t *testing.T) {
	b, _ := start(t, broker.Config{})
	first := mustDial(t, mqtt.Options{}, "mqtt://"+b.Addr(), "acme/berlin")
	second := mustDial(t, mqtt.Options{}, "mqtt://"+b.Addr(), "acme/berlin")
	uplinktest.Await(t, first.Done(), "the end of the first")
	publish(t, second, "sp/v1/acme/berlin/st", "x", true)
}

// Neither those who only connect nor too many of them harm the others.
func TestTooManyConnections(t *testing.T) {
	b, log := start(t, broker.Config{MaxClients: 4}) // 21 connections
	var idle []net.Conn
	for range 40 {
		c, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	_, err := dial(t, mqtt.Options{}, "mqtt://"+b.Addr(), "acme/berlin", nil)
	if err == nil {
		t.Error("connected beside 40 idle connections")
	}
	mustDial(t, hubOptions(b), b.HubServer(), "hub") // always
	for _, c := range idle {
		c.Close()
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		if _, err = dial(t, mqtt.Options{}, "mqtt://"+b.Addr(), "acme/berlin", nil); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the others have gone: %v", err)
		}
	}
	if !strings.Contains(log(), "too many connections") {
		t.Error(log())
	}
}

// A new certificate in the same files serves the next connection.
func TestCertificateRotates(t *testing.T) {
	pki := uplinktest.NewPKI(t)
	cert, key := pki.Server(time.Now().Add(-time.Hour)) // expired
	newCert, newKey := pki.Server(time.Time{})
	b, _ := start(t, broker.Config{Cert: cert, Key: key, ClientCA: pki.CA})
	o := mqtt.Options{TLS: pki.TLS("acme/berlin")}
	_, err := dial(t, o, "mqtts://"+b.Addr(), "acme/berlin", nil)
	wantReason(t, err, "tls", uplink.ReasonCertificate)
	later := time.Now().Add(time.Minute) // file systems' clocks are coarse
	for to, from := range map[string]string{cert: newCert, key: newKey} {
		pem, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, pem, 0o600)
		}
		if err == nil {
			err = os.Chtimes(to, later, later)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	mustDial(t, o, "mqtts://"+b.Addr(), "acme/berlin")
}

func TestLoadUsers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(name, []byte("acme/berlin:hunter2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := broker.LoadUsers(name); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that all may read: %v", err)
	}
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if users, err := broker.LoadUsers(name); err != nil || len(users) != 1 {
		t.Errorf("%d users, %v", len(users), err)
	}
}

// Close ends everything, with clients of all sorts connected, and before Start.
func TestClose(t *testing.T) {
	unstarted, err := broker.New(broker.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	unstarted.Close()

	b, err := broker.New(broker.Config{Listen: "127.0.0.1:0", WebSocket: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	site := mustDial(t, mqtt.Options{}, "mqtt://"+b.Addr(), "acme/berlin")
	web := mustDial(t, mqtt.Options{}, "ws://"+b.WebSocketAddr(), "acme/paris")
	idle, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	cancel()
	if err := uplinktest.Await(t, ended, "Run to return"); err != nil {
		t.Error(err)
	}
	uplinktest.Await(t, site.Done(), "a site's connection")
	uplinktest.Await(t, web.Done(), "a site's WebSocket")
	if _, err := net.Dial("tcp", b.Addr()); err == nil {
		t.Error("the port is still open")
	}
}
