package buffer

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// openStore opens the database, sets aside what cannot be used, and begins an
// epoch. The caller holds io, or is Open.
func (b *Buffer) openStore() error {
	st, err := b.openUsable()
	if err != nil {
		return err
	}
	b.st.Store(st)
	b.hasRow = false
	if err := b.loadMarks(); err != nil {
		// A table that cannot be read is damage that opening did not meet.
		st.Close()
		if !store.Damaged(err) {
			return fmt.Errorf("opening the buffer: %w", err)
		}
		if err := b.setAside("damaged", err); err != nil {
			return err
		}
		if st, err = store.Open(b.cfg.Path, b.storeOptions()); err != nil {
			return fmt.Errorf("opening a fresh buffer: %w", err)
		}
		b.st.Store(st)
		if err := b.loadMarks(); err != nil {
			return fmt.Errorf("opening a fresh buffer: %w", err)
		}
	}
	for _, e := range b.told {
		b.tell(e)
	}
	b.told = nil
	return nil
}

func (b *Buffer) storeOptions() store.Options {
	return store.Options{MaxBytes: int64(b.cfg.Budget), NoSync: b.opt.NoSync}
}

func (b *Buffer) openUsable() (*store.Store, error) {
	st, err := store.Open(b.cfg.Path, b.storeOptions())
	if err == nil {
		return st, nil
	}
	why := store.Why(err)
	if why == "" {
		return nil, fmt.Errorf("opening the buffer: %w", err)
	}
	if err := b.setAside(why, err); err != nil {
		return nil, err
	}
	if st, err = store.Open(b.cfg.Path, b.storeOptions()); err != nil {
		return nil, fmt.Errorf("opening a fresh buffer: %w", err)
	}
	return st, nil
}

// setAside quarantines the database and leaves an event about it.
func (b *Buffer) setAside(why string, cause error) error {
	to, err := store.SetAside(b.cfg.Path, why, time.UnixMilli(b.wallNow()))
	if err != nil {
		return err
	}
	b.log.Error("the buffer's database was set aside, a fresh one takes its place", "why", why, "kept_as", to, "error", cause)
	b.told = append(b.told, collectors.Event{
		Kind: "buffer_quarantine", Severity: collectors.Error,
		Text:   "The buffer's database could not be used (" + why + ") and was set aside; a fresh one took its place.",
		Labels: []collectors.Label{{Name: "reason", Value: why}, {Name: "kept_as", Value: collectors.Clip(filepath.Base(to), collectors.MaxText)}},
	})
	return nil
}

func (b *Buffer) wallNow() int64 {
	off, _ := b.opt.Clock.Offset()
	return int64(b.opt.Clock.Now()) + off
}

// loadMarks reads the epoch files, corrects them by what the database holds, and
// begins a new epoch.
func (b *Buffer) loadMarks() error {
	b.marks = map[uint64]epochMark{}
	ids, err := listEpochFiles(b.cfg.Path)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if m, _, err := readEpochFile(epochPath(b.cfg.Path, id)); err == nil {
			b.marks[id] = m
		} else {
			b.log.Warn("an epoch file is damaged; the database says what it held", "epoch", fmt.Sprintf("%016x", id), "error", err)
		}
	}
	var epochs []store.Epoch
	fix := map[uint64]epochMark{} // files to be written anew
	err = b.st.Load().Update(func(tx *store.Tx) (err error) {
		if b.probe, err = tx.Probe(b.opt.Probe); err != nil {
			return err
		}
		if epochs, err = tx.Epochs(b.probe); err != nil {
			return err
		}
		for _, e := range epochs {
			m, ok := b.marks[e.ID]
			if ok && e.Clean {
				continue
			}
			// After an unclean end the highest of file, blocks and gaps counts.
			if m.Next == nil {
				m.Next = map[string]uint64{}
			}
			changed := !ok
			raise := func(source string, next uint64) {
				if next > m.Next[source] {
					m.Next[source], changed = next, true
				}
			}
			err := tx.Rows(func(r *store.Row) error {
				for i := range r.Cover {
					raise(r.Cover[i].Source, r.Cover[i].Range().End)
				}
				m.LastCommit = max(m.LastCommit, r.T1)
				return nil
			}, "WHERE b.epoch=?", int64(e.ID))
			if err == nil {
				err = tx.GapsOf(b.probe, e.ID, func(g store.Gap) error { raise(g.Source, g.End); return nil })
			}
			if err != nil {
				return err
			}
			if changed {
				fix[e.ID] = m
			}
			e.Clean = true // its file is right from now on
			if err := tx.PutEpoch(b.probe, e); err != nil {
				return err
			}
		}
		last, err := tx.LastSeq()
		b.head.Store(max(last, b.head.Load()))
		return err
	})
	if err != nil {
		return err
	}
	for id, m := range fix {
		f := epochFile{path: epochPath(b.cfg.Path, id), sync: !b.opt.NoSync}
		if _, seq, err := readEpochFile(f.path); err == nil {
			f.seq = seq
		}
		err := f.write(m)
		f.close()
		if err != nil {
			return err
		}
		b.marks[id] = m
	}
	return b.beginEpoch(epochs)
}

// beginEpoch draws a new epoch; its row and file come with its first batch.
func (b *Buffer) beginEpoch(before []store.Epoch) error {
	var prev uint64
	if len(before) > 0 {
		prev = before[len(before)-1].ID
	}
	if b.file != nil {
		b.file.close()
	}
	id := b.opt.NewEpoch()
	b.file = &epochFile{path: epochPath(b.cfg.Path, id), sync: !b.opt.NoSync}
	if _, seq, err := readEpochFile(b.file.path); err == nil {
		b.file.seq = seq
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epoch = store.Epoch{ID: id, Prev: prev, Boot: b.opt.Clock.Boot(), Start: b.wallNow()}
	// What has a name of the epoch before keeps it; what has none yet gets the new one's.
	for class, x := range b.open {
		if x != nil && !x.empty() {
			b.filled = append(b.filled, x)
		}
		b.open[class] = nil
	}
	b.next = map[string]uint64{}
	// A fresh database lacks the schemas that the one before had, and blocks that
	// are still in memory may need them.
	for source, x := range b.named {
		if id, bytes, err := b.codec.EncodeSchema(x.schema); err == nil {
			b.fresh[id] = bytes
		}
		delete(b.named, source)
	}
	return nil
}
