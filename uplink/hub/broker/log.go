package broker

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// quiet passes on what mochi logs, as debugging: the broker itself says what
// matters. Whole packets are left out, there may be a password in them.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, level(l))
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, level(r.Level), "mochi: "+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if !isPacket(a) {
			out.AddAttrs(a)
		}
		return true
	})
	return q.Handler.Handle(ctx, out)
}

func (q quiet) WithAttrs(as []slog.Attr) slog.Handler {
	kept := make([]slog.Attr, 0, len(as))
	for _, a := range as {
		if !isPacket(a) {
			kept = append(kept, a)
		}
	}
	return quiet{q.Handler.WithAttrs(kept)}
}

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

func isPacket(a slog.Attr) bool { return a.Key == "pk" || a.Key == "packet" }

func level(l slog.Level) slog.Level {
	if l >= slog.LevelError {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// rarely lets one through in each interval: what any client can cause must not
// fill the log.
type rarely struct {
	interval time.Duration
	last     atomic.Int64 // unix nanoseconds
	skipped  atomic.Uint64
}

// next tells whether to log now, and how many were not logged since.
func (r *rarely) next() (skipped uint64, ok bool) {
	now := time.Now().UnixNano()
	last := r.last.Load()
	if now-last < int64(r.interval) || !r.last.CompareAndSwap(last, now) {
		r.skipped.Add(1)
		return 0, false
	}
	return r.skipped.Swap(0), true
}
