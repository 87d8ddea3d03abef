package buffer

import (
	"slices"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
)

// maxWaiters bounds for how many batches somebody may wait at once.
const maxWaiters = 4096

// waiter is somebody who waits for a batch to be committed.
type waiter struct {
	epoch  uint64
	source string
	n      uint64
	done   func(kept bool)
}

// AddWaiting is [Buffer.Add] for one who may promise something only once the batch is
// safe, such as the answer to an SNMP inform. done is called once for a batch that was
// taken: with true after the commit that holds it has succeeded, and with false where it
// was lost: it was outside the bounds, memory had no room for it while the disk failed,
// or the buffer closed. (False also where the disk failed between the commit and the file
// that counts it: who promises nothing then is right in any case.) It is called during
// the commit or within a call of the buffer, AddWaiting itself included, so it must be
// quick and must not use the buffer.
//
// The events of such a batch are not held back where they come fast, as Add's are:
// one that was only counted is not kept, and the caller has to bound their number
// himself. It tells whether the batch was taken: not by a buffer that is closed, nor
// while too many wait.
func (b *Buffer) AddWaiting(x collectors.Batch, done func(kept bool)) (taken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.awaitRoom()
	if b.closed || len(b.waiters) >= maxWaiters {
		return false
	}
	b.add(x, done)
	b.at(PointIngest)
	return true
}

// answer tells those who wait for a batch of the blocks what has become of it.
func (b *Buffer) answer(blocks []*block.Block, kept bool) {
	for _, w := range b.leave(blocks) {
		w.done(kept)
	}
}

// leave takes those who wait for a batch of the blocks off the list.
func (b *Buffer) leave(blocks []*block.Block) (left []waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiters) == 0 {
		return nil
	}
	for _, x := range blocks {
		for i := range x.Cover {
			c := &x.Cover[i]
			left = append(left, b.unwait(x.Epoch, c.Source, c.Range())...)
		}
	}
	return left
}

// unwait takes those who wait for one of some batches off the list. The caller holds
// mu.
func (b *Buffer) unwait(epoch uint64, source string, r block.Range) (left []waiter) {
	b.waiters = slices.DeleteFunc(b.waiters, func(w waiter) bool {
		is := w.epoch == epoch && w.source == source && r.First <= w.n && w.n < r.End
		if is {
			left = append(left, w)
		}
		return is
	})
	return left
}

// disappoint tells those who wait for the batches of a block that will not be. The
// caller holds mu.
func (b *Buffer) disappoint(w *builder) {
	if len(b.waiters) == 0 {
		return
	}
	for i := range w.sections {
		s := &w.sections[i]
		for _, left := range b.unwait(w.head.Epoch, s.Batches[0].Source, block.Range{First: s.First, End: s.First + uint64(len(s.Batches))}) {
			left.done(false)
		}
	}
}

// disappointAll tells all who wait: the buffer has closed.
func (b *Buffer) disappointAll() {
	b.mu.Lock()
	left := b.waiters
	b.waiters = nil
	b.mu.Unlock()
	for _, w := range left {
		w.done(false)
	}
}
