package buffer

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

const (
	// roomBelow is how many block numbers a fresh database leaves free for what is
	// salvaged: more than any budget holds.
	roomBelow = 1 << 27
	// salvageBytes is about what one transaction of a salvage takes in: a commit
	// never waits for more.
	salvageBytes = 512 << 10
	// salvageAgain is when a salvage is tried again that the disk did not let finish.
	salvageAgain = 30 * time.Second
	// salvageTurn is how long a salvage works before it rests for as long: it leaves
	// half of one core at least.
	salvageTurn = 20 * time.Millisecond
)

var (
	errEnded    = errors.New("the buffer closes")
	errReplaced = errors.New("the database was opened anew meanwhile")
)

// salvageLoop salvages whenever a database was set aside, and at the start what an
// end of the process left half done.
func (b *Buffer) salvageLoop() {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-b.wreck:
		case <-again.C:
		}
		if err := b.Salvage(); err != nil && !errors.Is(err, errEnded) {
			b.log.Error("salvaging could not go on; it is tried again", "error", err)
			again.Reset(salvageAgain)
		}
	}
}

// Salvage takes in what can be read of the databases that were set aside, the newest
// first, unless it is here already or the budget has no room: schemas where a block
// needs them, then pending blocks, then delivered ones, then gaps. A block is
// delivered only where the old database's list of those that were not can be read
// whole; otherwise it is pending, and sending it again does no harm. The gaps that
// it fills are deleted.
//
// A database that has been read to its end gets another name, and is deleted when
// newer ones make it superfluous; see [store.Prune]. Until then salvaging begins
// anew with every start, and takes in what is not here yet. The buffer does this by
// itself, in the background.
func (b *Buffer) Salvage() error {
	b.salvaging.Lock()
	defer b.salvaging.Unlock()
	all, err := store.Asides(b.cfg.Path)
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Settled {
			continue
		}
		if err := b.salvage(&a); err != nil {
			return fmt.Errorf("salvaging %s: %w", filepath.Base(a.Path), err)
		}
	}
	gone, err := store.Prune(b.cfg.Path, int64(b.cfg.Budget))
	for _, a := range gone {
		b.log.Info("a database that was set aside is deleted", "name", filepath.Base(a.Path), "bytes", a.Size, "salvaged", a.Settled)
	}
	return err
}

// Behind rises whenever blocks have come in that are older than all others: behind
// where a sender may have been already.
func (b *Buffer) Behind() int64 { return b.behind.Load() }

// salvage is the work on one database.
type salvage struct {
	b      *Buffer
	w      *store.Wreck
	st     *store.Store             // into which it goes
	probe  int64                    // our probe's number there
	here   map[batches]block.Ranges // what blocks hold, or the budget dropped
	probes map[int64]bool           // the numbers that the wreck has for our probe
	old    map[uint64]bool          // the epochs in it
	turn   time.Time                // when the present turn began
	queue  []salvaged
	size   int
	// partial are pending blocks of which a schema is lost. They come after those that
	// are whole, for the same readings may be in one of these.
	partial []store.Found
	full    bool // no room is left

	blocks, readings, schemas int // taken in
	known, damaged, noSpace   int // blocks: here already, damaged, without room
	unread, waiting           int // blocks of which a schema is lost: delivered ones, pending ones (these are taken in)
}

// batches is what ranges of numbers are of.
type batches struct {
	epoch  uint64
	source string
	tier   block.Tier
}

type salvaged struct {
	*block.Block
	pending bool
	schemas map[block.ID][]byte
	whole   bool // those are all that it needs
}

