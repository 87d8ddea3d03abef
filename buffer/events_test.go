package buffer

import (
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
)

// TestEventsApart: what service levels are computed from is never held back, however
// many other events of the source are.
func TestEventsApart(t *testing.T) {
	b := &Buffer{limits: map[string]*eventLimit{}, opt: Options{Clock: stopped{}}}
	passed := map[string]int{}
	for range 10 {
		x := collectors.Batch{Source: "s"}
		for range 30 {
			x.Events = append(x.Events, collectors.Event{Kind: "service_state"}, collectors.Event{Kind: "trap"})
		}
		b.limit(&x)
		for _, e := range x.Events {
			passed[e.Kind]++
		}
	}
	if passed["service_state"] != 300 || passed["trap"] != eventBurst {
		t.Errorf("%d states and %d traps passed, want 300 and %d", passed["service_state"], passed["trap"], eventBurst)
	}
}

// stopped is a clock that stands still.
type stopped struct{}

func (stopped) Now() collectors.Stamp { return 1 }
func (stopped) Offset() (int64, bool) { return 0, true }
func (stopped) Boot() [16]byte        { return [16]byte{} }
