package main

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/schedule"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// tracker remembers each source's last outcome on the way to the buffer.
type tracker struct {
	next func(collectors.Batch)

	mu   sync.Mutex
	last map[string]wire.SourceState
}

func newTracker(next func(collectors.Batch)) *tracker {
	return &tracker{next: next, last: map[string]wire.SourceState{}}
}

// expect sets which sources there are; the others are forgotten.
func (t *tracker) expect(js []schedule.Job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := map[string]wire.SourceState{}
	for _, j := range js {
		s, ok := t.last[j.Source]
		if !ok {
			s = wire.SourceState{Source: j.Source, Result: "waiting"}
		}
		last[j.Source] = s
	}
	t.last = last
}

func (t *tracker) add(b collectors.Batch) {
	t.mu.Lock()
	if s, ok := t.last[b.Source]; ok && (b.Outcome.Result != collectors.Skipped || s.Result == "waiting" || s.Result == "skipped") {
		// A slot that was skipped while it backs off tells less than the failure before.
		res, why := result(&b)
		t.last[b.Source] = wire.SourceState{Source: b.Source, Result: res, Why: why, At: time.Now().UTC().Format(time.RFC3339)}
	}
	t.mu.Unlock()
	t.next(b)
}

// result is the outcome and why, or "down" for a check that was carried out and
// found so.
func result(b *collectors.Batch) (res, why string) {
	if b.Schema == nil || b.Outcome.Result != collectors.OK {
		return b.Outcome.Result.String(), b.Outcome.Why
	}
	res = b.Outcome.Result.String()
	for i := range b.Values {
		s, v := &b.Schema.Series[i], b.Values[i]
		switch {
		case v.Missing():
		case s.Metric == "probe_success":
			if f, _ := v.Float(s.Kind); f == 0 {
				res = "down"
			}
		case s.Metric == "probe_failure_reason":
			why = v.Text()
		}
	}
	return res, why
}

// devices counts the devices, and lists all sources, those with trouble first.
func (t *tracker) devices() (d wire.Devices) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for source, s := range t.last {
		if strings.HasPrefix(source, "device/") {
			d.Total++
			switch s.Result {
			case "ok", "partial":
				d.Answering++
			case "waiting":
				d.Waiting++
			}
		}
		d.List = append(d.List, s)
	}
	rank := map[string]int{"failed": 0, "down": 0, "partial": 1, "skipped": 2, "waiting": 3, "ok": 4}
	slices.SortFunc(d.List, func(a, b wire.SourceState) int {
		return cmp.Or(cmp.Compare(rank[a.Result], rank[b.Result]), cmp.Compare(a.Source, b.Source))
	})
	return d
}
