package buffer

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// eventDelay bounds how long an event waits for its commit.
const eventDelay = 100 * time.Millisecond

// aliveEvery is how often Beat rises at least.
const aliveEvery = 5 * time.Second

// maxWaiting is how many octets of full blocks wait for the timer: a commit costs the
// disk several pages whatever is in it.
const maxWaiting = 512 << 10

// commitLoop commits on the timer, when much waits, soon after an event, and when
// asked to.
func (b *Buffer) commitLoop() {
	defer close(b.done)
	tick := time.NewTicker(b.cfg.Commit)
	defer tick.Stop()
	soon := time.NewTimer(eventDelay)
	soon.Stop()
	again := time.NewTimer(mostRetry)
	defer again.Stop()
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	full, event, due, retry := b.full, b.event, tick.C, again.C
	if b.opt.Manual {
		full, event, due, retry = nil, nil, nil, nil
	}
	for {
		b.beat.Add(1)
		var reply chan error
		select {
		case <-b.stop:
			return
		case <-alive.C:
			continue
		case <-due:
		case <-full:
			if !b.packFull() {
				continue
			}
		case <-event:
			soon.Reset(eventDelay)
			continue
		case <-soon.C:
		case <-retry:
		case d := <-b.damage:
			b.repair(d)
			continue
		case reply = <-b.flush:
		}
		b.io.Lock()
		err := b.attempt(reply != nil)
		if b.ail.err != nil {
			again.Reset(time.Until(b.ail.retry))
		}
		b.io.Unlock()
		if reply != nil {
			reply <- err
		}
	}
}

// commit writes all that was added, each portion in one transaction, then the
// epoch file, then tells the sender. The caller holds io.
func (b *Buffer) commit() error {
	b.tried = time.Now()
	if b.ail.err != nil {
		if err := b.resume(); err != nil {
			err = b.failed(err)
			b.take(false)
			return err
		}
	}
	b.take(true)
	b.tried = time.Now() // packing is not the disk's time
	if err := b.keepLost(); err != nil {
		return b.failed(err)
	}
	if len(b.unsaved) == 0 {
		b.recovered()
		return b.trim()
	}
	if b.opt.Sealed != nil {
		for _, x := range b.unsaved {
			b.opt.Sealed(x)
		}
	}
	b.at(PointCommit)
	for len(b.unsaved) > 0 {
		if err := b.save(b.portion()); err != nil {
			return b.failed(fmt.Errorf("committing to the buffer: %w", err))
		}
	}
	b.uses = map[block.ID]*collectors.Schema{}
	maps.DeleteFunc(b.begun, func(id uint64, _ store.Epoch) bool { return id != b.epoch.ID })
	b.commits.Add(1)
	if err := b.checkpoint(); err != nil {
		return b.failed(err)
	}
	b.recovered()
	return b.trim()
}

// checkpoint copies the log into the database when it has become long.
func (b *Buffer) checkpoint() error {
	if b.logged < b.opt.LogBytes {
		return nil
	}
	b.at(PointCheckpoint)
	if err := b.st.Load().Checkpoint(); err != nil {
		return err
	}
	b.logged = 0
	b.at(PointCopied)
	return nil
}

// maxPortion bounds what one transaction writes, in octets.
const maxPortion = 4 << 20

// portion is how many of the unsaved blocks the next transaction takes: no more
// than there is room for once older blocks are gone, or a burst larger than the
// budget could never be written.
func (b *Buffer) portion() (n int) {
	if b.ail.err != nil && !b.ail.passed {
		return 1 // a disk that still refuses has to be asked at little cost
	}
	most := min(b.capacity()/4, maxPortion)
	for n = 1; n < len(b.unsaved) && incoming(b.unsaved[:n+1]) <= most; n++ {
	}
	return n
}

