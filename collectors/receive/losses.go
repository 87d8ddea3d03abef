package receive

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// Why a message was not taken. The words are labels of metrics and events.
const (
	OutOfScope = "out_of_scope" // its sender's address is not managed
	TooFast    = "too_fast"     // its sender, or all together, send too fast
	TooMany    = "too_many"     // its sender, or all together, have caused too many events
	TooLong    = "too_long"
	Malformed  = "malformed"
	Overflow   = "overflow" // the kernel's queue was full before it was read
	NotKept    = "not_kept" // the buffer took no more, or lost it while the disk failed
)

// How long losses are gathered until they are told: the first time, and at most while
// they go on.
const (
	firstLossWindow = 60_000
	mostLossWindow  = 3_600_000
)

// maxNamed bounds how many are named where many have a part.
const maxNamed = 8

// tally counts by name. What comes when it is full counts for none of them.
type tally struct {
	by    map[string]uint64
	other uint64
}

func (t *tally) add(name string, n uint64) {
	if _, ok := t.by[name]; !ok && len(t.by) >= 4*maxNamed {
		t.other += n
		return
	}
	if t.by == nil {
		t.by = map[string]uint64{}
	}
	t.by[name] += n
}

// String names the most frequent first: "fw1 30, sw2 7, others 3".
func (t *tally) String() string {
	names := slices.SortedFunc(maps.Keys(t.by), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.by[b], t.by[a]), cmp.Compare(a, b))
	})
	var parts []string
	other := t.other
	for i, n := range names {
		if i >= maxNamed {
			other += t.by[n]
			continue
		}
		parts = append(parts, n+" "+strconv.FormatUint(t.by[n], 10))
	}
	if other > 0 {
		parts = append(parts, "others "+strconv.FormatUint(other, 10))
	}
	return strings.Join(parts, ", ")
}

// losses is what was not taken since it was told last.
type losses struct {
	n       uint64
	reasons tally
	senders tally
	first   collectors.Stamp
	due     collectors.Stamp // 0: nothing was lost
	window  collectors.Stamp
}

func (l *losses) add(now collectors.Stamp, reason string, from netip.Addr, n uint64) {
	if l.window == 0 {
		l.window = firstLossWindow
	}
	if l.n == 0 {
		l.first = now
	}
	if l.due == 0 {
		l.due = now + l.window
	}
	l.n += n
	l.reasons.add(reason, n)
	if from.IsValid() {
		l.senders.add(from.String(), n)
	}
}

// tell makes an event of what was lost once it is due.
func (l *losses) tell(now collectors.Stamp, what string, offset int64) (e collectors.Event, ok bool) {
	if l.due == 0 || now < l.due {
		return e, false
	}
	if l.n == 0 { // a window without any
		*l = losses{}
		return e, false
	}
	text := fmt.Sprintf("%d %s messages were not taken: %s.", l.n, what, &l.reasons)
	if s := l.senders.String(); s != "" {
		text += " From: " + s + "."
	}
	e = collectors.Event{Kind: what + "_dropped", Severity: collectors.Warning, Text: collectors.Clip(text, collectors.MaxText)}
	for _, r := range slices.Sorted(maps.Keys(l.reasons.by)) {
		if len(e.Labels) < maxOwnLabels {
			e.Labels = append(e.Labels, collectors.Label{Name: r, Value: strconv.FormatUint(l.reasons.by[r], 10)})
		}
	}
	e.Labels = counted(e.Labels, l.n, int64(l.first)+offset)
	// While it goes on it is told ever more rarely.
	*l = losses{window: min(2*l.window, mostLossWindow)}
	l.due = now + l.window
	return e, true
}
