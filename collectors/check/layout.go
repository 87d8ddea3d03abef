package check

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// metric is one series of a kind of check, before it has its labels.
type metric struct {
	name, unit string
	kind       collectors.Kind
	key        string             // which of several series of the name it is
	labels     []collectors.Label // what it has beside the labels of the check
}

// commonMetrics are the first series of every check.
func commonMetrics() []metric {
	return []metric{
		{name: "probe_success", kind: collectors.State},
		{name: "probe_duration_seconds", unit: "seconds", kind: collectors.Gauge},
		{name: "probe_failure_reason", kind: collectors.Text},
		{name: "probe_dns_lookup_time_seconds", unit: "seconds", kind: collectors.Gauge},
	}
}

// phases are the series of a duration that is told phase by phase.
func phases(name string, phases ...string) []metric {
	ms := make([]metric, 0, len(phases))
	for _, p := range phases {
		ms = append(ms, labelled(name, "seconds", collectors.Gauge, "phase", p))
	}
	return ms
}

// labelled is a series of several of one name, which a label tells apart.
func labelled(name, unit string, kind collectors.Kind, label, value string) metric {
	return metric{name: name, unit: unit, kind: kind, key: value, labels: []collectors.Label{{Name: label, Value: value}}}
}

// layout is a schema and the metrics that it is of. It never changes.
type layout struct {
	schema  *collectors.Schema
	metrics []metric
}

func newLayout(source string, labels []collectors.Label, metrics []metric) layout {
	s := &collectors.Schema{Source: source}
	for _, m := range metrics {
		ls := slices.Clone(labels)
		ls = append(ls, m.labels...)
		s.Series = append(s.Series, collectors.Series{Metric: m.name, Unit: m.unit, Labels: ls, Kind: m.kind})
	}
	return layout{schema: s, metrics: metrics}
}

func (l layout) reading() *reading {
	return &reading{metrics: l.metrics, values: make([]collectors.Value, len(l.metrics))}
}

// reading is what one run of a check measured. What is not set is missing.
type reading struct {
	metrics []metric
	values  []collectors.Value
	extra   []sample // what came beside the check's own series
}

// sample is a series that a check has found rather than measured, and its value.
type sample struct {
	metric
	value collectors.Value
}

// set records a value. A metric that the check does not have is a mistake in this
// package, and every test would meet it; hence the panic.
func (r *reading) set(name, key string, v collectors.Value) {
	for i := range r.metrics {
		if r.metrics[i].name == name && r.metrics[i].key == key {
			r.values[i] = v
			return
		}
	}
	panic("check: no series " + name + " " + key)
}

// seconds is a duration as it is recorded: to the microsecond. Finer digits are
// noise that would cost bytes in every block.
func seconds(d time.Duration) collectors.Value {
	return collectors.GaugeValue(math.Round(d.Seconds()*1e6) / 1e6)
}

// flag is a yes or no as it is recorded.
func flag(b bool) collectors.Value {
	if b {
		return collectors.StateValue(1)
	}
	return collectors.StateValue(0)
}

// sorted lists labels by name, so that the same site file gives the same schema.
func sorted(labels map[string]string) []collectors.Label {
	ls := make([]collectors.Label, 0, len(labels))
	for n, v := range labels {
		ls = append(ls, collectors.Label{Name: n, Value: v})
	}
	slices.SortFunc(ls, func(a, b collectors.Label) int { return strings.Compare(a.Name, b.Name) })
	return ls
}
