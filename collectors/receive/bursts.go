package receive

import (
	"fmt"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// What counts towards a burst, in Note.Alarm.
const (
	LoginFailures          = "login_failures"          // somebody tries passwords
	AuthenticationFailures = "authentication_failures" // somebody tries communities or SNMPv3 users
)

// A burst is so many within such a time (in milliseconds).
const (
	burstOf     = 5
	burstWindow = 60_000
)

// burst counts one alarm's messages in a window.
type burst struct {
	n           uint64
	at, from    tally
	first, last collectors.Stamp
}

func (b *burst) add(now collectors.Stamp, at, from string) {
	if b.n == 0 {
		b.first = now
	}
	b.n++
	b.last = now
	b.at.add(at, 1)
	if from != "" {
		b.from.add(from, 1)
	}
}

// over tells whether the window has ended.
func (b *burst) over(now collectors.Stamp) bool { return b.n > 0 && now >= b.first+burstWindow }

// tell makes an event of a burst; ok is false where there were too few for one.
func (b *burst) tell(alarm string, offset int64) (e collectors.Event, ok bool) {
	if b.n < burstOf {
		return e, false
	}
	text := fmt.Sprintf("%d %s within %d s at %s", b.n, strings.ReplaceAll(alarm, "_", " "), max(1, (b.last-b.first)/1000), &b.at)
	labels := []collectors.Label{{Name: "security", Value: "true"}, {Name: "at", Value: collectors.Clip(b.at.String(), collectors.MaxText)}}
	if s := b.from.String(); s != "" {
		text += ", from " + s
		labels = append(labels, collectors.Label{Name: "from", Value: collectors.Clip(s, collectors.MaxText)})
	}
	labels = append(labels, collectors.Label{Name: "hint", Value: "true"})
	return collectors.Event{Kind: alarm, Severity: collectors.Warning, Text: collectors.Clip(text+".", collectors.MaxText),
		Labels: counted(labels, b.n, int64(b.first)+offset)}, true
}
