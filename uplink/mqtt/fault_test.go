package mqtt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/mqtt"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A broker that takes messages and never says so, then closes: all tokens fail.
// With AutoReconnect paho reports each of them as acknowledged.
func TestSwallowedPubacks(t *testing.T) {
	m := uplinktest.StartMosquitto(t)
	for range 10 {
		p := uplinktest.NewProxy(t, m.Addr())
		p.SetRule(uplinktest.SwallowPubacks(10))
		c := mustDial(t, mqtt.Options{}, p.URL())
		var tokens []uplink.Token
		for range 10 {
			tokens = append(tokens, c.Publish(uplink.Message{Topic: "t", Payload: []byte("x")}))
		}
		for i, tok := range tokens {
			uplinktest.Await(t, tok.Done(), "a token")
			if tok.Err() == nil {
				t.Fatalf("message %d counts as acknowledged, and no PUBACK has come", i)
			}
		}
		wantLinkError(t, c.Err(), "session", "", "closed the connection")
	}
}

// Some PUBACKs have come when the connection dies: exactly those count.
func TestKilledInTheMiddle(t *testing.T) {
	m := uplinktest.StartMosquitto(t)
	p := uplinktest.NewProxy(t, m.Addr())
	p.SetRule(uplinktest.KillAfter(7))
	c := mustDial(t, mqtt.Options{}, p.URL())
	for i := range 7 {
		tok := c.Publish(uplink.Message{Topic: "t"})
		uplinktest.Await(t, tok.Done(), "a PUBACK")
		if tok.Err() != nil {
			t.Fatalf("message %d: %v", i, tok.Err())
		}
	}
	tok := c.Publish(uplink.Message{Topic: "t"})
	uplinktest.Await(t, tok.Done(), "a token")
	if tok.Err() == nil {
		t.Error("the message that killed the connection counts as acknowledged")
	}
}

// A peer that no longer reads, with full buffers: the write timeout finds it, and
// neither Publish nor Close hangs. Without one paho does not notice in 150 s.
func TestHalfOpen(t *testing.T) {
	m := uplinktest.StartMosquitto(t)
	for _, goodbye := range []bool{false, true} {
		p := uplinktest.NewProxy(t, m.Addr())
		p.SetRule(uplinktest.StopReading(3))
		c := mustDial(t, mqtt.Options{WriteTimeout: 300 * time.Millisecond}, p.URL())
		payload := make([]byte, uplink.MaxMessage)
		start := time.Now()
		var tokens []uplink.Token
		for c.Err() == nil {
			tokens = append(tokens, c.Publish(uplink.Message{Topic: "t", Payload: payload}))
		}
		wantLinkError(t, c.Err(), "session", uplink.ReasonTimeout, "dead or very slow")
		for _, tok := range tokens {
			uplinktest.Await(t, tok.Done(), "a token")
		}
		if tokens[len(tokens)-1].Err() == nil {
			t.Error("what was stuck counts as acknowledged")
		}
		c.Close(goodbye)
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("it took %v", d)
		}
	}
}

// Close with a goodbye on a line that is stuck gives up soon.
func TestGoodbyeOnStuckLine(t *testing.T) {
	m := uplinktest.StartMosquitto(t)
	p := uplinktest.NewProxy(t, m.Addr())
	c := mustDial(t, mqtt.Options{}, p.URL()) // write timeout 10 s
	p.SetRule(uplinktest.Silence)
	tok := c.Publish(uplink.Message{Topic: "t"})
	start := time.Now()
	c.Close(true)
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("Close took %v", d)
	}
	select {
	case <-tok.Done():
		if tok.Err() == nil {
			t.Error("what was swallowed counts as acknowledged")
		}
	default:
		t.Error("a token is not done")
	}
}

// Nobody says anything any more and nothing is sent: the keepalive finds it.
func TestSilentIdle(t *testing.T) {
	m := uplinktest.StartMosquitto(t)
	p := uplinktest.NewProxy(t, m.Addr())
	c := mustDial(t, mqtt.Options{KeepAlive: time.Second, PingTimeout: 300 * time.Millisecond}, p.URL())
	p.SetRule(uplinktest.Silence)
	uplinktest.Await(t, c.Done(), "the keepalive")
	wantLinkError(t, c.Err(), "session", uplink.ReasonTimeout, "no longer answers")
}

func TestBrokerKilledAndBack(t *testing.T) {
	m := uplinktest.StartMosquitto(t)
	c := mustDial(t, mqtt.Options{}, m.URL("mqtt"))
	m.Kill9()
	uplinktest.Await(t, c.Done(), "the end of the connection")
	_, err := dial(t, mqtt.Options{}, m.URL("mqtt"))
	wantLinkError(t, err, "dial", "", "is the broker running")
	m.Restart()
	mustDial(t, mqtt.Options{}, m.URL("mqtt"))
}

// hostile is a broker that sends what it wants after the CONNACK.
func hostile(t *testing.T, connack, then []byte) string {
	t.Helper()
	l := listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Read(make([]byte, 1024))
				c.Write(connack)
				c.Write(then)
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return "mqtt://" + l.Addr().String()
}

