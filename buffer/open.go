package buffer

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// openStore opens the database, sets aside what cannot be used, and begins an
// epoch. The caller holds io, or is Open.
func (b *Buffer) openStore() error {
	if !b.had {
		if err := os.MkdirAll(filepath.Dir(b.cfg.Path), 0o750); err != nil {
			return fmt.Errorf("making the buffer's folder: %w", err)
		}
	}
	err := b.openOnce()
	for range 3 { // a disk that makes every fresh database unusable is no reason to go on for ever
		why := store.Why(err)
		if why == "" {
			break
		}
		aside, cause := true, error(nil)
		if why == "damaged" {
			aside, cause = b.damaged(err)
		}
		if aside {
			cause = b.setAside(why, err)
		}
		if cause != nil {
			return fmt.Errorf("opening the buffer: %w", cause)
		}
		err = b.openOnce()
	}
	if err != nil {
		return fmt.Errorf("opening the buffer: %w", err)
	}
	b.had = true
	for _, e := range b.told {
		b.tell(e)
	}
	b.told = nil
	wake(b.wreck) // there may be something to salvage
	return nil
}

// errGone is a database that was open and is not there any more, although nobody
// has set it aside: its disk is not mounted while somebody repairs it. A fresh one
// would lie beneath it.
var errGone = errors.New("the database is not there any more")

// openOnce opens the database as it is. A table that cannot be read is damage that
// opening did not meet.
func (b *Buffer) openOnce() error {
	if _, err := os.Stat(b.cfg.Path); b.had && errors.Is(err, os.ErrNotExist) {
		return errGone
	}
	st, err := store.Open(b.cfg.Path, b.storeOptions())
	if err != nil {
		return err
	}
	return b.load(st)
}

// load makes an open database the buffer's, or closes it.
func (b *Buffer) load(st *store.Store) error {
	err := b.verify(st)
	if err == nil {
		b.st.Store(st)
		if err = b.loadMarks(); err == nil {
			return nil
		}
		b.st.Store(nil)
	}
	if cerr := st.Close(); cerr != nil {
		b.log.Debug("closing a database that could not be used", "error", cerr)
	}
	return err
}

func (b *Buffer) storeOptions() store.Options {
	o := store.Options{MaxBytes: int64(b.cfg.Budget), NoSync: b.opt.NoSync, Sync: b.opt.Sync, KeepTorn: true}
	if aside, err := store.Asides(b.cfg.Path); err != nil || len(aside) > 0 {
		o.Below = roomBelow
	}
	return o
}

// setAside quarantines the database and leaves an event about it.
func (b *Buffer) setAside(why string, cause error) error {
	now, _ := b.wallNow()
	to, err := store.SetAside(b.cfg.Path, why, time.UnixMilli(now))
	if err != nil {
		return err
	}
	b.had = false
	b.at(PointSetAside)
	b.log.Error("the buffer's database was set aside, a fresh one takes its place", "why", why, "kept_as", to, "error", cause)
	b.told = append(b.told, collectors.Event{
		Kind: "buffer_quarantine", Severity: collectors.Error,
		Text:   "The buffer's database could not be used (" + why + ") and was set aside; a fresh one took its place.",
		Labels: []collectors.Label{{Name: "reason", Value: why}, {Name: "kept_as", Value: collectors.Clip(filepath.Base(to), collectors.MaxText)}},
	})
	return nil
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
	var head int64
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
			if ok && e.End != store.Unsettled {
				continue
			}
			changed, err := b.raise(tx, e.ID, &m, ok)
			if err != nil {
				return err
			}
			if m.N == 0 {
				m.N, m.Boot = e.N, e.Boot
			}
			if changed || !ok {
				fix[e.ID] = m
			}
		}
		if err := b.recallClock(tx); err != nil {
			return err
		}
		if b.opens == 0 { // else it goes on in the same process
			e, ok, err := b.unmeasured(tx, epochs)
			if err != nil {
				return err
			}
			if ok {
				b.told = append(b.told, e)
			}
		}
		head, err = tx.LastSeq()
		return err
	})
	if err != nil {
		return err
	}
	if err := b.settle(epochs, fix); err != nil {
		return err
	}
	// Only now: the sender may not see a block that no epoch file counts.
	b.head.Store(max(head, b.head.Load()))
	b.opens++
	b.rows = map[uint64]bool{}
	for _, e := range epochs {
		b.rows[e.ID] = true
	}
	return b.beginEpoch(epochs)
}

