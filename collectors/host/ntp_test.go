package host

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		behind  []time.Duration
		confirm bool
		doubt   string
	}{
		"nobody answers":     {nil, false, ""},
		"one agrees":         {[]time.Duration{900 * ms}, true, ""},
		"one disagrees":      {[]time.Duration{1001 * ms}, false, "the clock is 1.001s behind that of NTP server a"},
		"ahead":              {[]time.Duration{-time.Hour}, false, "the clock is 1h0m0s ahead of that of NTP server a"},
		"one of three wrong": {[]time.Duration{time.Hour, -5 * ms, 5 * ms}, true, ""},
		"two of three wrong": {[]time.Duration{5 * ms, -time.Hour, time.Hour}, false, "the clock is 1h0m0s ahead of that of NTP server b"},
		"as many":            {[]time.Duration{5 * ms, time.Hour}, false, ""},
	} {
		var as []answer
		for i, d := range c.behind {
			as = append(as, answer{string(rune('a' + i)), d})
		}
		if confirm, doubt := judge(as); confirm != c.confirm || doubt != c.doubt {
			t.Errorf("%s: %v, %q", name, confirm, doubt)
		}
	}
}

func TestClockConfigValidate(t *testing.T) {
	for _, c := range []struct {
		cfg  ClockConfig
		want string
	}{
		{ClockConfig{}, ""},
		{ClockConfig{NTP: []string{"192.168.10.20", "192.168.10.20:123", "ntp.acme.local", "::1", "[::1]:123"}}, ""},
		{ClockConfig{NTP: make([]string, 1)}, "ntp:"},
		{ClockConfig{NTP: []string{"ntp acme"}}, "ntp:"},
		{ClockConfig{NTP: []string{"http://ntp"}}, "ntp:"},
		{ClockConfig{NTP: []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}}, "ntp: at most"},
		{ClockConfig{Trust: []string{"Kernel"}}, "trust:"},
	} {
		err := c.cfg.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
}

// ntpServer answers on loopback as an NTP server whose clock is off by so much. A
// stratum of 16 says that it is not synchronised itself.
func ntpServer(t *testing.T, off time.Duration, stratum byte) string {
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
			if n < 48 {
				continue
			}
			const since1900 = 2208988800
			put := func(at int, when time.Time) {
				binary.BigEndian.PutUint32(b[at:], uint32(when.Unix()+since1900))
				binary.BigEndian.PutUint32(b[at+4:], uint32(uint64(when.Nanosecond())<<32/1e9))
			}
			now := time.Now().Add(off)
			copy(b[24:32], b[40:48])
			copy(b, []byte{4<<3 | 4, stratum, 6, 0xec, 0, 0, 0, 0, 0, 0, 0, 0, 'T', 'E', 'S', 'T'})
			put(16, now.Add(-time.Second))
			put(32, now)
			put(40, now)
			_, _ = conn.WriteTo(b[:48], from) // a client that has gone
		}
	}()
	return conn.LocalAddr().String()
}

func TestAskServers(t *testing.T) {
	good, wrong, lost := ntpServer(t, 0, 1), ntpServer(t, -time.Hour, 2), ntpServer(t, 0, 16)
	for name, c := range map[string]struct {
		servers []string
		sure    bool
		doubt   string
	}{
		"agrees":                     {[]string{good}, true, ""},
		"disagrees":                  {[]string{wrong}, false, "ahead of"},
		"is not synchronised itself": {[]string{lost}, false, ""},
		"most agree":                 {[]string{wrong, good, lost, good}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := &Clock{readings: func() readings { return readings{wall: floor, boot: 5} }}
			if got := k.askAll(t.Context(), c.servers, slog.New(slog.DiscardHandler)); got != c.sure {
				t.Errorf("agree: %v", got)
			}
			if _, sure := k.Offset(); sure != c.sure || !strings.Contains(k.Doubted(), c.doubt) || (k.Doubted() == "") != (c.doubt == "") {
				t.Errorf("sure %v, doubted %q", sure, k.Doubted())
			}
		})
	}
}

// TestAskServersEnds: the loop ends with its context, also in the middle of asking
// a server that says nothing.
func TestAskServersEnds(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	k := &Clock{readings: func() readings { return readings{wall: floor, boot: 5} }}
	go func() {
		defer close(done)
		k.AskServers(ctx, []string{silent.LocalAddr().String()}, slog.New(slog.DiscardHandler))
	}()
	if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-done:
	case <-time.After(askTime):
		t.Fatal("it goes on")
	}
}
