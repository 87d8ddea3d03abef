package buffer

import (
	"fmt"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// EventSource is the source of the box's own events.
const EventSource = store.EventSource

// Event adds one of the box's own events.
func (b *Buffer) Event(e collectors.Event) {
	b.Add(collectors.Batch{Source: EventSource, At: b.opt.Clock.Now(), Events: []collectors.Event{e}})
}

// eventLimit is a token bucket of one source's events.
type eventLimit struct {
	tokens float64
	at     collectors.Stamp
	held   int // events held back since the last that passed
}

const (
	eventBurst     = 100
	eventPerSecond = 1.0
)

// limit holds back the events of a source that floods; how many is told by an
// event when one may pass again.
func (b *Buffer) limit(x *collectors.Batch) {
	now := b.opt.Clock.Now()
	l := b.limits[x.Source]
	if l == nil {
		l = &eventLimit{tokens: eventBurst, at: now}
		b.limits[x.Source] = l
	}
	l.tokens = min(eventBurst, l.tokens+float64(now-l.at)/1000*eventPerSecond)
	l.at = now
	keep := x.Events[:0:0]
	for _, e := range x.Events {
		switch {
		case e.Apart():
			keep = append(keep, e)
			continue
		case l.tokens < 1:
			l.held++
			continue
		}
		l.tokens--
		keep = append(keep, e)
	}
	x.Events = keep
	if l.held == 0 || len(keep) == 0 {
		return
	}
	told := *x
	told.Events = append([]collectors.Event{{Kind: "events_held_back", Severity: collectors.Warning,
		Text: fmt.Sprintf("%d events of this source came too fast and were only counted.", l.held)}}, keep...)
	if told.Validate() == nil { // else there is no room for it, and it is told with the next
		*x, l.held = told, 0
	}
}

// tell adds an event of the buffer's own; it never waits.
func (b *Buffer) tell(e collectors.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(collectors.Batch{Source: EventSource, At: b.opt.Clock.Now(), Events: []collectors.Event{e}}, nil)
}
