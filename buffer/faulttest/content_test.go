package faulttest_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/siteprobe/siteprobe/collectors"
)

// sources are what a worker adds batches of.
func sources() []string { return []string{"device/core", "device/edge", "check/http", "check/ping"} }

// content makes the batch that a source gives at a stamp. It follows from the two
// alone, so that whoever finds a batch knows what must be in it. Some have no values,
// some have an event, and the schema changes now and then.
func content(source string, at collectors.Stamp) collectors.Batch {
	h := fnv.New64a()
	fmt.Fprint(h, source)
	r := rand.New(rand.NewPCG(h.Sum64(), uint64(at)))
	x := collectors.Batch{Source: source, At: at}
	switch r.IntN(12) {
	case 0:
		x.Outcome = collectors.Outcome{Result: collectors.Failed, Why: fmt.Sprint("no answer ", r.Uint32())}
		return x
	case 1:
		x.Events = []collectors.Event{{Kind: "test", Severity: collectors.Warning, Text: fmt.Sprint("event ", r.Uint32())}}
		return x
	}
	x.Schema = &collectors.Schema{Source: source}
	for i := range 16 + at>>22%3 { // another schema every hour or so
		s := collectors.Series{Metric: "octets", Kind: collectors.Counter, Labels: []collectors.Label{{Name: "port", Value: fmt.Sprint(i)}}}
		v := collectors.CounterValue(uint64(at)*uint64(i+1) + uint64(r.IntN(1000)))
		switch i % 4 {
		case 1:
			s.Metric, s.Kind, v = "load", collectors.Gauge, collectors.GaugeValue(r.Float64())
		case 2:
			s.Metric, s.Kind, v = "status", collectors.State, collectors.StateValue(int64(r.IntN(4)))
		case 3:
			v = collectors.CounterValue(r.Uint64())
		}
		x.Schema.Series, x.Values = append(x.Schema.Series, s), append(x.Values, v)
	}
	return x
}

// wrong tells what a batch that was read back has else than it was made with.
func wrong(got *collectors.Batch) string {
	want := content(got.Source, got.At)
	switch {
	case got.Outcome != want.Outcome:
		return fmt.Sprintf("outcome %+v, want %+v", got.Outcome, want.Outcome)
	case !slices.EqualFunc(got.Events, want.Events, func(a, b collectors.Event) bool { return a.Kind == b.Kind && a.Text == b.Text }):
		return fmt.Sprintf("events %+v, want %+v", got.Events, want.Events)
	case !slices.Equal(got.Values, want.Values):
		return fmt.Sprintf("%d values, which are not the %d that it had", len(got.Values), len(want.Values))
	case len(want.Values) > 0 && !slices.EqualFunc(got.Schema.Series, want.Schema.Series, func(a, b collectors.Series) bool { return a.String() == b.String() }):
		return "another schema"
	}
	return ""
}
