package buffer

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
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

// mark has the epoch's file count what a block holds.
func (s *salvage) mark(h *block.Head) error {
	m, ok := s.b.marks[h.Epoch]
	if ok && !beyond(h.Cover, m.Next) {
		return nil
	}
	if m.Next = maps.Clone(m.Next); m.Next == nil {
		m.Next = map[string]uint64{}
	}
	for i := range h.Cover {
		c := &h.Cover[i]
		m.Next[c.Source] = max(m.Next[c.Source], c.Range().End)
	}
	if h.T1 > m.At {
		m.LastCommit, m.At, m.Sure, m.Boot = h.Wall(h.T1), h.T1, h.Sure, h.Boot
	}
	write := func() error { return s.b.writeMark(h.Epoch, m) }
	if h.Epoch == s.b.epoch.ID { // another process began one with the same number
		write = func() error { return s.b.file.write(m) }
	}
	if err := write(); err != nil {
		return err
	}
	s.b.marks[h.Epoch] = m
	return nil
}

// put takes one block in, if there is room. One that was pending and has none is
// dropped as any other would be.
func (s *salvage) put(tx *store.Tx, q *salvaged, rows map[uint64]bool, done *salvage, more *int64) error {
	b := s.b
	if b.allInMemory(&q.Head) {
		done.known++
		return nil
	}
	size := int64(len(q.Bytes)) + 8192
	for _, bytes := range q.schemas {
		size += int64(len(bytes)) + 512
	}
	room, err := s.room(tx, size, q.pending, done)
	if err != nil {
		return err
	}
	if !room {
		if done.noSpace++; !q.pending {
			return nil
		}
	}
	if !b.rows[q.Epoch] && !rows[q.Epoch] {
		if err := tx.PutEpoch(s.probe, s.epoch(&q.Head)); err != nil {
			return err
		}
		rows[q.Epoch] = true
	}
	for i := range q.Cover {
		c := &q.Cover[i]
		if err := tx.FillGaps(s.probe, q.Epoch, c.Source, c.Range()); err != nil {
			return err
		}
	}
	if err := tx.SetMeta(metaSalvaged, "1"); err != nil {
		return err
	}
	if !room {
		return s.leaveOut(tx, q)
	}
	for id, bytes := range q.schemas {
		if ok, err := tx.HasSchema(id); err != nil {
			return err
		} else if !ok {
			done.schemas++
			if err := tx.PutSchema(id, bytes); err != nil {
				return fmt.Errorf("keeping a schema: %w", err)
			}
		}
	}
	if q.whole {
		if err := s.supersede(tx, q); err != nil {
			return err
		}
	}
	done.blocks++
	done.readings += q.Readings
	*more += size
	s.b.older++
	return tx.PutBelow(s.probe, q.Block, q.pending)
}

// leaveOut keeps gaps for what of a block that has no room is in no other block here.
func (s *salvage) leaveOut(tx *store.Tx, q *salvaged) error {
	h := q.Head
	if err := tx.Clocks(s.probe).Correct(&h); err != nil { // as the rows' times are
		return err
	}
	here, err := s.b.elsewhere(tx, 0, &h, h.Wall(h.T0), h.Wall(h.T1))
	if err != nil {
		return err
	}
	for i := range q.Cover {
		c := &q.Cover[i]
		left := block.Ranges{c.Range()}.Subtract(here[c.Source]).Subtract(s.b.inMemory(q.Epoch, c.Source))
		for _, r := range left {
			g := store.Gap{Epoch: q.Epoch, Source: c.Source, Range: r, T0: q.Wall(q.T0), T1: q.Wall(q.T1), Reason: ReasonBudget}
			if err := tx.PutGap(s.probe, g); err != nil {
				return err
			}
		}
	}
	return nil
}

// supersede drops the blocks here of which one that is to come in holds all, as fine:
// what became one block by compaction is found in pieces, too, in pages that nobody
// has used again since.
func (s *salvage) supersede(tx *store.Tx, q *salvaged) error {
	covers := map[string]*block.Ranges{}
	for i := range q.Cover {
		c := &q.Cover[i]
		if covers[c.Source] == nil {
			covers[c.Source] = &block.Ranges{}
		}
		covers[c.Source].Push(c.Range())
	}
	h := q.Head
	if err := tx.Clocks(s.probe).Correct(&h); err != nil { // as the rows' times are
		return err
	}
	var pieces []int64
	err := tx.Rows(func(r *store.Row) error {
		if r.Tier < q.Tier {
			return nil
		}
		for i := range r.Cover {
			if all := covers[r.Cover[i].Source]; all == nil || !all.Contains(r.Cover[i].Range()) {
				return nil
			}
		}
		pieces = append(pieces, r.Seq)
		return nil
	}, "WHERE b.probe=? AND b.t1>=? AND b.t1<=? AND b.epoch=?", s.probe, h.Wall(h.T0), h.Wall(h.T1), int64(q.Epoch))
	if err != nil {
		return err
	}
	for _, seq := range pieces {
		if err := tx.Drop(seq); err != nil {
			return err
		}
	}
	return nil
}

