package collectortest

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"
)

// labelKey is the goroutine label that all goroutines of a collection inherit.
const labelKey = "collectortest"

// labelled runs f on a goroutine that carries the label of owner, and with it all
// goroutines that f starts.
func labelled(owner *collection, f func()) {
	go pprof.Do(context.Background(), pprof.Labels(labelKey, name(owner)), func(context.Context) { f() })
}

func name(owner *collection) string { return fmt.Sprintf("%p", owner) }

// leftovers waits, at most for patience, until no goroutine of the collection is
// left, and returns the stacks of those that are.
func leftovers(owner *collection, patience time.Duration) string {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		left := stacks(owner)
		if left == "" {
			return ""
		}
		select {
		case <-again.C:
		case <-deadline.C:
			return left
		}
	}
}

// stacks returns the collection's goroutines as the runtime's profile shows them.
func stacks(owner *collection) string {
	var all bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		return "the goroutines cannot be listed: " + err.Error()
	}
	var out []string
	for group := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(group, fmt.Sprintf("%q:%q", labelKey, name(owner))) {
			out = append(out, group)
		}
	}
	return strings.Join(out, "\n\n")
}
