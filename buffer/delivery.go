package buffer

import (
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// Committed is signalled when blocks were committed or have become pending again.
func (b *Buffer) Committed() <-chan struct{} { return b.committed }

// Head returns the number of the block that was committed last.
func (b *Buffer) Head() int64 { return b.head.Load() }

// Beat rises for as long as commits go on, or could.
func (b *Buffer) Beat() int64 { return b.beat.Load() }

// PendingAfter returns pending blocks with after < Seq <= until, in rising order,
// up to about maxBytes but at least one if there is any.
func (b *Buffer) PendingAfter(after, until int64, maxBytes int) (out []store.Pending, err error) {
	err = b.view(func(tx *store.Tx) error {
		out, err = tx.PendingAfter(after, until, maxBytes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading pending blocks: %w", err)
	}
	b.handed.note(out)
	return out, nil
}

// handed remembers under which numbers blocks were handed out to be sent, for their
// acknowledgement names a block by its hash. What is on its way was handed out
// lately, so the older half may be forgotten.
type handed struct {
	mu         sync.Mutex
	now, older map[block.ID]int64
}

// maxHanded is far more than are ever on their way.
const maxHanded = 1 << 14

func (h *handed) note(ps []store.Pending) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now == nil || len(h.now)+len(ps) > maxHanded {
		h.now, h.older = map[block.ID]int64{}, h.now
	}
	for i := range ps {
		h.now[ps[i].ID] = ps[i].Seq
	}
}

// of gives the number of a block, if it was handed out.
func (h *handed) of(id block.ID) (seq int64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq, ok = h.now[id]; !ok {
		seq, ok = h.older[id]
	}
	return seq, ok
}

func (h *handed) forget(ids []block.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		delete(h.now, id)
		delete(h.older, id)
	}
}

// Delivered marks the blocks of these names as delivered, as far as PendingAfter has
// handed them out under these names; others are ignored, and an account heals that. It returns how many blocks and readings that were.
func (b *Buffer) Delivered(ids []block.ID) (blocks, readings int, err error) {
	b.io.Lock()
	defer b.io.Unlock()
	b.at(PointAck)
	defer b.at(PointAcked)
	err = b.update(func(tx *store.Tx) error {
		blocks, readings = 0, 0
		for _, id := range ids {
			seq, ok := b.handed.of(id)
			if !ok {
				continue
			}
			n, ok, err := tx.Deliver(seq, id)
			if err != nil {
				return err
			}
			if ok {
				blocks++
				readings += n
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("marking blocks as delivered: %w", err)
	}
	b.handed.forget(ids)
	if blocks > 0 {
		b.noVictim = false
		b.acked.Store(true)
	}
	return blocks, readings, nil
}

// SchemaBytes returns the bytes of a schema, nil where it is not here. One that is
// lost and still in use comes back with the next batch.
func (b *Buffer) SchemaBytes(id block.ID) (bytes []byte, err error) {
	err = b.view(func(tx *store.Tx) error {
		bytes, err = tx.SchemaBytes(id)
		return err
	})
	if bytes == nil && err == nil {
		b.mu.Lock()
		clear(b.named)
		b.mu.Unlock()
	}
	return bytes, err
}

// Schema returns a decoded schema, nil where it is not here.
func (b *Buffer) Schema(id block.ID) (s *collectors.Schema) {
	err := b.view(func(tx *store.Tx) error {
		s = tx.Schema(id)
		return nil
	})
	if err != nil {
		return nil
	}
	return s
}

// Stats is the buffer's state.
type Stats struct {
	Pending      store.Totals
	Used, File   int64 // octets in use, and of the database file
	Budget       int64
	Commits      int64
	Written      int64     // readings committed since Open
	WrittenBytes int64     // octets of the blocks committed since Open
	Dropped      int64     // readings dropped since Open
	Coarser      int64     // readings that became part of a rollup since Open
	Left         *Forecast // nil: not known yet
	Trouble      string    // why the buffer cannot write, empty where it can
	Hint         string    // what to do about it
	Epoch        uint64
	Head         int64
}

// Stats returns the buffer's state.
func (b *Buffer) Stats() (s Stats, err error) {
	b.mu.Lock()
	s.Trouble, s.Hint, s.Epoch = b.trouble, b.hint, b.epoch.ID
	if b.stalled && s.Trouble == "" {
		s.Trouble, s.Hint = "the disk does not answer", "check the disk of "+filepath.Dir(b.cfg.Path)+" (dmesg, smartctl) and its cable"
	}
	b.mu.Unlock()
	s.Budget, s.Commits, s.Written, s.Dropped, s.Head = int64(b.cfg.Budget), b.commits.Load(), b.written.Load(), b.dropped.Load(), b.head.Load()
	s.WrittenBytes, s.Coarser = b.octets.Load(), b.coarser.Load()
	err = b.view(func(tx *store.Tx) error {
		if s.Pending, err = tx.PendingTotals(); err != nil {
			return err
		}
		s.Used, s.File, err = tx.Usage()
		return err
	})
	b.mu.Lock()
	l := load{capacity: b.capacity(), pending: s.Pending.Bytes, written: s.WrittenBytes, in: time.Duration(b.opt.Clock.Now()-b.openedAt) * time.Millisecond, ratio: b.ratio}
	b.mu.Unlock()
	if f, ok := forecast(l); ok {
		s.Left = &f
	}
	return s, err
}

// History reads readings back; see [store.Query].
func (b *Buffer) History(q store.Query) (out []store.Points, err error) {
	q.Probe = b.opt.Probe
	st := b.st.Load()
	out, err = st.History(q)
	return out, b.noticed(st, err)
}
