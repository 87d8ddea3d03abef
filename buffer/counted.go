package buffer

import (
	"maps"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
)

// After an unclean end an epoch's file is checked against the blocks. A full buffer
// has a quarter of a million of them, too many to read before the box is of use
// again. So the database notes now and then, in the transaction of a commit, how
// far the current epoch had come: all its blocks up to that transaction are counted
// in the note, and only those after it are read. That the note is in the database
// and not beside it is what makes it true: what takes the blocks away takes it too.

// countEvery is how many blocks are committed between two notes.
const countEvery = 256

// count keeps the note where it is due, with blocks about to be the last ones up to
// head. The caller holds io, and sets countedAt once the transaction is committed.
func (b *Buffer) count(tx *store.Tx, head int64, blocks []*block.Block) (at int64, err error) {
	if head-b.countedAt < countEvery {
		return b.countedAt, nil
	}
	m := b.marks[b.epoch.ID]
	m.Next = maps.Clone(m.Next)
	for _, x := range blocks {
		if x.Epoch == b.epoch.ID {
			b.countIn(&m, x)
		}
	}
	return head, tx.PutCounted(b.epoch.ID, appendSlot(m, uint64(head)))
}

// counted returns an epoch's note and the number of the last block that it counts;
// 0 where there is none that can be read.
func counted(tx *store.Tx, epoch uint64) (m epochMark, upTo int64, err error) {
	b, err := tx.Counted(epoch)
	if err != nil || b == nil {
		return epochMark{}, 0, err
	}
	m, seq, err := parseSlot(b)
	if err != nil {
		return epochMark{}, 0, nil // it is damaged: all blocks are read
	}
	return m, int64(seq), nil
}
