package block

import (
	"hash/maphash"
	"sync"

	"github.com/siteprobe/siteprobe/collectors"
)

// Layouts remembers of schemas what it takes to decode a block and to encode it
// again: the metrics and kinds, without the labels. Devices of one make have that in
// common, so a few lists serve hundreds of schemas; whole they would take a hundred
// times the memory. It is safe for use by several goroutines.
type Layouts struct {
	codec *Codec
	seed  maphash.Seed

	mu     sync.Mutex
	named  map[ID]*collectors.Schema
	shared map[uint64][]collectors.Series
}

// maxLayouts bounds how many schemas are remembered; beyond it all are read anew.
const maxLayouts = 4096

// NewLayouts returns an empty memory.
func (c *Codec) NewLayouts() *Layouts {
	l := &Layouts{codec: c, seed: maphash.MakeSeed()}
	l.forget()
	return l
}

func (l *Layouts) forget() {
	l.named, l.shared = map[ID]*collectors.Schema{}, map[uint64][]collectors.Series{}
}

// Schema returns a schema without labels and units, nil where read gives no bytes of
// one. It is for [Codec.Decode], [Codec.Encode] and [Roller] only.
func (l *Layouts) Schema(id ID, read func(ID) ([]byte, error)) (*collectors.Schema, error) {
	l.mu.Lock()
	s := l.named[id]
	l.mu.Unlock()
	if s != nil {
		return s, nil
	}
	b, err := read(id)
	if err != nil || b == nil {
		return nil, err
	}
	_, whole, err := l.codec.DecodeSchema(b)
	if err != nil {
		return nil, nil // as good as not there
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.named) >= maxLayouts {
		l.forget()
	}
	s = &collectors.Schema{Source: whole.Source, Series: l.share(whole.Series)}
	l.named[id] = s
	return s, nil
}

// share returns a list of the same metrics and kinds, if possible one that there is.
func (l *Layouts) share(series []collectors.Series) []collectors.Series {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for i := range series {
		_, _ = h.WriteString(series[i].Metric) // never fails
		_ = h.WriteByte(byte(series[i].Kind))
	}
	known := l.shared[h.Sum64()]
	if alike(known, series) {
		return known
	}
	out := make([]collectors.Series, len(series))
	for i := range series {
		out[i] = collectors.Series{Metric: series[i].Metric, Kind: series[i].Kind}
	}
	l.shared[h.Sum64()] = out
	return out
}

func alike(a, b []collectors.Series) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Metric != b[i].Metric || a[i].Kind != b[i].Kind {
			return false
		}
	}
	return true
}
