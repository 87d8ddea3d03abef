package notify

import (
	"math"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// Bounds of a desk.
const (
	maxPending  = 256  // messages that wait
	maxTold     = 1024 // incidents that are remembered
	maxTries    = 5    // of a message that the target refuses for what it says
	window      = time.Hour
	perKey      = 2 // messages about one key in a window
	firstWait   = 10 * time.Second
	longestWait = 15 * time.Minute
	never       = time.Duration(math.MaxInt64)
)

// desk decides which changes of incidents become messages to one target, and when. It
// has no clock, no I/O and no lock.
type desk struct {
	only    Only
	perHour int

	pending  []*pending      // in the order of their first change; one of a key
	told     map[string]told // by key
	sent     []collectors.Stamp
	lost     int // messages that nobody was told of, since the last message that went out
	failures int // in a row
	retryAt  collectors.Stamp
	seq      uint64
}

// pending is what waits to be told about a key.
type pending struct {
	Note   Note
	Missed int // incidents of this key that came in its place before it was told
	tries  int
	seq    uint64 // of the last change
}

// told is what a target was told about a key last.
type told struct {
	ID       string              `json:"id"`
	Open     bool                `json:"open"`
	Severity collectors.Severity `json:"severity"`
	Owner    diagnosis.Owner     `json:"owner"`
	Cause    string              `json:"cause"`
	Count    int                 `json:"count"`
	Messages int                 `json:"messages"` // about this incident
	At       []collectors.Stamp  `json:"-"`        // of the last perKey messages
}

func newDesk(c Config) *desk {
	return &desk{only: c.Only, perHour: c.perHour(), told: map[string]told{}}
}

// news tells whether n says something to a reader who was told t about it.
func (t *told) news(n *Note) bool {
	return t.ID != n.ID || t.Open == n.Over || t.Severity != n.Severity || t.Owner != n.Owner || t.Cause != n.Cause || n.Count > t.Count && n.Count >= 2*t.Count
}

// take hears of a change. It tells whether anything is to be kept.
func (d *desk) take(n Note) bool {
	t := d.told[n.Key]
	i := d.find(n.Key)
	waits := i >= 0 && d.pending[i].Note.ID == n.ID
	knows := t.ID == n.ID && t.Open
	switch {
	case t.ID == n.ID && !t.Open && !waits, waits && d.pending[i].Note.Over && !n.Over:
		return false // it is over, and an incident is over once: what comes late is no news
	case n.silenced:
		if waits {
			d.pending = slices.Delete(d.pending, i, i+1)
		}
		if knows && n.Over {
			t.Open = false
			d.told[n.Key] = t
		}
		return waits || knows && n.Over
	case !knows && !waits && (n.Over || !d.only.takes(&n)):
		return false
	case knows && !t.news(&n): // back to what they know
		if waits {
			d.pending = slices.Delete(d.pending, i, i+1)
		}
		return waits
	}
	d.seq++
	if i < 0 {
		d.pending = append(d.pending, &pending{Note: n, seq: d.seq})
		d.bound()
		return true
	}
	p := d.pending[i]
	if p.Note.ID != n.ID {
		p.Missed++
	}
	p.Note, p.seq, p.tries = n, d.seq, 0
	return true
}

func (d *desk) find(key string) int {
	return slices.IndexFunc(d.pending, func(p *pending) bool { return p.Note.Key == key })
}

// bound lets the oldest go.
func (d *desk) bound() {
	if over := len(d.pending) - maxPending; over > 0 {
		d.pending = slices.Delete(d.pending, 0, over)
		d.lost += over
	}
}

// What a message is about.
const (
	whatOpen   = "open"
	whatUpdate = "update"
	whatClose  = "close"
	whatDigest = "digest"
	whatTest   = "test"
)

// item is one incident in a message.
type item struct {
	What   string // whatOpen, whatUpdate or whatClose
	Note   Note
	Missed int // how often it came and went before, untold
	Before int // messages that went out about this incident
	seq    uint64
}

// next gives what is to be sent now: one item, or several for a digest. Of nothing it
// says for how long there is nothing to do, unless something changes.
func (d *desk) next(now collectors.Stamp) (batch []item, wait time.Duration) {
	d.prune(now)
	switch {
	case len(d.pending) == 0:
		return nil, never
	case d.retryAt > now:
		return nil, between(now, d.retryAt)
	}
	var ready []*pending
	wait = never
	for _, p := range d.pending {
		at := d.told[p.Note.Key].At
		if len(at) >= perKey && at[len(at)-perKey].Add(window) > now {
			wait = min(wait, between(now, at[len(at)-perKey].Add(window)))
			continue
		}
		ready = append(ready, p)
	}
	free := d.perHour - len(d.sent)
	switch {
	case len(ready) == 0:
		return nil, wait
	case free <= 0:
		return nil, between(now, d.sent[len(d.sent)-d.perHour].Add(window))
	case free > 1:
		ready = ready[:1]
	}
	for _, p := range ready {
		batch = append(batch, d.item(p))
	}
	return batch, 0
}

func between(a, b collectors.Stamp) time.Duration { return time.Duration(b-a) * time.Millisecond }

func (d *desk) item(p *pending) item {
	t := d.told[p.Note.Key]
	x := item{What: whatOpen, Note: p.Note, Missed: p.Missed, seq: p.seq}
	if t.ID == p.Note.ID {
		x.Before = t.Messages
	}
	switch {
	case p.Note.Over:
		x.What = whatClose
	case t.ID == p.Note.ID:
		x.What = whatUpdate
	}
	return x
}

// went says that a batch, and that lost ones were lost, has gone out.
func (d *desk) went(batch []item, lost int, now collectors.Stamp) {
	d.failures, d.retryAt = 0, 0
	d.lost -= lost
	d.sent = append(d.sent, now)
	for _, x := range batch {
		n := &x.Note
		t := d.told[n.Key]
		at := append(t.At, now)
		t = told{ID: n.ID, Open: !n.Over, Severity: n.Severity, Owner: n.Owner, Cause: n.Cause, Count: n.Count, Messages: x.Before + 1, At: at[max(0, len(at)-perKey):]}
		d.told[n.Key] = t
		i := d.find(n.Key)
		if i < 0 {
			continue
		}
		// What came while it was being sent waits on, if it is still news.
		if p := d.pending[i]; p.seq == x.seq || !t.news(&p.Note) {
			d.pending = slices.Delete(d.pending, i, i+1)
		} else {
			p.Missed = max(0, p.Missed-x.Missed-1)
		}
	}
}

// failed says that a batch has not gone out, and whether the target refused it for what
// it says: after some tries it goes then.
func (d *desk) failed(batch []item, refused bool, now collectors.Stamp) {
	wait := longestWait
	if d.failures < 10 {
		wait = min(wait, firstWait<<d.failures)
	}
	d.failures++
	d.retryAt = now.Add(wait)
	if !refused {
		return
	}
	for _, x := range batch {
		i := d.find(x.Note.Key)
		if i < 0 || d.pending[i].seq != x.seq {
			continue
		}
		p := d.pending[i]
		p.tries++
		d.pending = slices.Delete(d.pending, i, i+1)
		if p.tries >= maxTries {
			d.lost++
			continue
		}
		d.pending = append(d.pending, p) // others may fare better
	}
}

// prune forgets what no decision depends on any more.
func (d *desk) prune(now collectors.Stamp) {
	d.sent = slices.DeleteFunc(d.sent, func(s collectors.Stamp) bool { return s.Add(window) <= now })
	if len(d.told) <= maxTold {
		return
	}
	keys := make([]string, 0, len(d.told))
	for k := range d.told {
		keys = append(keys, k)
	}
	last := func(t told) collectors.Stamp { return t.At[len(t.At)-1] }
	slices.SortFunc(keys, func(a, b string) int { // what is over first, then what was told long ago
		x, y := d.told[a], d.told[b]
		if x.Open != y.Open {
			if x.Open {
				return 1
			}
			return -1
		}
		return int(last(x) - last(y))
	})
	for _, k := range keys[:len(keys)-maxTold*3/4] { // at once, so that not every call sorts
		delete(d.told, k)
	}
}
