package snmp

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/snmptest"
)

func directTo(t *testing.T, s *Sockets, to netip.AddrPort, timeout time.Duration) *direct {
	t.Helper()
	d, err := s.direct(dialing{target: to, auth: v2c("public").Auth, timeout: timeout, control: scopeOf("127.0.0.0/8", "::1/128").Control})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

func nameOf() [][]byte { return [][]byte{pdu.MustOID("1.3.6.1.2.1.1.5.0")} }

// TestCutOffAnywhere: an answer that bears the request's number ends the request at
// once, however little of it there is; of what is shorter nobody knows whose it is.
func TestCutOffAnywhere(t *testing.T) {
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(1)})
	s := socketsOf(t)
	var length, keep atomic.Int64
	keep.Store(1 << 16)
	agent.SetManners(snmptest.Manners{Rewrite: func(_, out []byte) []byte {
		length.Store(int64(len(out)))
		return out[:min(len(out), int(keep.Load()))]
	}})
	if _, err := directTo(t, s, agent.Addr(), time.Second).get(t.Context(), nameOf(), nil); err != nil {
		t.Fatal(err)
	}
	d := directTo(t, s, agent.Addr(), 200*time.Millisecond)
	for n := int64(1); n < 100; n++ { // its length varies with that of the number
		keep.Store(n)
		if _, err := d.get(t.Context(), nameOf(), nil); n < length.Load() && !errors.Is(err, ErrMalformed) {
			t.Errorf("%d octets: %v", n, err)
		}
	}
	if n := length.Load(); n >= 100 {
		t.Errorf("the answer has %d octets", n)
	}
}

// TestIPv6 asks one agent through each family, and hears of closed ports.
func TestIPv6(t *testing.T) {
	agent, err := snmptest.Listen("[::1]:0", snmptest.Config{MIB: snmptest.Switch(1)})
	if err != nil {
		t.Skipf("no IPv6 on this machine: %v", err)
	}
	defer agent.Close()
	d := directTo(t, socketsOf(t), agent.Addr(), 2*time.Second)
	if got, err := d.get(t.Context(), nameOf(), nil); err != nil || string(got[0].Bytes) != "switch" {
		t.Errorf("%v, error %v", got, err)
	}
	_ = agent.Close()
	start := time.Now()
	if _, err := d.get(t.Context(), nameOf(), nil); !errors.Is(err, ErrRefused) || time.Since(start) > time.Second {
		t.Errorf("error %v after %s, want %v at once", err, time.Since(start), ErrRefused)
	}
}

// TestClosedPortIsOneDevice: what ICMP says of one device reaches that one, and no
// other that is asked through the same socket.
func TestClosedPortIsOneDevice(t *testing.T) {
	gone := serve(t, snmptest.Config{})
	_ = gone.Close()
	there := serve(t, snmptest.Config{MIB: snmptest.Switch(1)})
	s := socketsOf(t)
	bad := directTo(t, s, gone.Addr(), 2*time.Second)
	good := directTo(t, s, there.Addr(), 2*time.Second)
	done := make(chan error)
	go func() {
		var err error
		for range 200 {
			if _, e := bad.get(context.Background(), nameOf(), nil); !errors.Is(e, ErrRefused) {
				err = errors.Join(err, e, errors.New("a closed port is not refused"))
			}
		}
		done <- err
	}()
	for range 200 {
		if _, err := good.get(t.Context(), nameOf(), nil); err != nil {
			t.Error(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestSocketsClose: requests that wait fail, later ones too.
func TestSocketsClose(t *testing.T) {
	asked := make(chan struct{}, 10)
	agent := serve(t, snmptest.Config{Manners: snmptest.Manners{Rewrite: func(_, _ []byte) []byte { asked <- struct{}{}; return nil }}})
	s := NewSockets()
	d := directTo(t, s, agent.Addr(), time.Minute)
	go func() { <-asked; _ = s.Close() }()
	for range 2 {
		if _, err := d.get(t.Context(), nameOf(), nil); !errors.Is(err, ErrSend) {
			t.Errorf("error %v, want %v", err, ErrSend)
		}
	}
	if _, err := s.direct(dialing{target: agent.Addr()}); !errors.Is(err, ErrSend) {
		t.Errorf("error %v, want %v", err, ErrSend)
	}
}

// TestNothingIsSentOutsideTheScope: the hook has the last word about an address,
// also where the resolver has let it pass.
func TestNothingIsSentOutsideTheScope(t *testing.T) {
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(1)})
	_, err := socketsOf(t).direct(dialing{target: agent.Addr(), auth: v2c("public").Auth, control: scopeOf("10.0.0.0/8").Control})
	if !errors.Is(err, errNoSocket) {
		t.Errorf("error %v, want %v", err, errNoSocket)
	}
	if n, _ := agent.Requests(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// TestIdleHasNoGoroutine: between polls nobody receives, and all devices use one
// socket.
func TestIdleHasNoGoroutine(t *testing.T) {
	agent := serve(t, snmptest.Config{MIB: snmptest.Switch(4)})
	s := socketsOf(t)
	for range 3 {
		c := collectorOf(t, Config{Address: agent.Addr().String()}, WithSockets(s))
		if err := c.Collect(t.Context(), func(collectors.Batch) {}); err != nil {
			t.Fatal(err)
		}
		s.v4.working.Wait() // for the goroutine that received
		if s.v6 != nil || s.v4.receiving || len(s.v4.waiting) > 0 {
			t.Errorf("receiving %v, %d wait", s.v4.receiving, len(s.v4.waiting))
		}
	}
	if got := s.Stats(); got.Answers == 0 || got.Late+got.Garbled+got.Strangers != 0 {
		t.Errorf("%+v", got)
	}
}
