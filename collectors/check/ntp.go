package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/sntp"
)

// NTP asks a time server. It is up when its answer is one that a client would go by
// and, if max_offset is set, its clock and the box's are at most that far apart.
// Whose clock is wrong then this check cannot tell.
type NTP struct {
	Server    string        `yaml:"server"`     // host or host:port
	MaxOffset time.Duration `yaml:"max_offset"` // 0: any
}

// Validate reports the first setting that cannot work. It does no I/O.
func (c NTP) Validate() error {
	if c.Server == "" {
		return errors.New("server: is missing; name or IP address of the time server")
	}
	if c.MaxOffset < 0 || c.MaxOffset != 0 && c.MaxOffset < time.Millisecond {
		return fmt.Errorf("max_offset: must be at least 1ms")
	}
	return validHostPort("server", c.address())
}

func (c NTP) address() string { return withPort(c.Server, "123") }

func (c NTP) targets() (string, []string) { return "server", []string{c.address()} }

// ntpMetrics have the names of node_exporter's ntp collector, whose signs they follow:
// an offset above 0 is a server that is ahead of this box.
func ntpMetrics() []metric {
	return append(commonMetrics(),
		metric{name: "node_ntp_offset_seconds", unit: "seconds", kind: collectors.Gauge},
		metric{name: "node_ntp_rtt_seconds", unit: "seconds", kind: collectors.Gauge},
		metric{name: "node_ntp_stratum", kind: collectors.State},
		metric{name: "node_ntp_leap", kind: collectors.State},
		metric{name: "node_ntp_root_delay_seconds", unit: "seconds", kind: collectors.Gauge},
		metric{name: "node_ntp_root_dispersion_seconds", unit: "seconds", kind: collectors.Gauge},
		metric{name: "node_ntp_sanity", kind: collectors.State})
}

// ntpTries is how often a server is asked: a single lost datagram does not make it down.
const ntpTries = 3

// newNTP makes the probe that asks a time server. cfg is valid.
func newNTP(cfg NTP, dialer Dialer) probe {
	return func(ctx context.Context, r *reading) error {
		a, err := askNTP(ctx, cfg.address(), dialer, r)
		sane := !errors.Is(err, sntp.ErrInsane) && !errors.Is(err, sntp.ErrUnsure) && !errors.Is(err, sntp.ErrRefused)
		if err != nil && sane {
			return judge("ntp query", cfg.address(), err)
		}
		r.set("node_ntp_sanity", "", flag(err == nil))
		if a != (sntp.Answer{}) {
			recordNTP(r, a)
		}
		switch {
		case errors.Is(err, sntp.ErrRefused):
			return because("ntp: server refuses")
		case errors.Is(err, sntp.ErrUnsure):
			return because("ntp: server is not synchronised")
		case err != nil:
			return because("ntp: malformed answer")
		case cfg.MaxOffset > 0 && a.Behind.Abs() > cfg.MaxOffset:
			return because("ntp: offset too large")
		}
		return nil
	}
}

// askNTP asks until something comes that can be read.
func askNTP(ctx context.Context, server string, dialer Dialer, r *reading) (a sntp.Answer, err error) {
	through := func(ctx context.Context, network, address string) (net.Conn, error) {
		d, err := dial(ctx, dialer, network, address)
		if d.resolved {
			r.set("probe_dns_lookup_time_seconds", "", seconds(d.resolve))
		}
		return d.conn, err
	}
	deadline, _ := ctx.Deadline() // Collect has set one
	for try := range ntpTries {
		share := time.Until(deadline) / time.Duration(ntpTries-try)
		a, err = sntp.Ask(ctx, server, share, through)
		var network net.Error
		lost := errors.Is(err, sntp.ErrInsane) || errors.As(err, &network) && network.Timeout()
		if !lost || ctx.Err() != nil {
			break
		}
	}
	return a, err
}

func recordNTP(r *reading, a sntp.Answer) {
	r.set("node_ntp_offset_seconds", "", seconds(a.Behind))
	r.set("node_ntp_rtt_seconds", "", seconds(a.RTT))
	r.set("node_ntp_stratum", "", collectors.StateValue(int64(a.Stratum)))
	r.set("node_ntp_leap", "", collectors.StateValue(int64(a.Leap)))
	r.set("node_ntp_root_delay_seconds", "", seconds(a.RootDelay))
	r.set("node_ntp_root_dispersion_seconds", "", seconds(a.RootDispersion))
}
