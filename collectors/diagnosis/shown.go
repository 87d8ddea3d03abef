package diagnosis

import (
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Source is the source of this package's batches.
const Source = "diagnosis"

// schema lays out a look: the verdict, and of each stage whether it is well and how
// long it took.
func schema() *collectors.Schema {
	s := &collectors.Schema{Source: Source, Series: []collectors.Series{
		{Metric: "siteprobe_verdict", Kind: collectors.Text},
		{Metric: "siteprobe_verdict_owner", Kind: collectors.Text},
		{Metric: "siteprobe_verdict_ok", Kind: collectors.State},
	}}
	for st := range stages {
		l := []collectors.Label{{Name: "stage", Value: st.String()}}
		s.Series = append(s.Series,
			collectors.Series{Metric: "siteprobe_stage_success", Labels: l, Kind: collectors.State},
			collectors.Series{Metric: "siteprobe_stage_duration_seconds", Unit: "seconds", Labels: l, Kind: collectors.Gauge})
	}
	return s
}

// emit hands over a look at little: only the stages that were looked at.
func (r *Runner) emit(at collectors.Stamp, fs []Fact, took map[Stage]time.Duration) {
	r.hand(at, fs, took, r.current.verdict)
}

func (r *Runner) emitVerdict(at collectors.Stamp, fs []Fact, took map[Stage]time.Duration, v Verdict) {
	r.hand(at, fs, took, v)
}

func (r *Runner) hand(at collectors.Stamp, fs []Fact, took map[Stage]time.Duration, v Verdict) {
	if r.opt.Emit == nil {
		return
	}
	values := make([]collectors.Value, len(r.series.Series))
	values[0], values[1], values[2] = collectors.TextValue(string(v.Code)), collectors.TextValue(string(v.Owner)), collectors.StateValue(one(!v.Bad()))
	for st := range stages {
		looked, fine, ms := false, true, int64(0)
		for _, f := range fs {
			if f.Stage != st || f.Result != Works && (f.Result != Fails || r.base.isPolicy(f)) {
				continue
			}
			looked = true
			fine = fine && f.Result == Works
			ms = max(ms, f.TookMS)
		}
		if looked {
			values[3+2*st] = collectors.StateValue(one(fine))
			d := time.Duration(ms) * time.Millisecond
			if t, ok := took[st]; ok {
				d = t
			}
			values[4+2*st] = collectors.GaugeValue(d.Seconds())
		}
	}
	r.opt.Emit(collectors.Batch{Source: Source, At: at, Schema: r.series, Values: values})
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// shared is what others may read while the runner runs.
type shared struct {
	mu      sync.Mutex
	verdict Verdict
	first   collectors.Stamp
	base    Baseline
}

func (r *Runner) publish() {
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	r.shared.verdict, r.shared.first, r.shared.base = r.current.verdict, r.current.first, r.base
}

// Verdict is the one in force and since when there is evidence for it.
func (r *Runner) Verdict() (Verdict, collectors.Stamp) {
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	return r.shared.verdict, r.shared.first
}

// Baseline is what was learned so far. Nobody may change it.
func (r *Runner) Baseline() Baseline {
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	return r.shared.base
}
