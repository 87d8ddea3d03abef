package discovery

import (
	"context"
	"math/rand/v2"
	"time"
)

// pacer lets so many a second, with jitter, so that two boxes do not keep step and no
// device sees a beat; and no burst after a pause.
type pacer struct {
	every time.Duration
	next  time.Time
}

func newPacer(rate int) *pacer { return &pacer{every: time.Second / time.Duration(rate)} }

// wait returns when the next packet may go, or with ctx's error.
func (p *pacer) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	d := p.next.Sub(now)
	// From 1.0 to 1.5 times the interval: the rate is never exceeded.
	p.next = p.next.Add(p.every + rand.N(p.every/2+1))
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
