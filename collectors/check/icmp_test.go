package check

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const errnoEPERM = syscall.EPERM

// fakeConn is a socket whose network is the function answer: it gets a request
// and returns what is received for it.
type fakeConn struct {
	answer  func(to netip.Addr, seq int, data []byte) ([]echo, error)
	pending []echo
	closed  bool
}

func (f *fakeConn) Send(to netip.Addr, seq int, data []byte) error {
	got, err := f.answer(to, seq, slices.Clone(data))
	f.pending = append(f.pending, got...)
	return err
}

// Receive has no time to lose: where nothing is pending, the deadline has come.
func (f *fakeConn) Receive() (echo, error) {
	if len(f.pending) == 0 {
		return echo{}, os.ErrDeadlineExceeded
	}
	e := f.pending[0]
	f.pending = f.pending[1:]
	return e, nil
}

func (f *fakeConn) SetReadDeadline(time.Time) error { return nil }
func (f *fakeConn) Close() error                    { f.closed = true; return nil }

func TestPingCountsOnlyItsOwnReplies(t *testing.T) {
	target, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, test := range []struct {
		name   string
		answer func(to netip.Addr, seq int, data []byte) ([]echo, error)
		want   []string
	}{
		{"all", func(to netip.Addr, seq int, data []byte) ([]echo, error) {
			return []echo{{from: to, seq: seq, data: data, hopLimit: 63}}, nil
		}, []string{"probe_success=1", "probe_icmp_packet_loss_ratio=0", "probe_icmp_reply_hop_limit=63", "probe_icmp_duration_seconds/rtt=*"}},
		{"one of four, twice", func(to netip.Addr, seq int, data []byte) ([]echo, error) {
			if seq != 2 {
				return nil, nil
			}
			e := echo{from: to, seq: seq, data: data}
			return []echo{e, e}, nil
		}, []string{"probe_success=1", "probe_icmp_packet_loss_ratio=0.75", "probe_icmp_reply_hop_limit="}},
		{"none", func(netip.Addr, int, []byte) ([]echo, error) { return nil, nil },
			[]string{"probe_success=0", "probe_failure_reason=no reply", "probe_icmp_packet_loss_ratio=1", "probe_icmp_duration_seconds/rtt="}},
		{"from another host", func(_ netip.Addr, seq int, data []byte) ([]echo, error) {
			return []echo{{from: other, seq: seq, data: data}}, nil
		}, []string{"probe_success=0", "probe_failure_reason=no reply"}},
		{"another token", func(to netip.Addr, seq int, data []byte) ([]echo, error) {
			data[0]++
			return []echo{{from: to, seq: seq, data: data}}, nil
		}, []string{"probe_success=0"}},
		{"not sent yet", func(to netip.Addr, seq int, data []byte) ([]echo, error) {
			data[9]++
			return []echo{{from: to, seq: seq + 1, data: data}, {from: to, seq: seq, data: data[:4]}}, nil
		}, []string{"probe_success=0"}},
		{"no route", func(netip.Addr, int, []byte) ([]echo, error) { return nil, syscall.ENETUNREACH },
			[]string{"probe_success=0", "probe_failure_reason=network unreachable"}},
		{"one that could not be sent", func(to netip.Addr, seq int, data []byte) ([]echo, error) {
			if seq == 1 {
				return nil, syscall.EHOSTUNREACH
			}
			return []echo{{from: to, seq: seq, data: data}}, nil
		}, []string{"probe_success=1", "probe_icmp_packet_loss_ratio=0.25"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn := &fakeConn{answer: test.answer}
			p := &Pinger{opener: func(bool, bool) (echoConn, error) { return conn, nil }}
			c := mustNew(t, Config{ICMP: &ICMP{Address: target.String(), Count: 4}}, &scope{}, Options{Pinger: p})
			collect(t, c).want(test.want...)
			if !conn.closed {
				t.Error("the socket is left open")
			}
		})
	}
}

func TestPingNotPermittedIsNotDown(t *testing.T) {
	target := Config{ICMP: &ICMP{Address: "192.0.2.1"}}
	opened := 0
	p := &Pinger{opener: func(raw, _ bool) (echoConn, error) {
		opened++
		return nil, os.NewSyscallError("socket", map[bool]error{true: syscall.EPERM, false: syscall.EACCES}[raw])
	}}
	err := refuse(t, mustNew(t, target, &scope{}, Options{Pinger: p}))
	if !errors.Is(err, ErrNotPermitted) || opened != 2 {
		t.Errorf("%v after %d kinds of sockets, want ErrNotPermitted after 2", err, opened)
	}

	p.opener = func(bool, bool) (echoConn, error) {
		return &fakeConn{answer: func(netip.Addr, int, []byte) ([]echo, error) { return nil, syscall.EPERM }}, nil
	}
	if err := refuse(t, mustNew(t, target, &scope{}, Options{Pinger: p})); !errors.Is(err, ErrNotPermitted) {
		t.Errorf("sending: %v, want ErrNotPermitted", err)
	}

	p.opener = func(bool, bool) (echoConn, error) { return nil, syscall.EAFNOSUPPORT }
	err = refuse(t, mustNew(t, target, &scope{}, Options{Pinger: p}))
	if errors.Is(err, ErrNotPermitted) || !strings.HasPrefix(err.Error(), "opening an ICMP socket: ") {
		t.Errorf("no IPv6: %v", err)
	}
}

func TestPingerRemembersWhichSocketItGot(t *testing.T) {
	var kinds []bool
	p := &Pinger{opener: func(raw, _ bool) (echoConn, error) {
		kinds = append(kinds, raw)
		if !raw {
			return nil, syscall.EACCES
		}
		return &fakeConn{}, nil
	}}
	for range 2 {
		if _, err := p.open(false); err != nil {
			t.Fatal(err)
		}
	}
	if want := []bool{false, true, true}; !slices.Equal(kinds, want) {
		t.Errorf("asked for raw sockets: %v, want %v", kinds, want)
	}
}

func TestPingLoopback(t *testing.T) {
	for _, raw := range []bool{false, true} {
		for _, address := range []string{"127.0.0.1", "::1"} {
			t.Run(map[bool]string{false: "ping socket ", true: "raw "}[raw]+address, func(t *testing.T) {
				p := &Pinger{opener: func(_, v6 bool) (echoConn, error) { return openEcho(raw, v6) }}
				probe, err := p.open(netip.MustParseAddr(address).Is6())
				if err != nil {
					t.Skipf("this kind of socket may not be had here: %v", err)
				}
				if err := probe.Send(netip.MustParseAddr(address), 0, nil); err != nil {
					t.Skipf("no route to loopback here: %v", err)
				}
				_ = probe.Close()
				c, err := NewPing(Ping{Device: "self", Address: address, Count: 2}, &scope{}, Options{Pinger: p})
				if err != nil {
					t.Fatal(err)
				}
				r := collect(t, c)
				r.up()
				r.want("probe_icmp_packet_loss_ratio=0", "probe_icmp_reply_hop_limit=64", "probe_icmp_duration_seconds/rtt=*")
			})
		}
	}
}

func TestPingNeverBroadcasts(t *testing.T) {
	for _, raw := range []bool{false, true} {
		conn, err := openEcho(raw, false)
		if err != nil {
			t.Logf("raw %v: this kind of socket may not be had here: %v", raw, err)
			continue
		}
		if err := conn.Send(netip.MustParseAddr("255.255.255.255"), 0, nil); !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("raw %v: %v, want EACCES, or ENETUNREACH on a machine without a network", raw, err)
		}
		_ = conn.Close()
	}
}
