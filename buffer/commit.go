package buffer

import (
	"fmt"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
)

// eventDelay bounds how long an event waits for its commit.
const eventDelay = 100 * time.Millisecond

// aliveEvery is how often Beat rises at least.
const aliveEvery = 5 * time.Second

// commitLoop commits on the timer, when a block is full, soon after an event, and
// when asked to.
func (b *Buffer) commitLoop() {
	defer close(b.done)
	tick := time.NewTicker(b.cfg.Commit)
	defer tick.Stop()
	soon := time.NewTimer(eventDelay)
	soon.Stop()
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	full, event, due := b.full, b.event, tick.C
	if b.opt.Manual {
		full, event, due = nil, nil, nil
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
		case <-event:
			soon.Reset(eventDelay)
			continue
		case <-soon.C:
		case reply = <-b.flush:
		}
		b.io.Lock()
		err := b.commit()
		b.io.Unlock()
		if reply != nil {
			reply <- err
		}
	}
}

// commit writes all that was added in one transaction, then the epoch file, then
// tells the sender. The caller holds io.
func (b *Buffer) commit() error {
	if err := b.take(); err != nil {
		return b.failed(err)
	}
	if len(b.unsaved) == 0 {
		return b.trim()
	}
	for _, x := range b.unsaved {
		if b.opt.Sealed != nil {
			b.opt.Sealed(x)
		}
	}
	var head int64
	row := b.hasRow
	err := b.st.Load().Update(func(tx *store.Tx) (err error) {
		if err := b.makeRoom(tx, incoming(b.unsaved)); err != nil {
			return err
		}
		for id, bytes := range b.schemas {
			if err := tx.PutSchema(id, bytes); err != nil {
				return fmt.Errorf("keeping a schema: %w", err)
			}
		}
		for _, x := range b.unsaved {
			if x.Epoch == b.epoch.ID && !row {
				if err := tx.PutEpoch(b.probe, b.epoch); err != nil {
					return err
				}
				row = true
			}
			// A commit that failed may have happened all the same.
			if b.trouble != "" {
				if ok, err := tx.HasBlock(x.ID, x.Wall(x.T1), b.probe); err != nil || ok {
					if err != nil {
						return err
					}
					continue
				}
			}
			if err := tx.PutBlock(b.probe, x, true); err != nil {
				return err
			}
		}
		head, err = tx.LastSeq()
		return err
	})
	if err != nil {
		return b.failed(err)
	}
	b.hasRow = row
	blocks := b.unsaved
	b.unsaved, b.schemas = nil, map[block.ID][]byte{}
	if err := b.mark(blocks); err != nil {
		return b.failed(err)
	}
	b.recovered()
	b.head.Store(head)
	b.commits.Add(1)
	for _, x := range blocks {
		b.written.Add(int64(x.Readings))
		b.octets.Add(int64(len(x.Bytes)))
		if b.opt.Committed != nil {
			b.opt.Committed(x)
		}
	}
	wake(b.committed)
	return b.trim()
}

// take encodes what was added since the last commit into unsaved.
func (b *Buffer) take() error {
	b.mu.Lock()
	for class := range b.open {
		b.seal(block.Class(class))
	}
	filled, fresh := b.filled, b.fresh
	b.filled, b.fresh = nil, map[block.ID][]byte{}
	b.room.Broadcast()
	b.mu.Unlock()
	for id, bytes := range fresh {
		b.schemas[id] = bytes
	}
	for _, w := range filled {
		blocks, err := w.encode(b.codec)
		if err != nil {
			return fmt.Errorf("encoding a block: %w", err)
		}
		b.unsaved = append(b.unsaved, blocks...)
		b.learn(w, blocks)
	}
	if over := len(b.unsaved) - maxTroubled; over > 0 {
		b.unsaved = b.unsaved[over:] // the next account finds their numbers missing
	}
	return nil
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

// mark writes the epoch file of every epoch that the blocks are of.
func (b *Buffer) mark(blocks []*block.Block) error {
	now := b.wallNow()
	touched := map[uint64]bool{}
	for _, x := range blocks {
		m := b.marks[x.Epoch]
		if m.Next == nil {
			m.Next = map[string]uint64{}
		}
		for i := range x.Cover {
			c := &x.Cover[i]
			m.Next[c.Source] = max(m.Next[c.Source], c.Range().End)
		}
		m.LastCommit = now
		b.marks[x.Epoch] = m
		touched[x.Epoch] = true
	}
	for id := range touched {
		if id == b.epoch.ID {
			if err := b.file.write(b.marks[id]); err != nil {
				return err
			}
			continue
		}
		f := epochFile{path: epochPath(b.cfg.Path, id), sync: !b.opt.NoSync}
		if _, seq, err := readEpochFile(f.path); err == nil {
			f.seq = seq
		}
		err := f.write(b.marks[id])
		f.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// failed notes the trouble and opens the database again: after a failed flush the
// same handle must not be believed. What was not committed stays in unsaved.
func (b *Buffer) failed(err error) error {
	err = fmt.Errorf("committing to the buffer: %w", err)
	b.mu.Lock()
	first := b.trouble == ""
	b.trouble = err.Error()
	b.room.Broadcast()
	closed := b.closed
	b.mu.Unlock()
	if first {
		b.log.Error("the buffer cannot write; readings stay in memory meanwhile", "error", err)
	}
	if closed {
		return err
	}
	if cerr := b.st.Load().Close(); cerr != nil {
		b.log.Debug("closing the buffer's database after an error", "error", cerr)
	}
	if store.Damaged(err) {
		if qerr := b.setAside("damaged", err); qerr != nil {
			b.log.Error("the damaged database could not be set aside", "error", qerr)
		}
	}
	if oerr := b.openStore(); oerr != nil {
		b.log.Debug("opening the buffer again", "error", oerr)
	}
	return err
}

// recovered ends a time of trouble.
func (b *Buffer) recovered() {
	b.mu.Lock()
	was := b.trouble
	b.trouble = ""
	b.mu.Unlock()
	if was != "" {
		b.log.Info("the buffer writes again")
		b.tell(eventTrouble(was))
	}
}