func TestHostileBroker(t *testing.T) {
	ok := []byte{0x20, 2, 0, 0}
	for name, c := range map[string]struct{ connack, then []byte }{
		"256 MB packet":            {ok, []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}},
		"endless length":           {ok, []byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}},
		"SUBACK with many codes":   {ok, []byte{0x90, 5, 0, 1, 0, 0, 0}},
		"HTTP":                     {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), nil},
		"no CONNACK but a PUBACK":  {[]byte{0x40, 2, 0, 1}, nil},
		"long CONNACK":             {[]byte{0x20, 3, 0, 0, 0}, nil},
		"PUBLISH with a long name": {ok, []byte{0x30, 4, 0xFF, 0xFF, 'a', 'b'}},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := dial(t, mqtt.Options{ConnectTimeout: time.Second}, hostile(t, c.connack, c.then))
			if bytes.Equal(c.connack, ok) && err != nil {
				// What follows may be read before the client is told of the CONNACK.
				if e, is := errors.AsType[*uplink.LinkError](err); !is || e.Stage != uplink.StageConnack {
					t.Errorf("error %v, want one of stage connack", err)
				}
				return
			}
			if err != nil {
				wantLinkError(t, err, "connack", uplink.ReasonProtocol, "")
				return
			}
			conn.Subscribe(t.Context(), []string{"a"}, func(uplink.Message) {})
			uplinktest.Await(t, conn.Done(), "the end of the connection")
		})
	}
}

// A message that is too long for a site is dropped and acknowledged, so that the
// broker does not offer it for ever.
func TestIncomingOversize(t *testing.T) {
	acked := make(chan []byte, 1)
	l := listen(t)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 1024)
		c.Read(b)
		c.Write([]byte{0x20, 2, 0, 0})
		n := uplink.MaxMessage + 1
		body := append([]byte{0, 1, 'a', 0, 7}, make([]byte, n)...)
		c.Write(append([]byte{0x32, byte(len(body)&0x7F | 0x80), byte(len(body)>>7&0x7F | 0x80), byte(len(body) >> 14)}, body...))
		k, _ := c.Read(b)
		acked <- b[:k]
	}()
	transport := mqtt.New(mqtt.Options{})
	c, err := transport.Dial(t.Context(), "mqtt://"+l.Addr().String(), uplink.Hello{ClientID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(false)
	if got := uplinktest.Await(t, acked, "a PUBACK"); string(got) != "\x40\x02\x00\x07" {
		t.Errorf("got % x, want the PUBACK of message 7", got)
	}
	if n := transport.Oversize(); n != 1 {
		t.Errorf("%d messages counted", n)
	}
}

// A handler that hangs: what comes in is bounded, and the end is told.
func TestFullInbox(t *testing.T) {
	m := uplinktest.StartMosquitto(t, "max_inflight_messages 0", "max_queued_messages 0")
	hub := mustDial(t, mqtt.Options{Inbox: 100 << 10}, m.URL("mqtt"))
	release := make(chan struct{})
	if err := hub.Subscribe(t.Context(), []string{"t"}, func(uplink.Message) { <-release }); err != nil {
		t.Fatal(err)
	}
	site, err := mqtt.New(mqtt.Options{}).Dial(t.Context(), m.URL("mqtt"), uplink.Hello{ClientID: "other"})
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close(false)
	for range 4 {
		site.Publish(uplink.Message{Topic: "t", Payload: make([]byte, 40<<10)})
	}
	uplinktest.Await(t, hub.Done(), "the end of the connection")
	if !strings.Contains(hub.Err().Error(), "faster than they are handled") {
		t.Error(hub.Err())
	}
	close(release)
}

// Connections leave no goroutine behind, however they end.
func TestNoGoroutineLeft(t *testing.T) {
	m := uplinktest.StartMosquitto(t)
	p := uplinktest.NewProxy(t, m.Addr())
	for i := range 30 {
		c, err := mqtt.New(mqtt.Options{}).Dial(t.Context(), p.URL(), uplink.Hello{ClientID: "t/s"})
		if err != nil {
			t.Fatal(err)
		}
		c.Publish(uplink.Message{Topic: "t", Payload: fmt.Append(nil, i)})
		if i%3 == 0 {
			p.CutAll()
			uplinktest.Await(t, c.Done(), "the cut")
		}
		c.Close(i%3 == 1)
	}
	deadline := time.Now().Add(5 * time.Second)
	buf := make([]byte, 1<<20)
	for {
		stacks := string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "paho.mqtt") && !strings.Contains(stacks, "siteprobe/uplink/mqtt.") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines are left:\n%s", stacks)
		}
		runtime.Gosched()
	}
}

// How many messages of 4 KB a second, by the number that may be in flight.
func BenchmarkPublish(b *testing.B) {
	m := uplinktest.StartMosquitto(b)
	for _, window := range []int{1, 20, 100, 1000} {
		b.Run(fmt.Sprint("window=", window), func(b *testing.B) {
			c, err := mqtt.New(mqtt.Options{}).Dial(context.Background(), m.URL("mqtt"), uplink.Hello{ClientID: "t/s"})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close(true)
			msg := uplink.Message{Topic: "t", Payload: make([]byte, 4096)}
			open := make(chan uplink.Token, window)
			b.ReportAllocs()
			for b.Loop() {
				if len(open) == window {
					tok := <-open
					<-tok.Done()
					if tok.Err() != nil {
						b.Fatal(tok.Err())
					}
				}
				open <- c.Publish(msg)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