func (b *Buffer) salvage(a *store.Aside) error {
	w, err := store.OpenWreck(a.Path)
	if err != nil {
		return err
	}
	defer w.Close()
	s := &salvage{b: b, w: w, here: map[batches]block.Ranges{}, probes: map[int64]bool{}, old: map[uint64]bool{}, turn: time.Now()}
	if err := w.Survey(s.pace); err != nil {
		return err
	}
	b.at(PointSalvage)
	if err := s.holdings(); err != nil {
		return err
	}
	for _, pending := range []bool{true, false} {
		for _, x := range w.Blocks() {
			if err := s.pace(); err != nil {
				return err
			}
			if w.Pending(x) == pending && (pending || !s.full) {
				if err := s.block(x, pending, false); err != nil {
					return err
				}
			}
		}
		if err := s.take(); err != nil {
			return err
		}
		for _, x := range s.partial {
			if err := s.block(x, true, true); err != nil {
				return err
			}
		}
		if err := s.take(); err != nil {
			return err
		}
		s.partial = nil
		s.full = false // delivered blocks may fit where pending ones did not
	}
	if err := s.gaps(); err != nil {
		return err
	}
	ours := len(s.probes) > 0 || a.Why == "damaged" || a.Why == store.WhyTorn
	missing, err := s.missing()
	if err != nil {
		return err
	}
	if err := a.Settle(ours); err != nil {
		return err
	}
	if ours && (a.Why != store.WhyTorn || s.blocks > 0) {
		s.tell(filepath.Base(a.Path), missing)
	}
	return nil
}

// pace ends a salvage when the buffer closes, and has it rest.
func (s *salvage) pace() error {
	select {
	case <-s.b.stop:
		return errEnded
	default:
	}
	worked := time.Since(s.turn)
	if worked < salvageTurn {
		return nil
	}
	rest := time.NewTimer(min(worked, time.Second))
	defer rest.Stop()
	select {
	case <-s.b.stop:
		return errEnded
	case <-rest.C:
	}
	s.turn = time.Now()
	return nil
}

// holdings notes what is here already.
func (s *salvage) holdings() error {
	s.b.io.Lock()
	s.st = s.b.st.Load()
	s.probe = s.b.probe
	s.b.io.Unlock()
	return s.b.view(func(tx *store.Tx) error {
		err := tx.Rows(func(r *store.Row) error {
			s.hold(&r.Head)
			return nil
		}, "")
		if err != nil {
			return err
		}
		return tx.Gaps(s.probe, func(g store.Gap) error {
			if g.Reason == ReasonBudget {
				k := batches{g.Epoch, g.Source, block.Raw}
				s.here[k] = s.here[k].Union(block.Ranges{g.Range})
			}
			return nil
		})
	})
}

func (s *salvage) hold(h *block.Head) {
	for i := range h.Cover {
		c := &h.Cover[i]
		k := batches{h.Epoch, c.Source, h.Tier}
		r := s.here[k]
		r.Push(c.Range())
		s.here[k] = r
	}
}

// held tells whether all that a block covers is here, in its tier or a finer one.
func (s *salvage) held(h *block.Head) bool {
	for i := range h.Cover {
		c := &h.Cover[i]
		var all block.Ranges
		for tier := range h.Tier + 1 {
			all = all.Union(s.here[batches{h.Epoch, c.Source, tier}])
		}
		if !all.Contains(c.Range()) {
			return false
		}
	}
	return true
}

// block puts one block in line, if it is one that is wanted. One of which a schema is
// lost is wanted where it is pending, for the hub may have the schema, or its source
// brings it again; it is left for later unless partial ones are welcome.
func (s *salvage) block(at store.Found, pending, partial bool) error {
	x, probe, err := s.w.Block(at)
	if err != nil {
		if pending && !s.w.LogOnly() { // else it was deleted and its chain used again, or the hub has it
			s.damaged++
		}
		return nil
	}
	if x.Probe != s.b.opt.Probe {
		return nil
	}
	s.probes[probe], s.old[x.Epoch] = true, true
	if now, sure := s.b.wallNow(); !pending && sure && x.Sure && x.Wall(x.T1) < now-s.b.cfg.History.Milliseconds() {
		return nil
	}
	if s.held(&x.Head) {
		s.known++
		return nil
	}
	q := salvaged{Block: x, pending: pending}
	if q.schemas, q.whole, err = s.schemasOf(x); err != nil {
		return err
	}
	switch {
	case q.whole:
	case !pending:
		s.unread++
		return nil
	case !partial:
		s.partial = append(s.partial, at)
		return nil
	default:
		s.waiting++
	}
	s.hold(&x.Head)
	s.queue = append(s.queue, q)
	if s.size += len(x.Bytes); s.size < salvageBytes {
		return nil
	}
	return s.take()
}

