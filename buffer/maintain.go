package buffer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
)

// Maintenance goes on beside everything else, a quarter of one core at most: blocks
// are read and made anew without any lock, and take the old ones' place in one short
// transaction, if those are still what they were.

// upkeep is what the buffer's maintenance works with. maintenance is held while
// blocks are made anew, and guards what stands below it; lentMu guards lent.
type upkeep struct {
	stopMaintaining context.CancelFunc
	maintaining     sync.WaitGroup

	maintenance sync.Mutex
	layouts     *block.Layouts
	unusable    map[int64]block.ID // blocks that cannot be unpacked
	schemaless  map[int64]block.ID // blocks that cannot be until a schema comes back
	packed      float64            // octets a value of such blocks, learned from those before
	compacted   int64              // wall time, Unix ms, up to which everything is compacted; 0: not known yet
	pressed     bool               // the budget is short
	barren      map[choice]bool    // of what there is nothing, as of barrenAt
	barrenAt    time.Time
	agedAt      int64 // wall time, Unix ms, of the newest batch at which to look for what is too old again

	lentMu sync.Mutex
	lent   map[int64]time.Time // blocks that are on their way, by number

	taught  atomic.Bool  // a schema was written since maintenance ran last
	acked   atomic.Bool  // something was delivered since barrenAt
	coarser atomic.Int64 // readings that became part of a rollup since Open
}

func newUpkeep() upkeep {
	return upkeep{packed: 0.5, unusable: map[int64]block.ID{}, schemaless: map[int64]block.ID{}, barren: map[choice]bool{}, lent: map[int64]time.Time{}}
}

// maintainEvery is how often it is looked whether there is something to do.
const maintainEvery = time.Minute

// maintainLoop is the goroutine of maintenance.
func (b *Buffer) maintainLoop(ctx context.Context) {
	tick := time.NewTimer(maintainEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		more, err := b.maintainOnce()
		if err != nil {
			b.log.Warn("the buffer's maintenance met an error; it goes on in its own time", "error", err)
		}
		wait := maintainEvery
		if more && err == nil {
			wait = 3 * time.Since(began)
		}
		tick.Reset(wait)
	}
}

// Maintain does all maintenance that is due: the daily sweep, compaction, telling
// alike events once, and downsampling. A running buffer does so by itself; this is
// for tests and for a buffer that is opened with Manual.
func (b *Buffer) Maintain() error {
	for {
		more, err := b.maintainOnce()
		if !more || err != nil {
			return err
		}
	}
}

// maintainOnce does one piece of it; more tells whether there may be another.
func (b *Buffer) maintainOnce() (more bool, err error) {
	b.maintenance.Lock()
	defer b.maintenance.Unlock()
	if b.taught.Swap(false) {
		clear(b.schemaless)
	}
	if err := b.sweepLarge(); err != nil {
		return false, err
	}
	if more, err = b.compactNext(); more || err != nil {
		return more, err
	}
	if more, err = b.coalesceNext(); more || err != nil {
		return more, err
	}
	return b.downsampleNext()
}
