package buffer

import (
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
)

// Forecast is for how many days of outage, from now on and at the present rate, the
// budget lasts: with every reading kept as it is, with all but the newest as rollups
// of a quarter of an hour, and with those as rollups of an hour. After the last,
// readings are dropped.
type Forecast struct{ Raw, Quarter, Hour float64 }

// load is what a forecast is worked out from.
type load struct {
	capacity int64         // octets that blocks may take
	pending  int64         // octets that wait already
	written  int64         // octets of fresh blocks
	in       time.Duration // that were written in this time
	ratio    [3]float64    // what a fresh octet becomes when it is compacted, or rolled up by tier
}

// The ratios before any was measured: those of the reference mix.
var firstRatios = [3]float64{block.Raw: 0.35, block.Quarter: 0.04, block.Hour: 0.012}

// enough time and octets for a rate to mean something.
const (
	enoughTime   = 2 * time.Minute
	enoughOctets = 10 << 10
)

// forecast works it out; ok is false while there is too little to go by.
func forecast(l load) (f Forecast, ok bool) {
	if l.in < enoughTime || l.written < enoughOctets {
		return f, false
	}
	perDay := float64(l.written) * float64(24*time.Hour) / float64(l.in)
	days := func(t block.Tier) float64 {
		// What waits already becomes coarser, too.
		waits := float64(l.pending) * l.ratio[t] / l.ratio[block.Raw]
		return max(0, float64(l.capacity)*pressedAt/100-waits) / (perDay * l.ratio[t])
	}
	return Forecast{days(block.Raw), days(block.Quarter), days(block.Hour)}, true
}

// measured takes in what blocks became.
func (b *Buffer) measured(to, from block.Tier, before, after int) {
	if before == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	is := float64(after) / float64(before)
	if to != block.Raw {
		is *= b.ratio[from]
	}
	b.ratio[to] += (is - b.ratio[to]) / 8
}
