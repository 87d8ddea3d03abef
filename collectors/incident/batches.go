package incident

import "github.com/siteprobe/siteprobe/collectors"

// Kinds of events of the daemon itself: from when it stopped to when it started nobody
// measured, whatever the edges say.
const (
	StartedEvent = "service_started"
	StoppedEvent = "service_stopped"
)

// Batches divides events into batches that keep to the bounds of package collectors, in
// order. Each event is made for the stamp of its batch, which is at or later.
func batches(at collectors.Stamp, events []func(collectors.Stamp) collectors.Event) (out []collectors.Batch) {
	b := collectors.Batch{Source: Source, At: at}
	text := 0
	for _, make := range events {
		e := make(b.At)
		n := textOf(&e)
		if len(b.Events) == collectors.MaxEvents || text+n > collectors.MaxBatchText {
			out = append(out, b)
			b = collectors.Batch{Source: Source, At: b.At + 1}
			e = make(b.At)
			n, text = textOf(&e), 0
		}
		b.Events = append(b.Events, e)
		text += n
	}
	if len(b.Events) > 0 {
		out = append(out, b)
	}
	return out
}

// textOf counts as [collectors.Batch.Validate] does.
func textOf(e *collectors.Event) int {
	n := len(e.Kind) + len(e.Text)
	for _, l := range e.Labels {
		n += len(l.Name) + len(l.Value)
	}
	return n
}
