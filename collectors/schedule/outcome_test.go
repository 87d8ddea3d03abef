package schedule

import (
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
)

var schema = &collectors.Schema{Source: "src", Series: []collectors.Series{{Metric: "m", Kind: collectors.Gauge}}}

func good() collectors.Batch {
	return collectors.Batch{Schema: schema, Values: []collectors.Value{collectors.GaugeValue(1)}}
}

func with(r collectors.Result, why string) collectors.Batch {
	b := good()
	b.Outcome = collectors.Outcome{Result: r, Why: why}
	return b
}

func TestSettle(t *testing.T) {
	type batches = []collectors.Batch
	invalid := good()
	invalid.Values = nil
	invalid.Values = append(invalid.Values, collectors.Value{}, collectors.Value{})
	foreign := good()
	foreign.Schema = &collectors.Schema{Source: "other", Series: schema.Series}
	long := strings.Repeat("é", collectors.MaxText)

	for _, c := range []struct {
		name    string
		got     batches
		dropped int
		end     ending
		want    []string // result and why of each batch
		result  collectors.Result
		failed  bool
	}{
		{"ok", batches{good(), good()}, 0, ending{}, []string{"ok", "ok"}, collectors.OK, false},
		{"error after a batch", batches{good()}, 0, ending{why: "boom"}, []string{"partial boom"}, collectors.Partial, false},
		{"error and no batch", nil, 0, ending{why: "boom"}, []string{"failed boom"}, collectors.Failed, true},
		{"nothing at all", nil, 0, ending{}, []string{"failed gave no batch"}, collectors.Failed, true},
		{"too many", batches{good()}, 3, ending{}, []string{"partial " + whyTooMany}, collectors.Partial, false},
		{"own outcome is kept", batches{with(collectors.Failed, "refused"), good()}, 0, ending{}, []string{"failed refused", "ok"}, collectors.Partial, false},
		{"all failed by themselves", batches{with(collectors.Failed, "refused")}, 0, ending{}, []string{"failed refused"}, collectors.Failed, true},
		{"the worse of two wins", batches{with(collectors.Failed, "refused"), with(collectors.Partial, "x")}, 0, ending{why: "boom"}, []string{"failed refused", "partial boom"}, collectors.Partial, false},
		{"skipped by itself", batches{with(collectors.Skipped, "no internet here")}, 0, ending{}, []string{"skipped no internet here"}, collectors.Skipped, false},
		{"unknown result", batches{with(9, "")}, 0, ending{}, []string{"failed batch 1 of 1 is not valid: unknown result 9"}, collectors.Failed, true},
		{"invalid", batches{good(), invalid}, 0, ending{}, []string{"ok", "failed batch 2 of 2 is not valid: 2 values for 1 series"}, collectors.Partial, false},
		{"schema of another source", batches{foreign}, 0, ending{}, []string{`failed batch 1 of 1 is not valid: schema of source "other"`}, collectors.Failed, true},
		{"cancelled before anything", nil, 0, ending{why: whyStopped, cancelled: true}, []string{"skipped " + whyStopped}, collectors.Skipped, false},
		{"cancelled midway", batches{good()}, 0, ending{why: whyStopped, cancelled: true}, []string{"partial " + whyStopped}, collectors.Partial, false},
		{"hung after a batch", batches{good()}, 0, ending{why: whyHung, broke: true}, []string{"partial " + whyHung}, collectors.Partial, true},
		{"panicked", nil, 0, ending{why: whyPanicked, broke: true}, []string{"failed " + whyPanicked}, collectors.Failed, true},
		{"long reason", nil, 0, ending{why: long}, []string{"failed " + collectors.Clip(long, collectors.MaxText)}, collectors.Failed, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep := settle("src", c.got, c.dropped, c.end)
			if rep.result != c.result || rep.failed != c.failed {
				t.Errorf("result %v, failed %v; want %v, %v", rep.result, rep.failed, c.result, c.failed)
			}
			if len(rep.batches) != len(c.want) {
				t.Fatalf("%d batches, want %d", len(rep.batches), len(c.want))
			}
			for i, b := range rep.batches {
				if got := strings.TrimSpace(b.Outcome.Result.String() + " " + b.Outcome.Why); got != c.want[i] {
					t.Errorf("batch %d: %q, want %q", i, got, c.want[i])
				}
				if err := b.Validate(); err != nil || b.Source != "src" {
					t.Errorf("batch %d of source %q: %v", i, b.Source, err)
				}
			}
		})
	}
}

func TestConfigValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"workers:":       func(c *Config) { c.Workers = 0 },
		"per_device:":    func(c *Config) { c.PerGroup = 0 },
		"backoff_after:": func(c *Config) { c.BackoffAfter = -1 },
		"backoff_max:":   func(c *Config) { c.BackoffMax = -1 },
		"spread:":        func(c *Config) { c.Spread = -1 },
		"grace:":         func(c *Config) { c.Grace = 0 },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s...", err, want)
		}
	}
}
