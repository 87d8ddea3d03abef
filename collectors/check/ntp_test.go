package check

import (
	"encoding/binary"
	"net"
	"testing"
	"time"
)

// ntpServer answers as a time server whose clock is off by so much. What it says it may
// change before it sends it; drop leaves so many requests unanswered.
func ntpServer(t *testing.T, off time.Duration, drop int, change func(b []byte)) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if drop--; n < 48 || drop >= 0 {
				continue
			}
			const since1900 = 2208988800
			put := func(at int, when time.Time) {
				binary.BigEndian.PutUint32(b[at:], uint32(when.Unix()+since1900))
				binary.BigEndian.PutUint32(b[at+4:], uint32(uint64(when.Nanosecond())<<32/1e9))
			}
			now := time.Now().Add(off)
			copy(b[24:32], b[40:48])
			copy(b, []byte{4<<3 | 4, 2, 6, 0xec, 0, 0, 0x80, 0, 0, 0, 0x40, 0, 'T', 'E', 'S', 'T'})
			put(16, now.Add(-time.Second))
			put(32, now)
			put(40, now)
			if change != nil {
				change(b)
			}
			_, _ = conn.WriteTo(b[:48], from) // a client that has gone
		}
	}()
	return conn.LocalAddr().String()
}

func TestNTP(t *testing.T) {
	for _, test := range []struct {
		name   string
		off    time.Duration
		drop   int
		change func(b []byte)
		cfg    NTP
		reason string
		also   []string
	}{
		{"good", 0, 0, nil, NTP{MaxOffset: time.Second}, "", []string{"node_ntp_sanity=1", "node_ntp_stratum=2", "node_ntp_leap=0",
			"node_ntp_root_delay_seconds=0.5", "node_ntp_root_dispersion_seconds=0.25", "node_ntp_offset_seconds=*", "node_ntp_rtt_seconds=*"}},
		{"a lost datagram", 0, 1, nil, NTP{}, "", nil},
		{"an hour ahead", time.Hour, 0, nil, NTP{MaxOffset: time.Second}, "ntp: offset too large", []string{"node_ntp_sanity=1"}},
		{"an hour behind, whatever", -time.Hour, 0, nil, NTP{}, "", nil},
		{"not synchronised", 0, 0, func(b []byte) { b[1] = 16 }, NTP{}, "ntp: server is not synchronised", []string{"node_ntp_sanity=0", "node_ntp_stratum=16"}},
		{"leap alarm", 0, 0, func(b []byte) { b[0] |= 3 << 6 }, NTP{}, "ntp: server is not synchronised", []string{"node_ntp_leap=3"}},
		{"kiss of death", 0, 0, func(b []byte) { b[1] = 0; copy(b[12:], "DENY") }, NTP{}, "ntp: server refuses", []string{"node_ntp_sanity=0"}},
		{"forged", 0, 0, func(b []byte) { b[24]++ }, NTP{}, "ntp: malformed answer", []string{"node_ntp_sanity=0", "node_ntp_stratum="}},
		{"silent", 0, 99, nil, NTP{}, "timeout: ntp query", []string{"node_ntp_sanity="}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Server = ntpServer(t, test.off, test.drop, test.change)
			r := collect(t, mustNew(t, Config{Timeout: 600 * time.Millisecond, NTP: &test.cfg}, &scope{}, Options{}))
			if test.reason == "" {
				r.up()
			} else {
				r.down(test.reason)
			}
			r.want(test.also...)
		})
	}
}