// save commits the first n unsaved blocks. An error leaves in unsaved what may
// not have been written.
func (b *Buffer) save(n int) error {
	blocks := b.unsaved[:n]
	schemas := b.schemasFor(blocks, n == len(b.unsaved))
	more := incoming(blocks)
	for _, bytes := range schemas {
		more += int64(len(bytes)) + 512
	}
	var head, countedAt int64
	rows := map[uint64]bool{}
	b.dropping = 0
	err := b.st.Load().Update(func(tx *store.Tx) (err error) {
		if err := b.makeRoom(tx, more); err != nil {
			return err
		}
		for id, bytes := range schemas {
			if err := tx.PutSchema(id, bytes); err != nil {
				return fmt.Errorf("keeping a schema: %w", err)
			}
		}
		var here map[block.ID]bool
		if b.ail.err != nil { // a commit that failed may have happened all the same
			if here, err = tx.Present(b.probe, blocks); err != nil {
				return err
			}
		}
		for _, x := range blocks {
			if err := b.put(tx, x, here[x.ID], rows); err != nil {
				return err
			}
		}
		if err := tx.CorrectTimes(b.probe); err != nil {
			return err
		}
		if head, err = tx.LastSeq(); err != nil {
			return err
		}
		countedAt, err = b.count(tx, head, blocks)
		return err
	})
	if err != nil {
		return err
	}
	b.ail.passed = true
	maps.Copy(b.rows, rows)
	b.countedAt = countedAt
	b.dropped.Add(b.dropping)
	b.unsaved = b.unsaved[n:]
	b.logged += more
	for id := range schemas {
		delete(b.schemas, id)
		b.taught.Store(true)
	}
	b.at(PointCommitted)
	if err := b.mark(blocks); err != nil {
		b.answer(blocks, false)
		return err
	}
	b.at(PointMarked)
	b.head.Store(head)
	for _, x := range blocks {
		b.written.Add(int64(x.Readings))
		b.octets.Add(int64(len(x.Bytes)))
		if b.opt.Committed != nil {
			b.opt.Committed(x)
		}
	}
	b.answer(blocks, true)
	wake(b.committed)
	return nil
}

// put keeps one block, unless it is here, and its epoch's row with the first; rows
// notes which were written.
func (b *Buffer) put(tx *store.Tx, x *block.Block, here bool, rows map[uint64]bool) error {
	if err := b.putEpoch(tx, x.Epoch, rows); err != nil || here {
		return err
	}
	return tx.PutBlock(b.probe, x, true)
}

// putEpoch keeps an epoch's row if there is none; rows notes which were written.
func (b *Buffer) putEpoch(tx *store.Tx, epoch uint64, rows map[uint64]bool) error {
	e, ok := b.begun[epoch]
	if !ok || b.rows[epoch] || rows[epoch] {
		return nil
	}
	if err := tx.PutEpoch(b.probe, e); err != nil {
		return err
	}
	rows[epoch] = true
	return nil
}

// schemasFor returns the schemas that are to be written with the blocks: those
// that they need, and with the last blocks the rest.
func (b *Buffer) schemasFor(blocks []*block.Block, last bool) map[block.ID][]byte {
	if last {
		return maps.Clone(b.schemas)
	}
	out := map[block.ID][]byte{}
	for _, x := range blocks {
		for _, id := range x.Schemas() {
			if bytes, ok := b.schemas[id]; ok {
				out[id] = bytes
			}
		}
	}
	return out
}

// take encodes what was added since the last commit into unsaved: all of it, or
// only the blocks that are full, which take far less memory then.
func (b *Buffer) take(all bool) {
	b.mu.Lock()
	for class := range b.open {
		if all {
			b.seal(block.Class(class))
		}
	}
	filled, fresh := b.filled, b.fresh
	b.filled, b.fresh = nil, map[block.ID][]byte{}
	spilled := b.spilled
	b.spilled, b.stalled = losses{}, false
	b.room.Broadcast()
	b.mu.Unlock()
	for id, bytes := range fresh {
		b.schemas[id] = bytes
	}
	for _, w := range filled {
		blocks, err := w.encode(b.codec)
		if err != nil {
			// Its batches have numbers that no block will hold: the next account finds them.
			b.log.Error("a block cannot be encoded and is lost", "sources", len(w.sections), "error", err)
			b.mu.Lock()
			b.disappoint(w)
			b.mu.Unlock()
			continue
		}
		w.schemas(func(id block.ID, s *collectors.Schema) { b.uses[id] = s })
		b.unsaved = append(b.unsaved, blocks...)
		b.learn(w, blocks)
	}
	b.lost.merge(spilled)
	if b.ail.err != nil {
		b.bound()
	}
}

