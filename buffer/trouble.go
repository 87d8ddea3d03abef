package buffer

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// maxMemory bounds what waits in memory while the disk fails, in octets of packed
// blocks and the schemas they need: some two million readings. The oldest go
// first, and readings before events.
const maxMemory = 4 << 20

// How often a disk that fails is tried again: soon at first, then ever more rarely,
// and never so often that trying is most of what the box does.
const (
	minRetry  = time.Second
	rarest    = 30 // times minRetry, or a shorter Config.Commit
	retryDue  = 10 // times what the last attempt took,
	mostRetry = time.Minute
)

// troubleLogEvery is how often trouble that lasts is logged.
const troubleLogEvery = 10 * time.Minute

// ReasonDisk is the reason of a gap for which memory had no room while the disk
// failed.
const ReasonDisk = "disk failed"

// ailing is a time in which the disk fails; io guards it.
type ailing struct {
	err    error // the last one; nil: all is well
	began  time.Time
	tries  int
	passed bool      // a block was written since
	retry  time.Time // not before, unless somebody asks
	logged time.Time
	lost   losses // what memory had no room for and has its gaps already: counts only
}

// attempt commits; while the disk fails only when it is time to try again or
// somebody asked, or every block would cost an opening of the database.
func (b *Buffer) attempt(asked bool) error {
	if b.ail.err == nil || asked || !time.Now().Before(b.ail.retry) {
		return b.commit()
	}
	b.take(false)
	return b.ail.err
}

// failed notes an error of the disk. What was not committed stays in unsaved.
// After a failed flush the same handle must not be believed, so the database is
// closed; one that refuses for want of room has refused before it took anything,
// and readers need it. The caller holds io.
func (b *Buffer) failed(err error) error {
	a := &b.ail
	first := a.err == nil
	if first {
		*a = ailing{began: time.Now()}
	}
	a.err, a.passed = err, false
	a.tries++
	closed := b.say(err)
	if st := b.st.Load(); st != nil && !store.Full(err) && !closed {
		b.reopen(err, first)
	}
	a.retry = time.Now().Add(retryAfter(min(b.cfg.Commit, minRetry), a.tries, time.Since(b.tried)))
	return err
}

// say puts trouble in words, for Stats and for the log, where it is not repeated at
// every attempt. It tells whether the buffer is closed.
func (b *Buffer) say(err error) (closed bool) {
	what, hint := b.explain(err)
	b.mu.Lock()
	news := b.trouble != what
	b.trouble, b.hint = what, hint
	b.room.Broadcast()
	closed = b.closed
	b.mu.Unlock()
	if a := &b.ail; news || time.Since(a.logged) >= troubleLogEvery {
		a.logged = time.Now()
		b.log.Error("the buffer has trouble with its disk; readings stay in memory meanwhile", "trouble", what, "hint", hint,
			"error", err, "for", time.Since(a.began).Round(time.Second))
	}
	return closed
}

// retryAfter is how long to wait after a number of failures, the last of which took
// so long.
func retryAfter(least time.Duration, tries int, took time.Duration) time.Duration {
	d := min(least<<min(tries-1, 16), rarest*least)
	return min(max(d, retryDue*took), mostRetry)
}

// reopen closes the database, sets it aside if it is damaged, and opens it again
// if that was not tried just before.
func (b *Buffer) reopen(err error, now bool) {
	b.file.close() // nothing stays open: whoever repairs the file system has to unmount it
	if cerr := b.st.Swap(nil).Close(); cerr != nil {
		b.log.Debug("closing the buffer's database after an error", "error", cerr)
	}
	if store.Damaged(err) {
		now = true
		switch aside, cause := b.damaged(err); {
		case aside:
			if qerr := b.setAside("damaged", err); qerr != nil {
				b.log.Error("the damaged database could not be set aside", "error", qerr)
				return
			}
		case cause != nil:
			b.say(cause)
			return
		}
	}
	if !now {
		return
	}
	if oerr := b.openStore(); oerr != nil {
		b.log.Debug("opening the buffer again", "error", oerr)
	}
}

// How long is looked for a second opinion about damage, and for how long a database
// of which the disk cannot read a part is kept in use.
const (
	checkFor      = 2 * time.Second
	unreadableFor = 5 * time.Minute
	doubtFor      = time.Hour
)

// damaged tells whether a database that was called damaged is to be set aside; it is
// closed. A disk that fails to read makes SQLite say the same, once or until it is
// well again, and nothing is wrong with the database then: cause is the disk's error,
// if it still has one.
func (b *Buffer) damaged(err error) (aside bool, cause error) {
	if !store.Doubtful(err) {
		return true, nil // it was read, and is not what was written
	}
	none, cause := store.Readable(b.cfg.Path, checkFor)
	if cause != nil {
		if b.unreadable.IsZero() {
			b.unreadable = time.Now()
		}
		return !none && time.Since(b.unreadable) > unreadableFor, cause
	}
	b.unreadable = time.Time{}
	if !b.doubted.IsZero() && time.Since(b.doubted) < doubtFor {
		return true, nil
	}
	b.doubted = time.Now()
	st, err := store.Open(b.cfg.Path, b.storeOptions())
	if err == nil {
		defer st.Close() // it was opened to read
		err = st.Check(checkFor)
	}
	if store.Damaged(err) {
		return true, nil
	}
	return false, err
}

