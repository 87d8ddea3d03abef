package buffer

import (
	"errors"
	"fmt"
	"time"

	"github.com/siteprobe/siteprobe/buffer/store"
)

// dropBad deletes the rows that were met since and are damaged. A block that was
// pending leaves a gap, as far as its head can be believed; what else was in it the
// next account finds missing. A schema that is still in use is written anew with
// the next batch. The caller holds io.
func (b *Buffer) dropBad() error {
	blocks, schemas := b.st.Load().Bad()
	if len(blocks)+len(schemas) == 0 {
		return nil
	}
	readings, differs := 0, false
	err := b.st.Load().Update(func(tx *store.Tx) error {
		readings = 0
		for _, seq := range blocks {
			lost, err := tx.Mend(seq)
			if errors.Is(err, store.ErrDiffers) {
				differs = true
				continue
			}
			if err != nil {
				return err
			}
			if lost == nil {
				continue
			}
			readings += lost.Readings
			gaps, err := b.gapsOf(tx, lost, ReasonDamaged)
			if err != nil {
				return err
			}
			for _, g := range gaps {
				if g.End = min(g.End, b.marks[g.Epoch].Next[g.Source]); g.First >= g.End {
					continue
				}
				if err := tx.PutGap(b.probe, g); err != nil {
					return err
				}
			}
		}
		for _, id := range schemas {
			if err := tx.DropSchema(id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("dropping what is damaged: %w", err)
	}
	b.dropped.Add(int64(readings))
	if len(schemas) > 0 {
		b.mu.Lock()
		clear(b.named)
		b.mu.Unlock()
	}
	if differs && time.Since(b.differed) > time.Minute {
		b.differed = time.Now()
		return store.ErrDiffers // opened anew, both go by the file
	}
	b.log.Warn("rows of the buffer's database were damaged and are gone", "blocks", len(blocks), "schemas", len(schemas))
	return nil
}