// schemasOf returns the schemas that a block needs, as far as they are here or in the
// wreck, and whether those are all.
func (s *salvage) schemasOf(x *block.Block) (schemas map[block.ID][]byte, whole bool, err error) {
	schemas, whole = map[block.ID][]byte{}, true
	for _, id := range x.Schemas() {
		bytes, err := s.schema(id)
		if err != nil {
			return nil, false, err
		}
		if bytes == nil {
			whole = false
			continue
		}
		schemas[id] = bytes
	}
	return schemas, whole, nil
}

// schema returns a schema that is here or in the wreck.
func (s *salvage) schema(id block.ID) (bytes []byte, err error) {
	for i := range s.queue {
		if bytes := s.queue[i].schemas[id]; bytes != nil {
			return bytes, nil
		}
	}
	err = s.b.view(func(tx *store.Tx) error {
		bytes, err = tx.SchemaBytes(id)
		return err
	})
	if bytes == nil && err == nil {
		bytes = s.w.Schema(id)
	}
	return bytes, err
}

// take commits what is in line.
func (s *salvage) take() error {
	queue := s.queue
	s.queue, s.size = nil, 0
	if len(queue) == 0 {
		return nil
	}
	b := s.b
	b.io.Lock()
	defer b.io.Unlock()
	if b.st.Load() != s.st {
		return errReplaced
	}
	// Only numbers that a file counts may be shown to the sender.
	for _, q := range queue {
		if err := s.mark(&q.Head); err != nil {
			return err
		}
	}
	var head, more int64
	var done salvage // what this transaction took in
	rows := map[uint64]bool{}
	err := b.update(func(tx *store.Tx) (err error) {
		head, more, done = 0, 0, salvage{full: s.full}
		for _, q := range queue {
			if err := s.put(tx, &q, rows, &done, &more); err != nil {
				return err
			}
		}
		head, err = tx.LastSeq()
		return err
	})
	if err != nil {
		return err
	}
	maps.Copy(b.rows, rows)
	s.blocks += done.blocks
	s.readings += done.readings
	s.schemas += done.schemas
	b.taught.Store(true)
	s.known += done.known
	s.noSpace += done.noSpace
	s.full = done.full
	b.head.Store(head)
	b.noVictim = false
	b.logged += more
	if done.blocks > 0 {
		b.behind.Add(1)
		wake(b.committed)
	}
	b.at(PointSalvaged)
	if err := b.checkpoint(); err != nil {
		return b.failed(err)
	}
	return nil
}

// tell leaves an event about what was salvaged and what was not.
func (s *salvage) tell(name string, missing uint64) {
	s.b.log.Info("salvaged what could be read of a database that was set aside", "name", name, "blocks", s.blocks, "readings", s.readings, "schemas", s.schemas,
		"known", s.known, "damaged", s.damaged, "without_schema", s.unread, "waiting_for_schema", s.waiting, "without_room", s.noSpace, "batches_not_here", missing)
	text := fmt.Sprintf("%d readings in %d blocks came back out of a database that was set aside.", s.readings, s.blocks)
	if s.waiting > 0 {
		text += fmt.Sprintf(" %d of these blocks lost their schemas and can be read when the hub has them or their sources are collected again.", s.waiting)
	}
	if lost := s.damaged + s.unread; lost > 0 {
		text += fmt.Sprintf(" Up to %d blocks could not be read.", lost)
	}
	if s.noSpace > 0 {
		text += fmt.Sprintf(" %d had no room.", s.noSpace)
	}
	if missing > 0 {
		text += fmt.Sprintf(" %d batches are not here; the next account says which the hub has.", missing)
	}
	severity := collectors.Info
	if s.damaged+s.unread+s.waiting+s.noSpace > 0 {
		severity = collectors.Warning
	}
	count := func(name string, n int) collectors.Label { return collectors.Label{Name: name, Value: strconv.Itoa(n)} }
	s.b.tell(collectors.Event{Kind: "buffer_salvage", Severity: severity, Text: collectors.Clip(text, collectors.MaxText), Labels: []collectors.Label{
		{Name: "kept_as", Value: collectors.Clip(name, collectors.MaxText)},
		count("blocks", s.blocks), count("readings", s.readings), count("schemas", s.schemas), count("known", s.known),
		count("damaged", s.damaged), count("without_schema", s.unread), count("waiting_for_schema", s.waiting), count("without_room", s.noSpace), count("batches_not_here", int(missing)),
	}})
}