// resume finds out whether the disk can be written again: the database is opened
// and verified where it is not open, something is written and flushed, and the log
// copied. Nothing in memory is touched before.
func (b *Buffer) resume() error {
	if b.st.Load() == nil {
		if err := b.openStore(); err != nil {
			return err
		}
	}
	now, _ := b.wallNow()
	err := b.st.Load().Update(func(tx *store.Tx) error { return tx.SetMeta("resumed", strconv.FormatInt(now, 10)) })
	if err != nil {
		return fmt.Errorf("writing to the buffer: %w", err)
	}
	return b.st.Load().Checkpoint()
}

// verify makes sure of what was committed before the database was opened: nothing
// may depend on what a failed flush left in the log, and what was committed last
// is read back. A log that another process reads can wait when nothing has failed.
func (b *Buffer) verify(st *store.Store) error {
	if err := st.Secure(); err != nil && (b.ail.err != nil || store.Disk(err)) {
		return err
	}
	head, given := b.head.Load(), int64(0)
	err := st.View(func(tx *store.Tx) (err error) {
		if given, err = tx.LastGiven(); err != nil {
			return err
		}
		return tx.ReadBack(head)
	})
	if err != nil || given >= head {
		return err
	}
	// The epoch files count what is missing; the next account finds it. A number
	// that was given once is not given again: the sender goes by it.
	if given > 0 {
		b.log.Error("the database has lost what was committed last", "to", head, "has", given)
	}
	return st.Update(func(tx *store.Tx) error { return tx.GiveFrom(head) })
}

// recovered ends a time of trouble.
func (b *Buffer) recovered() {
	a := b.ail
	if a.err == nil {
		return
	}
	b.ail = ailing{}
	b.mu.Lock()
	was := b.trouble
	b.trouble, b.hint = "", ""
	b.mu.Unlock()
	took := time.Since(a.began).Round(time.Second)
	b.log.Info("the buffer writes again", "after", took, "dropped", a.lost.readings)
	b.tell(eventTrouble(was, took, a.lost.batches, a.lost.readings))
}

func eventTrouble(was string, took time.Duration, batches, readings int) collectors.Event {
	text := fmt.Sprintf("The buffer could not write for %v: %s.", took, was)
	if batches > 0 {
		text += fmt.Sprintf(" Memory had no room for %d readings in %d batches; they are gone.", readings, batches)
	}
	return collectors.Event{Kind: "buffer_trouble", Severity: collectors.Error, Text: collectors.Clip(text, collectors.MaxText),
		Labels: []collectors.Label{{Name: "seconds", Value: strconv.FormatInt(int64(took.Seconds()), 10)},
			{Name: "dropped_batches", Value: strconv.Itoa(batches)}, {Name: "dropped_readings", Value: strconv.Itoa(readings)}}}
}

// explain says what an error is in a technician's words, and what to do.
func (b *Buffer) explain(err error) (what, hint string) {
	dir := filepath.Dir(b.cfg.Path)
	const meanwhile = "; readings stay in memory until then"
	switch no := store.Errno(err); {
	case store.Damaged(err):
		return "a part of the database is damaged or cannot be read", "a fresh one takes its place if that lasts; check the disk of " + dir + " (dmesg, smartctl)"
	case store.Full(err) && !tight(dir):
		return "the database has no room left within its budget", "raise buffer.budget in the site file" + meanwhile
	case no == syscall.ENOSPC:
		return "the disk is full", "free space on " + dir + meanwhile
	case no == syscall.EDQUOT:
		return "the disk quota is used up", "raise the quota, or free space on " + dir + meanwhile
	case no == syscall.EROFS:
		return "the file system is read-only", "dmesg says why, often a disk that fails; repair it, then mount -o remount,rw the file system of " + dir + meanwhile
	case no == syscall.EACCES || no == syscall.EPERM:
		return "no right to write the database", "check who owns " + dir + " and what is in it" + meanwhile
	case errors.Is(err, errGone):
		return "the database is gone", "is the disk of " + dir + " mounted? To begin a new database, restart the daemon" + meanwhile
	case errors.Is(err, store.ErrInUse):
		return err.Error(), "stop the other process" + meanwhile
	case no != 0:
		return "the disk fails (" + no.Error() + ")", "check the disk of " + dir + " (dmesg, smartctl) and its cable; replace it if this returns" + meanwhile
	}
	return err.Error(), "readings stay in memory until the database can be written again; see the log"
}

