package receive

import (
	"net/netip"

	"github.com/siteprobe/siteprobe/collectors"
)

// Sources says who may send.
type Sources interface {
	// Sender tells whether an address is within the contract, and of which device it
	// is; device is empty where no device is known by it.
	Sender(addr netip.Addr) (device string, managed bool)
}

// Rate is how many at once, and how many a second on the long run.
type Rate struct{ Burst, PerSecond float64 }

// The caps. A stack of switches that restarts sends some hundred traps within a
// second, and hardly any on other days.
var (
	PerSource       = Rate{Burst: 500, PerSecond: 20}
	Overall         = Rate{Burst: 5000, PerSecond: 200}
	EventsPerSource = Rate{Burst: 300, PerSecond: 1}
	EventsOverall   = Rate{Burst: 1500, PerSecond: 4}
)

// maxSources bounds of how many senders the rates are kept.
const maxSources = 1024

// bucket is a token bucket. The zero one is full.
type bucket struct {
	spent float64
	at    collectors.Stamp
}

// refill brings the bucket up to date.
func (b *bucket) refill(now collectors.Stamp, r Rate) {
	b.spent = max(0, b.spent-float64(now-b.at)/1000*r.PerSecond)
	b.at = now
}

// take takes a token, if there is one.
func (b *bucket) take(now collectors.Stamp, r Rate) bool {
	b.refill(now, r)
	if b.spent+1 > r.Burst {
		return false
	}
	b.spent++
	return true
}

// Caps bound what each of many senders may send, and what all may together. A sender's
// own is asked first, so that what it sends in vain takes nothing of the others'. It is
// for one goroutine at a time.
type Caps struct {
	each, all Rate
	total     bucket
	rest      bucket // of those for whom there was no room
	of        map[netip.Addr]*bucket
	swept     collectors.Stamp
}

// NewCaps makes caps of which nothing is used.
func NewCaps(each, all Rate) *Caps {
	return &Caps{each: each, all: all, of: map[netip.Addr]*bucket{}}
}

// Take tells whether a sender may send one more, and counts it.
func (c *Caps) Take(now collectors.Stamp, from netip.Addr) bool {
	return c.bucket(now, from).take(now, c.each) && c.total.take(now, c.all)
}

func (c *Caps) bucket(now collectors.Stamp, from netip.Addr) *bucket {
	if b := c.of[from]; b != nil {
		return b
	}
	if len(c.of) >= maxSources && now-c.swept >= 1000 {
		c.swept = now
		for a, b := range c.of {
			if b.refill(now, c.each); b.spent == 0 {
				delete(c.of, a) // a new one would be the same
			}
		}
	}
	if len(c.of) >= maxSources {
		return &c.rest
	}
	b := &bucket{at: now}
	c.of[from] = b
	return b
}