// packFull encodes the blocks that are full, and tells whether so much waits by now
// that it has to be committed.
func (b *Buffer) packFull() bool {
	b.io.Lock()
	defer b.io.Unlock()
	b.take(false)
	size := 0
	for _, x := range b.unsaved {
		size += len(x.Bytes)
	}
	return size >= maxWaiting
}

// learn keeps the estimate of octets a value near what blocks really take.
func (b *Buffer) learn(w *builder, blocks []*block.Block) {
	if w.cells < 100 {
		return
	}
	size := 0
	for _, x := range blocks {
		size += len(x.Bytes)
	}
	got := max(0.05, float64(size-min(size, w.overhead))/float64(w.cells))
	b.mu.Lock()
	b.perCell += (got - b.perCell) / 4
	b.mu.Unlock()
}

// mark counts the blocks in the file of every epoch that they are of.
func (b *Buffer) mark(blocks []*block.Block) error {
	touched := map[uint64]bool{}
	for _, x := range blocks {
		m := b.marks[x.Epoch]
		b.countIn(&m, x)
		b.marks[x.Epoch] = m
		touched[x.Epoch] = true
	}
	return b.writeMarks(touched)
}

// writeMarks writes the files of some epochs.
func (b *Buffer) writeMarks(touched map[uint64]bool) error {
	for id := range touched {
		write := b.writeMark
		if id == b.epoch.ID {
			write = func(_ uint64, m epochMark) error { return b.file.write(m) }
		}
		if err := write(id, b.marks[id]); err != nil {
			return err
		}
	}
	return nil
}

// countIn counts a block that is committed now in its epoch's mark.
func (b *Buffer) countIn(m *epochMark, x *block.Block) {
	if m.Next == nil {
		m.Next = map[string]uint64{}
	}
	for i := range x.Cover {
		c := &x.Cover[i]
		m.Next[c.Source] = max(m.Next[c.Source], c.Range().End)
	}
	at := b.opt.Clock.Now()
	offset, sure := b.offset()
	m.LastCommit, m.At, m.Sure = int64(at)+offset, at, sure
	m.Was = offset == b.clock.known.Load()
	m.Boot = x.Boot
	if e, ok := b.begun[x.Epoch]; ok {
		m.N = e.N
	}
}

// damage is what was met in a database outside of a commit.
type damage struct {
	st  *store.Store
	err error
}

// view and update are the store's; the caller of update holds io. Damage that they
// meet is not left for a commit to find, which may never touch that page: nothing
// could be sent any more. A write that fails is trouble whoever makes it.
func (b *Buffer) view(f func(*store.Tx) error) error {
	st := b.st.Load()
	return b.noticed(st, st.View(f))
}

func (b *Buffer) update(f func(*store.Tx) error) error {
	if err := b.st.Load().Update(f); err != nil {
		if store.Damaged(err) || store.Disk(err) && !errors.Is(err, store.ErrNotOpen) {
			return b.failed(err)
		}
		return err
	}
	return nil
}

func (b *Buffer) noticed(st *store.Store, err error) error {
	if store.Damaged(err) {
		select {
		case b.damage <- damage{st, err}:
		default: // somebody has said so already
		}
	}
	return err
}

// repair sets aside a database that was found damaged, unless another has
// taken its place since.
func (b *Buffer) repair(d damage) {
	b.io.Lock()
	defer b.io.Unlock()
	if b.st.Load() == d.st {
		_ = b.failed(fmt.Errorf("using the buffer: %w", d.err)) // it is the error that came in
	}
}
