package check

import (
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// road is a socket whose way takes a time for each request; 0 loses it.
type road struct {
	times []time.Duration
	due   []arrival

	mu    sync.Mutex
	until time.Time
}

type arrival struct {
	at time.Time
	echo
}

func (w *road) Send(to netip.Addr, seq int, data []byte) error {
	if t := w.times[seq]; t > 0 {
		w.due = append(w.due, arrival{time.Now().Add(t), echo{from: to, seq: seq, data: data, hopLimit: 60}})
	}
	return nil
}

// Receive returns what comes first, if it comes before the deadline.
func (w *road) Receive() (echo, error) {
	first := -1
	for i, a := range w.due {
		if first < 0 || a.at.Before(w.due[first].at) {
			first = i
		}
	}
	w.mu.Lock()
	until := w.until
	w.mu.Unlock()
	if first < 0 || w.due[first].at.After(until) {
		<-time.After(time.Until(until))
		return echo{}, os.ErrDeadlineExceeded
	}
	a := w.due[first]
	w.due = append(w.due[:first], w.due[first+1:]...)
	<-time.After(time.Until(a.at))
	return a.echo, nil
}

func (w *road) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = t
	return nil
}

func (w *road) Close() error { return nil }

func TestPath(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		times []time.Duration
		want  []string
	}{
		"steady": {[]time.Duration{10 * ms, 10 * ms, 10 * ms, 10 * ms}, []string{"probe_success=1", "probe_icmp_packet_loss_ratio=0", "probe_path_jitter_seconds=0",
			"probe_path_rtt_stddev_seconds=0", "probe_path_rtt_median_seconds=0.01", "probe_icmp_reply_hop_limit=60"}},
		"uneven, one lost": {[]time.Duration{10 * ms, 30 * ms, 0, 20 * ms}, []string{"probe_success=1", "probe_icmp_packet_loss_ratio=0.25", "probe_path_jitter_seconds=0.02",
			"probe_path_rtt_min_seconds=0.01", "probe_path_rtt_median_seconds=0.02", "probe_path_rtt_max_seconds=0.03", "probe_path_rtt_stddev_seconds=0.008165"}},
		"overtaken": {[]time.Duration{900 * ms, 10 * ms, 10 * ms, 10 * ms}, []string{"probe_icmp_packet_loss_ratio=0", "probe_path_rtt_max_seconds=0.9"}},
		"too late":  {[]time.Duration{10 * ms, 10 * ms, 10 * ms, time.Minute}, []string{"probe_success=1", "probe_icmp_packet_loss_ratio=0.25"}},
		"lost":      {make([]time.Duration, 4), []string{"probe_success=0", "probe_failure_reason=no reply", "probe_icmp_packet_loss_ratio=1", "probe_path_rtt_min_seconds="}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Pinger{opener: func(bool, bool) (echoConn, error) { return &road{times: test.times}, nil }}
				start := time.Now()
				collect(t, mustNew(t, Config{Path: &Path{Address: "192.0.2.1", Count: 4, Over: 2 * time.Second}}, &scope{}, Options{Pinger: p})).want(test.want...)
				if took := time.Since(start); took > 2*time.Second+DefaultTimeout {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestPathLoopback(t *testing.T) {
	c := mustNew(t, Config{Path: &Path{Address: "127.0.0.1", Count: 5, Over: 60 * time.Millisecond}}, &scope{}, Options{})
	conn, err := NewPinger().open(false)
	if errors.Is(err, ErrNotPermitted) {
		t.Skip("this user may not ping")
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	r := collect(t, c)
	r.up()
	r.want("probe_icmp_packet_loss_ratio=0", "probe_path_rtt_median_seconds=*", "probe_path_jitter_seconds=*")
}
