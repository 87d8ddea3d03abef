package uplink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func TestDelay(t *testing.T) {
	b := DefaultConfig().Backoff
	for _, c := range []struct {
		name     string
		end      end
		from, to time.Duration // with random just over 0 and just under 1
	}{
		{"first failure", end{fails: 1}, 250 * time.Millisecond, 2 * time.Second},
		{"third failure", end{fails: 3}, 250 * time.Millisecond, 8 * time.Second},
		{"many failures", end{fails: 12}, 250 * time.Millisecond, 5 * time.Minute},
		{"absurdly many", end{fails: 1 << 40}, 250 * time.Millisecond, 5 * time.Minute},
		{"a short session", end{lasted: 2 * time.Second, fails: 4}, 250 * time.Millisecond, 16 * time.Second},
		{"a steady session", end{lasted: time.Minute}, 250 * time.Millisecond, time.Second},
		{"a long session", end{lasted: time.Hour}, 0, time.Minute},
		{"credentials", end{fails: 1, reason: ReasonCredentials}, 5 * time.Minute, 450 * time.Second},
		{"client id", end{fails: 1, reason: ReasonClientID}, 5 * time.Minute, 450 * time.Second},
		{"credentials after long", end{lasted: time.Hour, reason: ReasonCredentials}, 5 * time.Minute, 450 * time.Second},
		{"busy", end{fails: 1, reason: ReasonBusy}, 250 * time.Millisecond, 2 * time.Second},
	} {
		lo, hi := delay(b, c.end, 0), delay(b, c.end, 0.999999)
		if lo != c.from || hi > c.to || hi < c.to*99/100 {
			t.Errorf("%s: %v to %v, want %v to %v", c.name, lo, hi, c.from, c.to)
		}
	}
}

