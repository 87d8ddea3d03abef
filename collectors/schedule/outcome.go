package schedule

import (
	"fmt"

	"github.com/siteprobe/siteprobe/collectors"
)

// MaxBatches is how many batches one collection may give; those beyond are
// dropped and make it partial.
const MaxBatches = 64

// The sentences that say why. They are shown to people.
const (
	whyNoBatch  = "gave no batch"
	whyTooMany  = "gave more batches than one collection may"
	whyPanicked = "collector panicked"
	whyHung     = "did not return in time"
	whyStopped  = "stopped before it had finished"
	whyRemoved  = "the job was removed or changed"
	whyStopping = "siteprobe is stopping"
	whyLate     = "the box was suspended or too busy"
	whyOverlap  = "previous collection still running"
	whyWorkers  = "no worker free"
	whyGroup    = "its device is busy with other collections"
	whyStuck    = "an earlier collection has not returned"
)

// WhyTimeout begins the reason of a collection that took longer than it may.
const WhyTimeout = "was not done"

// WhyBackoff begins the reason of slots that are skipped since the source fails.
const WhyBackoff = "backing off"

// Reason is the stable word for why slots were skipped, as a label of a metric.
type Reason string

// The reasons.
const (
	ReasonLate     Reason = "late"     // the box was suspended or too busy
	ReasonOverlap  Reason = "overlap"  // the previous collection was still running
	ReasonWorkers  Reason = "workers"  // no worker was free
	ReasonGroup    Reason = "device"   // the device's limit was reached
	ReasonBackoff  Reason = "backoff"  // the source failed too often
	ReasonStuck    Reason = "stuck"    // an earlier collection hangs
	ReasonRemoved  Reason = "removed"  // the job was removed or changed
	ReasonStopping Reason = "stopping" // siteprobe was told to stop
)

// ending is how a collection came to its end.
type ending struct {
	why       string // empty: Collect returned nil
	cancelled bool   // it was told to stop, so an error is not the source's
	broke     bool   // it panicked or hung, which is a failure whatever it gave
}

// report is what becomes of a collection.
type report struct {
	batches []collectors.Batch // at least one; they lack source and stamp only where the collector left them empty
	result  collectors.Result  // of the collection as a whole
	failed  bool               // counts towards backing off
	ended   collectors.Stamp
}

// settle gives every batch of a collection its source and outcome, and a batch to
// a collection that has none.
func settle(source string, got []collectors.Batch, dropped int, end ending) report {
	base := collectors.Outcome{}
	switch {
	case end.why != "" && len(got) > 0:
		base = collectors.Outcome{Result: collectors.Partial, Why: end.why}
	case end.why != "" && end.cancelled:
		base = collectors.Outcome{Result: collectors.Skipped, Why: end.why}
	case end.why != "":
		base = collectors.Outcome{Result: collectors.Failed, Why: end.why}
	case len(got) == 0:
		base = collectors.Outcome{Result: collectors.Failed, Why: whyNoBatch}
	case dropped > 0:
		base = collectors.Outcome{Result: collectors.Partial, Why: whyTooMany}
	}
	base.Why = collectors.Clip(base.Why, collectors.MaxText)
	if len(got) == 0 {
		return report{
			batches: []collectors.Batch{{Source: source, Outcome: base}},
			result:  base.Result,
			failed:  base.Result == collectors.Failed,
		}
	}
	var count [collectors.Skipped + 1]int
	for i := range got {
		b := &got[i]
		b.Source = source
		b.Outcome = worse(base, b.Outcome)
		if err := b.Validate(); err != nil {
			*b = collectors.Batch{Source: source, Outcome: collectors.Outcome{
				Result: collectors.Failed,
				Why:    collectors.Clip(fmt.Sprintf("batch %d of %d is not valid: %v", i+1, len(got), err), collectors.MaxText),
			}}
		}
		count[b.Outcome.Result]++
	}
	rep := report{batches: got, result: collectors.Partial}
	for r, n := range count {
		if n == len(got) {
			rep.result = collectors.Result(r)
		}
	}
	rep.failed = end.broke || rep.result == collectors.Failed
	return rep
}

// worse returns the worse of two outcomes, and the first of two that are equally
// bad. Its reason is kept within bounds.
func worse(a, b collectors.Outcome) collectors.Outcome {
	if b.Result > collectors.Skipped {
		return b // unknown, which Validate refuses
	}
	if badness(b.Result) > badness(a.Result) {
		b.Why = collectors.Clip(b.Why, collectors.MaxText)
		return b
	}
	return a
}

func badness(r collectors.Result) int {
	switch r {
	case collectors.OK:
		return 0
	case collectors.Skipped:
		return 1
	case collectors.Partial:
		return 2
	}
	return 3
}