// raise corrects an epoch's mark after an unclean end: the highest of file, blocks
// and gaps counts. It tells whether that changed it. Rows may be damaged unnoticed:
// what goes beyond the file is believed of whole blocks only, and of gaps only
// where there is no file, for they are never ahead of it.
func (b *Buffer) raise(tx *store.Tx, epoch uint64, m *epochMark, filed bool) (changed bool, err error) {
	m.Next = maps.Clone(m.Next)
	if m.Next == nil {
		m.Next = map[string]uint64{}
	}
	to := func(source string, next uint64) {
		if next > m.Next[source] {
			m.Next[source], changed = next, true
		}
	}
	note, upTo, err := counted(tx, epoch)
	if err != nil {
		return false, err
	}
	for source, next := range note.Next {
		to(source, next)
	}
	if note.At > m.At {
		note.Next = m.Next
		*m = note
	}
	err = tx.Rows(func(r *store.Row) error {
		if beyond(r.Cover, m.Next) {
			if ok, err := tx.Whole(r.Seq); err != nil || !ok {
				return err
			}
		}
		for i := range r.Cover {
			to(r.Cover[i].Source, r.Cover[i].Range().End)
		}
		if r.Head.T1 > m.At {
			m.LastCommit, m.At, m.Sure, m.Boot = r.Wall(r.Head.T1), r.Head.T1, r.Sure, r.Boot
		}
		return nil
	}, "WHERE b.seq>? AND b.epoch=?", upTo, int64(epoch))
	if err == nil && !filed {
		err = tx.GapsOf(b.probe, epoch, func(g store.Gap) error { to(g.Source, g.End); return nil })
	}
	return changed, err
}

// beyond tells whether a cover has numbers that next does not count.
func beyond(cover []block.Cover, next map[string]uint64) bool {
	return slices.ContainsFunc(cover, func(c block.Cover) bool { return c.Range().End > next[c.Source] })
}

// settle writes the files that were wrong, and after that notes that all are
// right: were it the other way round, a file that cannot be written now would be
// believed at the next opening.
func (b *Buffer) settle(epochs []store.Epoch, fix map[uint64]epochMark) error {
	for id, m := range fix {
		if err := b.writeMark(id, m); err != nil {
			return err
		}
		b.marks[id] = m
	}
	if !slices.ContainsFunc(epochs, func(e store.Epoch) bool { return e.End == store.Unsettled }) {
		return nil
	}
	return b.st.Load().Update(func(tx *store.Tx) error {
		for _, e := range epochs {
			if e.End != store.Unsettled {
				continue
			}
			e.End = store.Unclean
			if err := tx.PutEpoch(b.probe, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeMark writes the file of an epoch that is not the current one.
func (b *Buffer) writeMark(epoch uint64, m epochMark) error {
	f := epochFile{path: epochPath(b.cfg.Path, epoch), sync: !b.opt.NoSync}
	if _, seq, err := readEpochFile(f.path); err == nil {
		f.seq = seq
	}
	defer f.close()
	return f.write(m)
}

// beginEpoch draws a new epoch; its row and file come with its first batch.
func (b *Buffer) beginEpoch(before []store.Epoch) error {
	prev, n := b.before(before)
	if b.file != nil {
		b.file.close()
	}
	id := b.opt.NewEpoch()
	b.countedAt = b.head.Load()
	b.file = &epochFile{path: epochPath(b.cfg.Path, id), sync: !b.opt.NoSync}
	if _, seq, err := readEpochFile(b.file.path); err == nil {
		b.file.seq = seq
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	start, sure := b.wallNow()
	at := b.opt.Clock.Now()
	b.epoch = store.Epoch{ID: id, Prev: prev, N: n + 1, Boot: b.opt.Clock.Boot(), Start: start, At: at, Sure: sure}
	b.begun[id] = b.epoch
	// What has a name of the epoch before keeps it; what has none yet gets the new one's.
	for class, x := range b.open {
		if x != nil && !x.empty() {
			b.filled = append(b.filled, x)
		}
		b.open[class] = nil
	}
	b.next = map[string]uint64{}
	b.remember()
	return nil
}

// before returns the epoch before the one that begins, and its N: of those with a
// row or a file, and the one of this process where that will still get them, the
// one that began last. A database whose end was torn off, or that was set aside, is
// not the only witness: a predecessor that had been another's already would look
// like a cloned disk.
func (b *Buffer) before(epochs []store.Epoch) (id, n uint64) {
	if k := len(epochs); k > 0 {
		id, n = epochs[k-1].ID, epochs[k-1].N
	}
	for i, m := range b.marks {
		if m.N > n {
			id, n = i, m.N
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// One that began without the database, because the disk failed, knew none before.
	if was, ok := b.begun[b.epoch.ID]; ok && !b.rows[was.ID] && was.Prev == 0 && len(b.next) > 0 && n >= was.N {
		was.Prev, was.N = id, n+1
		b.begun[was.ID], b.epoch = was, was
	}
	if b.epoch.N > n && len(b.next) > 0 {
		id, n = b.epoch.ID, b.epoch.N
	}
	return id, n
}

// remember has all schemas of blocks in memory written with them: a fresh database
// lacks those that the one before had. The caller holds mu.
func (b *Buffer) remember() {
	for _, w := range b.filled {
		w.schemas(func(id block.ID, s *collectors.Schema) { b.uses[id] = s })
	}
	for id, s := range b.uses {
		if _, bytes, err := b.codec.EncodeSchema(s); err == nil { // it was encoded before
			b.schemas[id] = bytes
		}
	}
	clear(b.named)
}
