package main

import (
	"context"
	"fmt"
	"time"
)

// Bounds of what follows a cut; both are far above what it takes.
const (
	drainTime  = 2 * time.Minute
	verifyTime = 30 * time.Second
)

// outage cuts the line until cut is done, and shows how the backlog grows, drains,
// and is proved to have come in whole. It ends early when ctx does.
func (d *demo) outage(ctx, cut context.Context) {
	d.say("the line to the hub is cut")
	d.relay.cut()
	every := min(max(d.o.cutFor/6, time.Second), 10*time.Second)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for cut.Err() == nil {
		select {
		case <-cut.Done():
		case <-tick.C:
			if end, _ := cut.Deadline(); time.Until(end) < time.Second {
				continue // the line after the cut says it
			}
			if s, err := d.probe.status(ctx); err == nil {
				d.say("pending %s readings (%s)", count(s.Buffer.PendingReadings), size(s.Buffer.PendingBytes))
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	before, err := d.probe.status(ctx)
	if err != nil {
		d.say("the probe does not answer: %v", err)
		return
	}
	d.relay.mend()
	mended := time.Now()
	d.say("the line is mended; %s readings (%s) wait", count(before.Buffer.PendingReadings), size(before.Buffer.PendingBytes))
	connected, drained, err := d.drain(ctx, mended)
	if err != nil {
		d.say("%v", err)
		return
	}
	d.say("connected after %s, drained in %s", seconds(connected.Sub(mended)), seconds(drained.Sub(connected)))
	d.verify(ctx, mended)
}

// drain waits until everything older than the mended line is delivered. What is
// read meanwhile waits its two seconds for the next commit, so there is hardly a
// moment without anything that waits.
func (d *demo) drain(ctx context.Context, mended time.Time) (connected, drained time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var s *status
	for {
		if s, err = d.probe.status(ctx); err == nil {
			now := time.Now()
			if connected.IsZero() && s.Uplink.State == "connected" {
				connected = now
			}
			if !connected.IsZero() && !s.waitsSince(mended) {
				return connected, now, nil
			}
		}
		select {
		case <-ctx.Done():
			if s == nil || err != nil {
				return connected, drained, fmt.Errorf("not drained within %v: %w", drainTime, err)
			}
			return connected, drained, fmt.Errorf("not drained within %v: uplink %s, %s readings pending %s", drainTime, s.Uplink.State, count(s.Buffer.PendingReadings), s.Uplink.Error)
		case <-tick.C:
		}
	}
}

// verify asks the hub until it has proof by an account of what there is that the
// probe has sent since.
func (d *demo) verify(ctx context.Context, since time.Time) {
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		p, err := d.probe.verify(ctx)
		if err == nil && p.Complete && p.since(since) {
			d.say("verify: complete: %s batches of readings expected, %s stored, %d lost", count(p.Expected), count(p.Stored), p.Lost)
			return
		}
		select {
		case <-ctx.Done():
			if err != nil {
				d.say("verify: %v", err)
			} else {
				d.say("verify: NOT complete: %s batches expected, %s stored, %d pending, %d lost", count(p.Expected), count(p.Stored), p.Pending, p.Lost)
			}
			return
		case <-tick.C:
		}
	}
}

func (d *demo) say(format string, a ...any) {
	d.out.line("%s  %s", clock(), fmt.Sprintf(format, a...))
}
