package check

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Path sends a train of echo requests, one after the other at a steady pace whatever
// comes back, as SmokePing does: how long the way is, how much that varies, and what
// gets lost. It is up when at least one reply comes. The pace keeps it cheap; while it
// lasts it holds one of the workers.
type Path struct {
	Address string        `yaml:"address"` // name or IP address
	Count   int           `yaml:"count"`   // echo requests; 0: DefaultPathCount
	Over    time.Duration `yaml:"over"`    // the time that they are spread over, at most most of the interval; 0: DefaultPathOver
}

// What applies to a path where the check says nothing else.
const (
	DefaultPathCount = 20
	DefaultPathOver  = 5 * time.Second
)

func (c Path) over() time.Duration {
	if c.Over == 0 {
		return DefaultPathOver
	}
	return c.Over
}

func (c Path) count() int {
	if c.Count == 0 {
		return DefaultPathCount
	}
	return c.Count
}

// Validate reports the first setting that cannot work. It does no I/O.
func (c Path) Validate() error {
	if err := validHost("address", c.Address); err != nil {
		return err
	}
	switch {
	case c.Count < 0 || c.Count == 1 || c.Count > 100:
		return fmt.Errorf("count: %d is not between 2 and 100", c.Count)
	case c.over() > time.Minute:
		return errors.New("over: must be at most 1m")
	case c.over()/time.Duration(c.count()) < 10*time.Millisecond:
		return errors.New("over: must leave at least 10ms between two requests")
	}
	return nil
}

func (c Path) targets() (string, []string) { return "address", []string{c.Address} }

func pathMetrics() []metric {
	ms := append(commonMetrics(),
		metric{name: "probe_icmp_packet_loss_ratio", kind: collectors.Gauge},
		metric{name: "probe_icmp_reply_hop_limit", kind: collectors.Gauge},
		metric{name: "probe_path_jitter_seconds", unit: "seconds", kind: collectors.Gauge})
	for _, s := range []string{"min", "median", "max", "stddev"} {
		ms = append(ms, metric{name: "probe_path_rtt_" + s + "_seconds", unit: "seconds", kind: collectors.Gauge})
	}
	return ms
}

// newPath makes the probe that sends a train. cfg is valid.
func newPath(cfg Path, dialer Dialer, pinger *Pinger) probe {
	return func(ctx context.Context, r *reading) error {
		start := time.Now()
		to, err := dialer.Resolve(ctx, cfg.Address, 0)
		if err != nil {
			return judge("dns", cfg.Address, err)
		}
		r.set("probe_dns_lookup_time_seconds", "", seconds(time.Since(start)))
		addr := to.Addr().Unmap()
		conn, err := pinger.open(addr.Is6())
		if err != nil {
			return err // of this box, whatever it is
		}
		defer conn.Close()
		over := cfg.over()
		if deadline, ok := ctx.Deadline(); ok { // a short interval: the last reply needs time, too
			over = min(over, time.Until(deadline)*4/5)
		}
		p, err := train(ctx, conn, addr, cfg.count(), over/time.Duration(cfg.count()))
		if err != nil {
			return err
		}
		if p.sent > 0 {
			r.set("probe_icmp_packet_loss_ratio", "", collectors.GaugeValue(1-float64(p.received)/float64(p.sent)))
		}
		if p.received > 0 {
			if p.hopLimit > 0 {
				r.set("probe_icmp_reply_hop_limit", "", collectors.GaugeValue(float64(p.hopLimit)))
			}
			recordTimes(r, p.times)
			return nil
		}
		if p.sending != nil {
			return judge("ping", cfg.Address, p.sending)
		}
		return because("no reply")
	}
}

// train sends count echo requests, one every gap, and listens all the while, then until
// all have been answered or ctx is done.
func train(ctx context.Context, conn echoConn, to netip.Addr, count int, gap time.Duration) (pong, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	s := series{conn: conn, to: to, at: make([]time.Time, count), seen: make([]bool, count)}
	s.pong.times = make([]time.Duration, count)
	if _, err := rand.Read(s.token[:]); err != nil {
		return pong{}, fmt.Errorf("making a token: %w", err)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Duration(count)*gap + DefaultTimeout)
	}
	start := time.Now()
	for i := range count {
		if ctx.Err() != nil {
			break
		}
		if err := s.send(i); err != nil {
			s.pong.sending = err // one without a reply
		}
		until := earlier(start.Add(time.Duration(i+1)*gap), deadline)
		if i == count-1 {
			until = deadline
		}
		if err := s.listen(ctx, until, i == count-1); err != nil {
			return s.pong, err
		}
	}
	return s.pong, nil
}

// listen takes replies until the time is over or, after the last request, all have come.
func (s *series) listen(ctx context.Context, until time.Time, last bool) error {
	for !last || s.pong.received < s.pong.sent {
		if done, err := s.next(ctx, until); done || err != nil {
			return err
		}
	}
	return nil
}

// recordTimes writes what the round trips were like. The jitter is the mean difference
// between a round trip and the one before it, whichever is longer: not the smoothed
// estimate of RFC 3550, which depends on where it began. Where a reply is missing, there
// is no difference.
func recordTimes(r *reading, times []time.Duration) {
	var all []float64
	var sum, differences float64
	pairs := 0
	for i, t := range times {
		if t == 0 {
			continue
		}
		all, sum = append(all, t.Seconds()), sum+t.Seconds()
		if i > 0 && times[i-1] > 0 {
			differences += (t - times[i-1]).Abs().Seconds()
			pairs++
		}
	}
	mean := sum / float64(len(all))
	var squares float64
	for _, t := range all {
		squares += (t - mean) * (t - mean)
	}
	slices.Sort(all)
	put := func(name string, s float64) {
		r.set(name, "", seconds(time.Duration(s*float64(time.Second))))
	}
	put("probe_path_rtt_min_seconds", all[0])
	put("probe_path_rtt_median_seconds", (all[(len(all)-1)/2]+all[len(all)/2])/2)
	put("probe_path_rtt_max_seconds", all[len(all)-1])
	put("probe_path_rtt_stddev_seconds", math.Sqrt(squares/float64(len(all))))
	if pairs > 0 {
		put("probe_path_jitter_seconds", differences/float64(pairs))
	}
}
