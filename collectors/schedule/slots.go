package schedule

import (
	"hash/fnv"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// The arithmetic of slots and of backing off, without clock or state.

// maxEach is how many passed slots of one job are reported one by one; the ones
// before them share a batch. It is 12 hours of minutes.
const maxEach = 720

// together is how close slots are brought: jobs that are due within the same
// quarter of a second begin at once. A small box that is woken for each of them
// spends more on waking up than on the work.
const together = 250 * time.Millisecond

// offset is how far after the start a job's first slot lies: the same for the
// same source, evenly spread over the interval or spread, whichever is less.
func offset(source string, interval, spread time.Duration) collectors.Stamp {
	span := min(interval, spread).Milliseconds()
	if span <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(source))
	// FNV's high bits are the well mixed ones.
	o := collectors.Stamp((h.Sum64() >> 16) % uint64(span))
	if q := collectors.Stamp(together.Milliseconds()); span >= 10*int64(q) {
		o -= o % q
	}
	return o
}

// slotsDue counts the slots next, next+step, ... that are not after now.
func slotsDue(next, now, step collectors.Stamp) int64 {
	if now < next {
		return 0
	}
	return int64((now-next)/step) + 1
}

// A missed slot was not collected. With slots > 1 it stands for that many, of
// which at is the first.
type missed struct {
	at    collectors.Stamp
	slots int64
}

// layOut lists n missed slots from first on. The oldest of more than maxEach
// share the first entry.
func layOut(first, step collectors.Stamp, n int64) []missed {
	if n <= 0 {
		return nil
	}
	out := make([]missed, 0, min(n, maxEach))
	if shared := n - maxEach + 1; shared > 1 {
		out = append(out, missed{first, shared})
		first += collectors.Stamp(shared) * step
		n -= shared
	}
	for ; n > 0; n-- {
		out = append(out, missed{first, 1})
		first += step
	}
	return out
}

// tryEvery is how many slots there are from a failed try to the next one, after
// that many failures in a row: 1 at first, then 2, 4, 8... but never further
// apart than BackoffMax, or 1 where the interval itself is longer than that.
func (c *Config) tryEvery(failures int, interval time.Duration) int64 {
	if c.BackoffAfter == 0 || failures < c.BackoffAfter {
		return 1
	}
	most := max(int64(c.BackoffMax/interval), 1)
	n := int64(1)
	for i := failures - c.BackoffAfter; i >= 0 && n < most; i-- {
		n *= 2
	}
	return min(n, most)
}
