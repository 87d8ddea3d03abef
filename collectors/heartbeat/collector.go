package heartbeat

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Interval is how often a job is looked at. It costs nothing.
const Interval = time.Minute

// Collector tells how a job is. It does no I/O, and may be used concurrently.
type Collector struct {
	job    Job
	book   *Book
	schema *collectors.Schema
}

// NewCollector makes the collector of a job of a book.
func NewCollector(job Job, book *Book) *Collector {
	labels := []collectors.Label{{Name: "heartbeat", Value: job.Name}}
	if job.Device != "" {
		labels = append(labels, collectors.Label{Name: "device", Value: job.Device})
	}
	s := &collectors.Schema{Source: job.Source()}
	for _, m := range []collectors.Series{
		{Metric: "probe_success", Kind: collectors.State},
		{Metric: "probe_failure_reason", Kind: collectors.Text},
		{Metric: "siteprobe_heartbeat_age_seconds", Unit: "seconds", Kind: collectors.Gauge},
		{Metric: "siteprobe_heartbeat_calls_total", Kind: collectors.Counter},
		{Metric: "siteprobe_heartbeat_message", Kind: collectors.Text},
	} {
		m.Labels = labels
		s.Series = append(s.Series, m)
	}
	return &Collector{job: job, book: book, schema: s}
}

// Collect emits one batch.
func (c *Collector) Collect(ctx context.Context, emit func(collectors.Batch)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := c.book.state(c.job.Name)
	if !s.known {
		return errors.New("the job is not waited for yet")
	}
	values := make([]collectors.Value, len(c.schema.Series))
	switch v, reason := judge(s, c.job); v {
	case up:
		values[0] = collectors.StateValue(1)
	case down:
		values[0], values[1] = collectors.StateValue(0), collectors.TextValue(reason)
	}
	if s.reported {
		values[2] = collectors.GaugeValue(math.Round(s.age.Seconds()))
	}
	values[3] = collectors.CounterValue(s.calls)
	if s.message != "" {
		values[4] = collectors.TextValue(s.message)
	}
	emit(collectors.Batch{Source: c.schema.Source, Schema: c.schema, Values: values})
	return nil
}

type verdict int

const (
	open verdict = iota // nobody can say yet
	up
	down
)

// judge says how a job is. A report of failure counts until the next report, however
// old it is; silence only if its length is certain.
func judge(s state, job Job) (verdict, string) {
	late := s.age > job.Every+job.Grace
	switch {
	case late && !s.sure:
		return open, ""
	case late && !s.reported:
		return down, "heartbeat: never came"
	case late:
		return down, "heartbeat: overdue"
	case !s.reported:
		return open, ""
	case s.failed:
		return down, "heartbeat: job reported failure"
	}
	return up, ""
}
