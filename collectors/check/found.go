package check

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/siteprobe/siteprobe/collectors"
)

// Bounds of what a check finds. The schema of a full one stays below
// collectors.MaxSchema.
const (
	maxFound       = 500      // series
	maxFoundOctets = 32 << 10 // of their names and labels together
)

func fits(series, octets int) bool { return series < maxFound && octets <= maxFoundOctets }

// found keeps the series that collections have found so far, and their schema: the
// same series give the same pointer. One that is not there this time is a missing
// value, so a series that comes and goes makes no new schema each time.
type found struct {
	mu     sync.Mutex
	at     map[string]int // the place of each series, by its id
	list   []metric
	octets int
	schema *collectors.Schema
}

// with lays a reading out: the check's own series, then those that were found.
func (f *found) with(own layout, r *reading) (*collectors.Schema, []collectors.Value) {
	f.mu.Lock()
	defer f.mu.Unlock()
	common := own.schema.Series[0].Labels // the first has none of its own
	if f.learn(r.extra, octetsOf(common)) || f.schema == nil {
		more := newLayout(own.schema.Source, common, f.list)
		f.schema = own.schema
		if len(f.list) > 0 {
			f.schema = &collectors.Schema{Source: own.schema.Source, Series: slices.Concat(own.schema.Series, more.schema.Series)}
		}
	}
	values := append(r.values, make([]collectors.Value, len(f.list))...)
	for _, s := range r.extra {
		if i, ok := f.at[s.id()]; ok {
			values[len(r.values)+i] = s.value
		}
	}
	return f.schema, values
}

func octetsOf(labels []collectors.Label) (n int) {
	for _, l := range labels {
		n += len(l.Name) + len(l.Value)
	}
	return n
}

// learn adds the series that are new, and tells whether there were any. Where they do
// not fit beside those before, those before are forgotten.
func (f *found) learn(extra []sample, common int) (changed bool) {
	for try := range 2 {
		full := false
		for _, s := range extra {
			id := s.id()
			if _, ok := f.at[id]; ok {
				continue
			}
			size := len(id) + common
			if full = !fits(len(f.list), f.octets+size); full {
				break
			}
			if f.at == nil {
				f.at = map[string]int{}
			}
			f.at[id], changed = len(f.list), true
			f.list = append(f.list, s.metric)
			f.octets += size
		}
		if !full || try > 0 {
			break
		}
		f.at, f.list, f.octets = nil, nil, 0
	}
	return changed
}

// id tells a series from all others that a check finds.
func (m *metric) id() string {
	var b strings.Builder
	b.WriteString(m.name)
	for _, l := range m.labels {
		b.WriteByte(',')
		b.WriteString(l.Name)
		b.WriteByte('=')
		b.WriteString(strconv.Quote(l.Value))
	}
	return b.String()
}