// bound keeps what waits in memory within maxMemory.
func (b *Buffer) bound() {
	size, events := 0, 0
	for _, x := range b.unsaved {
		size += memory(x)
		if x.Class == block.Events {
			events += memory(x)
		}
	}
	for _, bytes := range b.schemas {
		size += len(bytes)
	}
	if size <= maxMemory {
		return
	}
	for size > maxMemory && len(b.unsaved) > 0 {
		// Events give way only where they take half.
		i := slices.IndexFunc(b.unsaved, func(x *block.Block) bool { return (x.Class == block.Events) == (events > maxMemory/2) })
		x := b.unsaved[max(i, 0)]
		b.unsaved = slices.Delete(b.unsaved, max(i, 0), max(i, 0)+1)
		size -= memory(x)
		if x.Class == block.Events {
			events -= memory(x)
		}
		b.lose(x)
		size -= b.unneeded()
	}
}

// memory is about what a block takes in memory.
func memory(x *block.Block) int { return len(x.Bytes) + 512 + 64*len(x.Cover) }

// losses is what memory had no room for: gaps that are not in the database yet.
type losses struct {
	gaps              map[lostKey][]store.Gap
	batches, readings int
}

type lostKey struct {
	epoch  uint64
	source string
}

// add notes a gap; what is lost in order makes one.
func (l *losses) add(g store.Gap) {
	l.batches += int(g.End - g.First)
	if l.gaps == nil {
		l.gaps = map[lostKey][]store.Gap{}
	}
	k := lostKey{g.Epoch, g.Source}
	if n := len(l.gaps[k]); n > 0 && l.gaps[k][n-1].End == g.First {
		last := &l.gaps[k][n-1]
		last.End, last.T0, last.T1 = g.End, min(last.T0, g.T0), max(last.T1, g.T1)
		return
	}
	l.gaps[k] = append(l.gaps[k], g)
}

func (l *losses) merge(from losses) {
	for _, gaps := range from.gaps {
		for _, g := range gaps {
			l.add(g)
		}
	}
	l.readings += from.readings
}

// lose notes the gaps that a block for which there is no room leaves: they are kept
// with the next commit.
func (b *Buffer) lose(x *block.Block) {
	b.answer([]*block.Block{x}, false)
	b.lost.readings += x.Readings
	b.dropped.Add(int64(x.Readings))
	for i := range x.Cover {
		b.lost.add(store.Gap{Epoch: x.Epoch, Source: x.Cover[i].Source, Range: x.Cover[i].Range(), T0: x.Wall(x.T0), T1: x.Wall(x.T1), Reason: ReasonDisk})
	}
}

// spill does the same for a block that is not packed yet. The caller holds mu.
func (b *Buffer) spill(w *builder) {
	b.disappoint(w)
	b.spilled.readings += w.cells
	b.dropped.Add(int64(w.cells))
	for i := range w.sections {
		s := &w.sections[i]
		n := len(s.Batches)
		b.spilled.add(store.Gap{Epoch: w.head.Epoch, Source: s.Batches[0].Source, Range: block.Range{First: s.First, End: s.First + uint64(n)},
			T0: w.head.Wall(s.Batches[0].At), T1: w.head.Wall(s.Batches[n-1].At), Reason: ReasonDisk})
	}
}

// unneeded lets go of schemas that no block in memory or to come will name, and
// returns their octets.
func (b *Buffer) unneeded() (freed int) {
	keep := b.toCome(map[block.ID]bool{})
	for _, x := range b.unsaved {
		for _, id := range x.Schemas() {
			keep[id] = true
		}
	}
	maps.DeleteFunc(b.schemas, func(id block.ID, bytes []byte) bool {
		if !keep[id] {
			freed += len(bytes)
		}
		return !keep[id]
	})
	maps.DeleteFunc(b.uses, func(id block.ID, _ *collectors.Schema) bool { return !keep[id] })
	return freed
}

// keepLost writes the gaps of what memory had no room for.
func (b *Buffer) keepLost() error {
	if len(b.lost.gaps) == 0 {
		return nil
	}
	rows := map[uint64]bool{}
	err := b.st.Load().Update(func(tx *store.Tx) error {
		for k, gaps := range b.lost.gaps {
			if err := b.putEpoch(tx, k.epoch, rows); err != nil {
				return err
			}
			for _, g := range gaps {
				if err := tx.PutGap(b.probe, g); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keeping the gaps of what memory had no room for: %w", err)
	}
	maps.Copy(b.rows, rows)
	touched := map[uint64]bool{}
	for k, gaps := range b.lost.gaps {
		m := b.marks[k.epoch]
		if m.Next == nil {
			m.Next = map[string]uint64{}
		}
		if e, ok := b.begun[k.epoch]; ok && m.N == 0 {
			m.N, m.Boot = e.N, e.Boot
		}
		for _, g := range gaps {
			m.Next[k.source] = max(m.Next[k.source], g.End)
		}
		b.marks[k.epoch] = m
		touched[k.epoch] = true
	}
	if err := b.writeMarks(touched); err != nil {
		return err
	}
	b.ail.lost.batches += b.lost.batches
	b.ail.lost.readings += b.lost.readings
	b.lost = losses{}
	return nil
}