// room tells whether size octets more fit the budget. For what is pending delivered
// blocks go; nothing that is pending does.
func (s *salvage) room(tx *store.Tx, size int64, pending bool, done *salvage) (bool, error) {
	if done.full {
		return false, nil
	}
	used, _, err := tx.Usage()
	if err != nil {
		return false, err
	}
	need := used + size - s.b.capacity()
	if need > 0 && pending {
		freed, err := tx.EvictDelivered(s.probe, need)
		if err != nil {
			return false, err
		}
		need -= freed
	}
	done.full = need > 0
	return !done.full, nil
}

// allInMemory tells whether a block covers only what is still to be committed.
func (b *Buffer) allInMemory(h *block.Head) bool {
	for i := range h.Cover {
		if c := &h.Cover[i]; !b.inMemory(h.Epoch, c.Source).Contains(c.Range()) {
			return false
		}
	}
	return true
}

// epoch returns the row of a block's epoch: as it was, or what the block says.
func (s *salvage) epoch(h *block.Head) store.Epoch {
	for _, e := range s.w.Epochs() {
		if e.ID == h.Epoch && s.probes[e.Probe] {
			if e.End != store.Clean {
				e.End = store.Unclean // its file is right: mark saw to that
			}
			return e.Epoch
		}
	}
	return store.Epoch{ID: h.Epoch, Boot: h.Boot, Start: h.Wall(h.T0), At: h.T0, Sure: h.Sure, End: store.Unclean}
}

// gaps takes in the gaps that are still ones. Their rows have no checksum: they say
// no more than why something is not here.
func (s *salvage) gaps() error {
	found := s.w.Gaps()
	for len(found) > 0 {
		if err := s.pace(); err != nil {
			return err
		}
		n := min(len(found), 256)
		if err := s.takeGaps(found[:n]); err != nil {
			return err
		}
		found = found[n:]
	}
	return nil
}

func (s *salvage) takeGaps(found []store.FoundGap) error {
	b := s.b
	b.io.Lock()
	defer b.io.Unlock()
	if b.st.Load() != s.st {
		return errReplaced
	}
	return b.update(func(tx *store.Tx) error {
		for _, g := range found {
			next := b.marks[g.Epoch].Next[g.Source]
			if !s.probes[g.Probe] || g.First >= next {
				continue
			}
			left := block.Ranges{{First: g.First, End: min(g.End, next)}}.Subtract(s.all(g.Epoch, g.Source))
			left = left.Subtract(b.inMemory(g.Epoch, g.Source))
			for _, r := range left {
				if err := tx.FillGaps(s.probe, g.Epoch, g.Source, r); err != nil { // that one says less
					return err
				}
				x := g.Gap
				x.Range = r
				if err := tx.PutGap(s.probe, x); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// all is what of a source is here in any tier.
func (s *salvage) all(epoch uint64, source string) (out block.Ranges) {
	for tier := range block.Tier(10) {
		out = out.Union(s.here[batches{epoch, source, tier}])
	}
	return out
}

// missing counts the batches of the wreck's epochs that were committed once and are
// neither here nor a gap.
func (s *salvage) missing() (n uint64, err error) {
	b := s.b
	gaps := map[batches]block.Ranges{}
	err = b.view(func(tx *store.Tx) error {
		return tx.Gaps(s.probe, func(g store.Gap) error {
			k := batches{epoch: g.Epoch, source: g.Source}
			gaps[k] = gaps[k].Union(block.Ranges{g.Range})
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	for _, e := range s.w.Epochs() {
		s.old[e.ID] = s.old[e.ID] || s.probes[e.Probe]
	}
	b.io.Lock()
	defer b.io.Unlock()
	for _, epoch := range slices.Sorted(maps.Keys(s.old)) {
		for source, next := range b.marks[epoch].Next {
			left := block.Ranges{{First: 0, End: next}}.Subtract(s.all(epoch, source))
			n += left.Subtract(gaps[batches{epoch: epoch, source: source}]).Count()
		}
	}
	return n, nil
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
