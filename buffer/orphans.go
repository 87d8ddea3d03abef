package buffer

import (
	"fmt"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// orphans are the schemas that the hub has asked for and that are not here: a part of
// the disk was lost, and with it the schemas of blocks that are whole. Mostly the hub
// has them already, or their source brings them again. Where neither happens their
// blocks would be pending for ever.
type orphans struct {
	mu    sync.Mutex
	asked map[block.ID]collectors.Stamp // since when
}

// forsakenAfter is how long a schema may be missing after the hub has asked for it.
// A device may be off for days, and with it what would bring its schema back.
const forsakenAfter = 7 * 24 * time.Hour

// maxOrphans is more than a site has sources.
const maxOrphans = 4096

// ask notes that a schema was asked for which is not here.
func (o *orphans) ask(id block.ID, now collectors.Stamp) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.asked == nil {
		o.asked = map[block.ID]collectors.Stamp{}
	}
	if _, ok := o.asked[id]; !ok && len(o.asked) < maxOrphans {
		o.asked[id] = now
	}
}

// due returns the schemas that have been missing for too long, and forgets them.
func (o *orphans) due(now collectors.Stamp) map[block.ID]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	var due map[block.ID]bool
	for id, since := range o.asked {
		if now < since.Add(forsakenAfter) {
			continue
		}
		if due == nil {
			due = map[block.ID]bool{}
		}
		due[id] = true
		delete(o.asked, id)
	}
	return due
}

// forsake drops pending blocks whose schema nobody has, and leaves gaps.
func (b *Buffer) forsake() error {
	due := b.orphans.due(b.opt.Clock.Now())
	if due == nil {
		return nil
	}
	b.io.Lock()
	defer b.io.Unlock()
	var blocks, readings int
	err := b.update(func(tx *store.Tx) error {
		blocks, readings = 0, 0
		for id := range due {
			if bytes, err := tx.SchemaBytes(id); err != nil {
				return err
			} else if bytes != nil {
				delete(due, id) // it has come back
			}
		}
		var gone []*store.Row
		err := tx.Rows(func(r *store.Row) error {
			for _, id := range r.Schemas() {
				if due[id] {
					gone = append(gone, r)
					break
				}
			}
			return nil
		}, "WHERE p.seq IS NOT NULL ORDER BY b.seq")
		if err != nil {
			return err
		}
		for _, r := range gone {
			for i := range r.Cover {
				c := &r.Cover[i]
				g := store.Gap{Epoch: r.Epoch, Source: c.Source, Range: c.Range(), T0: r.T0, T1: r.T1, Reason: ReasonDamaged}
				if err := tx.PutGap(b.probe, g); err != nil {
					return err
				}
			}
			if err := tx.Drop(r.Seq); err != nil {
				return err
			}
			blocks++
			readings += r.Readings
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("dropping blocks whose schema nobody has: %w", err)
	}
	b.dropped.Add(int64(readings))
	if blocks > 0 {
		b.log.Warn("blocks were dropped that nobody can read: their schemas were lost with a part of the disk", "blocks", blocks, "readings", readings)
	}
	return nil
}
