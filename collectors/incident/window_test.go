package incident

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

func TestWindowsTellAll(t *testing.T) {
	start := time.Date(2026, 10, 25, 0, 30, 0, 123e6, time.UTC)
	for _, n := range []int{0, 1, 50} {
		w := Window{ID: "w1", Name: "new firmware", Start: start, End: start.Add(2 * time.Hour), Approved: start.Add(-24 * time.Hour), By: "Ann", Cancelled: n == 1}
		for i := range n {
			w.Sources = append(w.Sources, fmt.Sprintf("device/switch-on-floor-%d", i))
		}
		e := w.Event()
		b := collectors.Batch{Source: Source, Events: []collectors.Event{e}}
		if err := b.Validate(); err != nil {
			t.Error(err)
		}
		if got, ok := WindowOf(&e); !ok || !reflect.DeepEqual(got, w) {
			t.Errorf("a window %+v came back as %+v (%v)", w, got, ok)
		}
		if !e.Apart() {
			t.Error("it may be left out")
		}
	}
	w := Window{ID: "w", Start: start, End: start}
	e := w.Event()
	if _, ok := WindowOf(&e); ok {
		t.Error("a window without a length is one")
	}
	if w := (Window{Sources: []string{"line"}}); w.Covers("device/gw") || !w.Covers("line") || !(&Window{}).Covers("line") {
		t.Error("what a window covers")
	}
}
