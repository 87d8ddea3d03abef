package receive

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

func listen(t *testing.T, address string) (*net.UDPConn, *Socket) {
	t.Helper()
	at, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		t.Skipf("no such address here: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	s, err := NewSocket(conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, s
}

func serve(t *testing.T, s *Socket, size int, handle func(*Datagram)) (lost *atomic.Uint64, stop func()) {
	t.Helper()
	lost = &atomic.Uint64{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(ctx, size, handle, func(n uint64) { lost.Add(n) }); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return lost, stop
}

// The answer comes from the address that was asked, on a socket of all addresses.
func TestAnswersFromTheAddressAsked(t *testing.T) {
	for _, c := range []struct{ listen, ask string }{
		{"127.0.0.1:0", "127.0.0.1"}, {":0", "127.0.0.1"}, {":0", "127.0.0.77"}, {":0", "::1"}, {"0.0.0.0:0", "127.0.0.78"}, {"[::1]:0", "::1"},
	} {
		conn, s := listen(t, c.listen)
		_, stop := serve(t, s, 100, func(d *Datagram) {
			if d.From.Addr().Is4In6() || d.Cut {
				t.Errorf("from %v, cut %v", d.From, d.Cut)
			}
			if err := s.Answer(d, append([]byte("re: "), d.Data...)); err != nil {
				t.Error(err)
			}
		})
		// A connected socket takes answers from that address only.
		asker, err := net.Dial("udp", net.JoinHostPort(c.ask, fmt.Sprint(conn.LocalAddr().(*net.UDPAddr).Port)))
		if err != nil {
			t.Logf("%s: %v", c.ask, err)
			continue
		}
		if _, err := asker.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		_ = asker.SetReadDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 100)
		n, err := asker.Read(b)
		if err != nil || string(b[:n]) != "re: hello" {
			t.Errorf("%s asked at %s: %q, %v", c.listen, c.ask, b[:n], err)
		}
		asker.Close()
		stop()
	}
}

// A receiver takes another's place without losing what came in between.
func TestHandOver(t *testing.T) {
	conn, s := listen(t, "127.0.0.1:0")
	var n atomic.Int64
	_, stop := serve(t, s, 10, func(*Datagram) { n.Add(1) })
	stop()
	asker, err := net.Dial("udp", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer asker.Close()
	for range 5 {
		if _, err := asker.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan bool, 5)
	serve(t, s, 10, func(d *Datagram) { got <- d.Cut })
	for range 5 {
		select {
		case <-got:
		case <-time.After(10 * time.Second):
			t.Fatal("lost")
		}
	}
}

// What the kernel drops is counted.
func TestOverflowIsCounted(t *testing.T) {
	conn, s := listen(t, "127.0.0.1:0")
	_ = conn.SetReadBuffer(4096)
	asker, err := net.Dial("udp", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer asker.Close()
	const sent = 200
	for range sent {
		if _, err := asker.Write(make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
	}
	var n atomic.Int64
	lost, _ := serve(t, s, 100, func(d *Datagram) {
		if !d.Cut && len(d.Data) > 10 {
			t.Error("it is cut, and nobody says so")
		}
		n.Add(1)
	})
	// The count comes with the next datagram that is read.
	deadline := time.After(10 * time.Second)
	for extra := int64(0); n.Load()+int64(lost.Load()) < sent+extra || extra == 0; {
		if _, err := asker.Write([]byte("more")); err != nil {
			t.Fatal(err)
		}
		extra++
		select {
		case <-deadline:
			t.Fatalf("%d read and %d lost of %d", n.Load(), lost.Load(), sent+extra)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if lost.Load() == 0 {
		t.Error("nothing was lost: this shows nothing")
	}
}
