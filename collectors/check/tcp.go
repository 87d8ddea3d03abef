package check

import (
	"context"
)

func tcpMetrics() []metric { return commonMetrics() }

// newTCP makes the probe that connects and closes again.
func newTCP(cfg TCP, dialer Dialer) probe {
	return func(ctx context.Context, r *reading) error {
		d, err := dial(ctx, dialer, "tcp", cfg.Address)
		if d.resolved {
			r.set("probe_dns_lookup_time_seconds", "", seconds(d.resolve))
		}
		if err != nil {
			return judge("connect", cfg.Address, err)
		}
		_ = d.conn.Close() // it was opened to see whether it opens
		return nil
	}
}