// Ten thousand sites that lose their broker at once come back evenly over the
// minute; those that fail spread over ever more time, within the bounds.
func TestReconnectHerd(t *testing.T) {
	b := DefaultConfig().Backoff
	r := rand.New(rand.NewPCG(1, 2))
	const sites, bins = 10_000, 60
	var first [bins]int
	var rates []time.Duration // mean delay by number of failures
	for range sites {
		first[delay(b, end{lasted: time.Hour}, r.Float64())*bins/b.Herd]++
	}
	for i, n := range first {
		if n < sites/bins*6/10 || n > sites/bins*14/10 {
			t.Errorf("second %d: %d sites of about %d", i, n, sites/bins)
		}
	}
	for fails := 1; fails <= 14; fails++ {
		var sum time.Duration
		for range sites {
			d := delay(b, end{fails: fails}, r.Float64())
			if d < b.Min/4 || d > b.Max {
				t.Fatalf("%d failures: a delay of %v", fails, d)
			}
			sum += d
		}
		rates = append(rates, sum/sites)
	}
	for i := 1; i < len(rates); i++ {
		if rates[i] < rates[i-1]*95/100 {
			t.Errorf("after %d failures the mean delay is %v, after one less %v", i+1, rates[i], rates[i-1])
		}
	}
	if last := rates[len(rates)-1]; last < 2*time.Minute || last > 3*time.Minute {
		t.Errorf("the mean delay in the end is %v, want about half of %v", last, b.Max)
	}
	for range sites {
		if d := delay(b, end{fails: 1, reason: ReasonCredentials}, r.Float64()); d < 5*time.Minute {
			t.Fatalf("refused credentials are tried again after %v", d)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		n, lastGood, turn int
		since             time.Duration
		want              int
		daily             bool
	}{
		{0, -1, 0, 0, -1, false},
		{1, -1, 0, 0, 0, false},
		{1, 0, 7, 48 * time.Hour, 0, false},
		{3, -1, 0, 0, 0, false},
		{3, -1, 1, 0, 1, false},
		{3, -1, 4, 0, 1, false},
		{3, 2, 0, time.Hour, 2, false},
		{3, 2, 1, time.Hour, 0, false},
		{3, 2, 2, time.Hour, 1, false},
		{3, 2, 0, 24 * time.Hour, 0, true},
		{3, 2, 1, 24 * time.Hour, 0, false},
		{3, 0, 0, 48 * time.Hour, 0, false},
	} {
		if got, daily := choose(c.n, c.lastGood, c.turn, c.since); got != c.want || daily != c.daily {
			t.Errorf("choose(%d, %d, %d, %v) = %d, %v", c.n, c.lastGood, c.turn, c.since, got, daily)
		}
	}
}

func TestWindow(t *testing.T) {
	for rate, want := range map[float64]int{0: minWindow, 1: minWindow, 1 << 20: 2 << 20, 1 << 40: maxWindow} {
		if got := window(rate); got != want {
			t.Errorf("at %v octets/s: %d, want %d", rate, got, want)
		}
	}
}

func TestPatience(t *testing.T) {
	for rtt, want := range map[time.Duration]time.Duration{
		0: 30 * time.Second, 5 * time.Second: 30 * time.Second, 10 * time.Second: 40 * time.Second,
	} {
		if got := patience(rtt); got != want {
			t.Errorf("with a round trip of %v: %v, want %v", rtt, got, want)
		}
	}
}

func TestMeter(t *testing.T) {
	var m meter
	now := time.Unix(0, 0)
	for range 100 {
		now = now.Add(100 * time.Millisecond)
		m.add(now, 100_000)
	}
	if m.perSecond < 900_000 || m.perSecond > 1_100_000 {
		t.Errorf("1 MB/s measures as %.0f", m.perSecond)
	}
}

func TestReason(t *testing.T) {
	inner := &LinkError{Stage: StageConnack, Reason: ReasonBusy, Hint: "h", Err: errors.New("code 3")}
	if got := reason(fmt.Errorf("x: %w", inner)); got != ReasonBusy {
		t.Errorf("%q", got)
	}
	if got := reason(context.Canceled); got != ReasonNone {
		t.Errorf("%q", got)
	}
	if got := inner.Error(); got != "connack: server unavailable: code 3 (h)" {
		t.Error(got)
	}
}

func TestConfigValidate(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string // empty: fine
	}{
		{func(c *Config) {}, ""},
		{func(c *Config) { c.Servers = []string{"mqtts://mqtt.msp.example:8883", "wss://mqtt.msp.example/mqtt"} }, ""},
		{func(c *Config) { c.Servers = []string{"https://x"} }, `servers: scheme "https" of "x" is none of mqtt, mqtts, ws, wss`},
		{func(c *Config) { c.Servers = []string{"mqtt.msp.example"} }, `servers: "mqtt.msp.example" is not a server such as mqtts://mqtt.example.com:8883 (no user or password in it)`},
		{func(c *Config) { c.Servers = []string{"mqtts://u:secret@h"} }, `servers: "h" is not a server such as mqtts://mqtt.example.com:8883 (no user or password in it)`},
		{func(c *Config) { c.Ack = "nobody" }, `ack: "nobody" is neither "hub" nor "broker"`},
		{func(c *Config) { c.Format = "xml" }, `format: "xml" is none of "block", "json", "influx"`},
		{func(c *Config) { c.Format = FormatJSON }, "format: json needs ack: broker (a hub acknowledges blocks only)"},
		{func(c *Config) { c.Format, c.Ack = FormatJSON, AckBroker }, ""},
		{func(c *Config) { c.TLS.Cert = "x" }, "tls: cert and key go together"},
		{func(c *Config) { c.Backoff.Min = 0 }, "backoff: needs 0 < min <= max and herd >= 0"},
		{func(c *Config) { c.Backoff.Max = c.Backoff.Min / 2 }, "backoff: needs 0 < min <= max and herd >= 0"},
	} {
		cfg := DefaultConfig()
		c.change(&cfg)
		got := ""
		if err := cfg.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
