// Package buffer keeps what the collectors give until the MSP has stored it, and
// after that for as long as there is room.
//
// # The rules
//
// [Buffer.Add] gives each batch its name, (epoch, source, n): the epoch is random
// and new for every opening of the database, n counts in memory and is never read
// back, so no name is given twice, whatever a crash tore off. Batches gather in
// blocks; a commit, every Config.Commit or when half a megabyte waits, writes them in
// one durable transaction, then the epoch file beside the database, and only then
// shows them to the sender ([Buffer.Committed], [Buffer.PendingAfter]): nothing
// leaves the box before it is on its disk. [Buffer.AddWaiting] tells the one who gave
// a batch of its commit.
//
// A committed batch is in one block, or in a gap that says why it is not, or was
// stored by the hub. [Buffer.Account] tells the hub which; [Buffer.Apply] acts on
// its answer. This exchange heals lost acknowledgements, restored hubs, torn
// files and quarantines; no other state about acknowledgements is kept.
//
// # Room
//
// Maintenance (maintain.go) goes on in the background: the blocks of an hour become
// few, in which each source's hour stands together and takes a third of the room
// (compact.go). The database stays within Config.Budget, by default the smaller of 2
// GiB and half of what is free. Before that is reached the oldest readings become
// rollups of a quarter of an hour, and those rollups of an hour (downsample.go), the
// delivered ones first; delivered readings older than Config.History do so in any
// case, and rollups older than Config.Rollups go. Where that does not make room
// enough, delivered blocks go, then the oldest pending readings, each deletion with
// its gap in one transaction (room.go). Events have a tenth of the budget to
// themselves; alike ones are told once, with their number, before any is dropped
// (coalesce.go).
//
// # The clock
//
// Stamps are of the boot clock; a block says by which offset they become wall time,
// and whether the clock was sure. While it is not, the last offset that was sure in
// this boot counts, or else what the wall clock shows, but never less than what was
// reached before this boot. Once it is sure, one clock event for the boot tells all
// readers the offset of what was sealed before (see package store); no stored byte
// changes. A clock that is unsure never makes the buffer delete what seems to be old.
// After an unclean end an event tells from when until when nothing was measured.
//
// # When the disk fails
//
// A damaged, foreign or newer database is set aside under a name that says so and
// a fresh one takes its place at once. What can still be read of it comes back in
// the background ([Buffer.Salvage]). A single block that is damaged is dropped, with
// a gap if it was pending; nothing damaged is sent or shown. When a commit fails the database is closed
// and opened again, and what was not committed stays in memory (bounded) and is
// tried again, ever more rarely; [Stats].Trouble says so meanwhile. Nothing counts as
// committed before the database was opened again and verified. A disk that fails at
// the start is no reason not to start. trouble.go has all of this.
//
// # Reading order
//
// buffer.go names and gathers, commit.go commits, delivery.go and account.go are what
// the sender asks for, open.go and epochfile.go what is left after a crash.
// trouble.go and salvage*.go are for disks that fail; repack.go is what all that makes
// blocks anew has in common.
package buffer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// Options of Open: what the site file does not say.
type Options struct {
	Probe string // "tenant/site"
	Clock Clock
	Log   *slog.Logger // nil: silent

	// Sealed is called with every block before it is committed, Committed after.
	// They are for tests and for the log; nil is fine.
	Sealed, Committed func(*block.Block)
	// Point is called at each of [Points]; nil is fine. It may not return (a test
	// that kills its own process), and must not call the buffer.
	Point func(point string)
	// NewEpoch gives an epoch its number; nil: 64 random bits. Tests inject it.
	NewEpoch func() uint64
	// NoSync leaves out the flushes; for tests whose crashes are not power cuts.
	NoSync bool
	// Pressed makes readings coarser as if the budget was short; for tests.
	Pressed bool
	// Sync weakens SQLite's synchronous, for the controls of the fault lab.
	Sync string
	// LogBytes is how long the log gets before it is copied into the database; 0:
	// [store.CheckpointBytes]. A test that wants many checkpoints makes it short.
	LogBytes int64
	// Manual leaves commits to Flush and Close, maintenance to Maintain, and salvage to
	// Salvage; for tests that must know when.
	Manual bool
}

// Buffer is an open buffer; Close ends it. Its methods are safe for use by
// several goroutines.
type Buffer struct {
	cfg Config
	opt Options
	log *slog.Logger

	// mu guards what Add changes. It is never held during I/O.
	mu      sync.Mutex
	room    *sync.Cond // signalled when filled has shrunk or the buffer closes
	open    [2]*builder
	filled  []*builder
	next    map[string]uint64           // of the current epoch, by source: committed or not
	last    map[string]collectors.Stamp // last stamp by source
	named   map[string]namedSchema      // last schema by source
	fresh   map[block.ID][]byte         // schemas that are not committed yet
	limits  map[string]*eventLimit
	waiters []waiter // for batches that are not committed yet
	closed  bool
	trouble string  // what is wrong with the disk, in plain words
	hint    string  // what to do about it
	stalled bool    // the disk has not answered for maxWait
	spilled losses  // blocks that were not even packed, until a commit takes note
	perCell float64 // octets a value, learned from the blocks before
	epoch   store.Epoch
	codec   *block.Codec
	clock   clockState

	// io is held during a commit and whatever else writes.
	io        sync.Mutex
	st        atomic.Pointer[store.Store] // replaced under io only
	probe     int64
	begun     map[uint64]store.Epoch // epochs that blocks in memory may be of, and the current one
	rows      map[uint64]bool        // epochs whose row is in the database
	file      *epochFile
	countedAt int64                           // the last block that the current epoch's note in the database counts
	marks     map[uint64]epochMark            // of every epoch that has a file
	unsaved   []*block.Block                  // sealed, but their commit failed
	schemas   map[block.ID][]byte             // schemas to be written with unsaved
	uses      map[block.ID]*collectors.Schema // all schemas of unsaved, written before or not
	newHubs   map[string]map[uint64]map[string]uint64

	upkeep
	ratio [3]float64 // what a fresh octet becomes, by tier; under mu

	ail        ailing
	tried      time.Time // when the last commit began
	had        bool      // the database was open, and has not been set aside since
	opens      int       // how often it was opened
	lost       losses    // what memory had no room for, until it is kept
	dropping   int64     // readings that the transaction under way drops
	doubted    time.Time // when damage was met last that a second look did not find
	unreadable time.Time // since when the disk cannot read a part of the database

	handed handed

	logged    int64 // about what the log has grown by since the last checkpoint
	noVictim  bool  // no delivered block is left to evict
	lastTrim  time.Time
	lastSweep time.Time
	opened    time.Time
	older     int // blocks that salvage has put in
	openedAt  collectors.Stamp
	told      []collectors.Event // what happened before there was an epoch to tell it in

	head      atomic.Int64 // the last committed block's number
	written   atomic.Int64 // readings committed since Open
	octets    atomic.Int64 // of the blocks committed since Open
	dropped   atomic.Int64 // readings dropped since Open
	commits   atomic.Int64
	beat      atomic.Int64
	committed chan struct{} // one slot: something was committed
	flush     chan chan error
	full      chan struct{}
	event     chan struct{}
	damage    chan damage
	differed  time.Time     // when two connections were last found to disagree
	wreck     chan struct{} // one slot: a database was set aside
	behind    atomic.Int64  // how often blocks came in that are older than all others
	salvaging sync.Mutex
	stop      chan struct{}
	done      chan struct{}
}

type namedSchema struct {
	schema *collectors.Schema
	id     block.ID
}

// Open opens the buffer. A database that cannot be used is set aside; on a disk that
// fails the buffer begins in memory. What is left for Open's error is rights and
// settings.
func Open(cfg Config, opt Options) (*Buffer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("buffer: %w", err)
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.LogBytes == 0 {
		opt.LogBytes = store.CheckpointBytes
	}
	if cfg.Budget == 0 {
		var err error
		if cfg.Budget, err = autoBudget(cfg.Path); err != nil {
			opt.Log.Warn("the buffer's budget is a guess", "budget", int64(cfg.Budget), "error", err)
		}
	}
	if opt.NewEpoch == nil {
		opt.NewEpoch = randomEpoch
	}
	b := &Buffer{
		cfg: cfg, opt: opt, log: opt.Log,
		next: map[string]uint64{}, last: map[string]collectors.Stamp{}, named: map[string]namedSchema{},
		fresh: map[block.ID][]byte{}, schemas: map[block.ID][]byte{}, uses: map[block.ID]*collectors.Schema{},
		begun: map[uint64]store.Epoch{}, upkeep: newUpkeep(), ratio: firstRatios, limits: map[string]*eventLimit{},
		newHubs: map[string]map[uint64]map[string]uint64{}, perCell: 4, opened: time.Now(), openedAt: opt.Clock.Now(),
		committed: make(chan struct{}, 1), flush: make(chan chan error), full: make(chan struct{}, 1),
		event: make(chan struct{}, 1), damage: make(chan damage, 1),
		wreck: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	b.room = sync.NewCond(&b.mu)
	var err error
	if b.codec, err = block.NewCodec(); err != nil {
		return nil, err
	}
	b.layouts = b.codec.NewLayouts()
	if err := b.start(); err != nil {
		return nil, err
	}
	go b.commitLoop()
	ctx, cancel := context.WithCancel(context.Background())
	b.stopMaintaining = cancel
	if !opt.Manual {
		b.maintaining.Go(func() { b.maintainLoop(ctx) })
		b.maintaining.Go(b.salvageLoop)
	}
	return b, nil
}

// start opens the database, or begins without one while the disk fails.
func (b *Buffer) start() error {
	err := b.openStore()
	if err == nil || !store.Disk(err) {
		return err
	}
	if err := b.beginEpoch(nil); err != nil {
		return err
	}
	_ = b.failed(err) // it is the error that came in
	return nil
}

func randomEpoch() uint64 {
	var x [8]byte
	_, _ = rand.Read(x[:]) // never fails: it ends the program rather
	return binary.LittleEndian.Uint64(x[:])
}

// Add takes a batch over: it must not be changed after. A batch outside the
// bounds of package collectors is kept as a failed one with the reason. Add waits
// while several full blocks wait for the disk, but not for a disk that fails, and
// not for ever for one that does not answer.
func (b *Buffer) Add(x collectors.Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.awaitRoom()
	if !b.closed {
		b.add(x, nil)
		b.at(PointIngest)
	}
}

// awaitRoom waits while the disk is behind. The caller holds mu.
func (b *Buffer) awaitRoom() {
	if b.crowded() {
		timer := time.AfterFunc(maxWait, func() {
			b.mu.Lock()
			b.stalled = b.crowded()
			b.mu.Unlock()
			b.room.Broadcast()
		})
		for b.crowded() {
			b.room.Wait()
		}
		timer.Stop()
	}
}

// crowded tells whether Add is to wait. The caller holds mu.
func (b *Buffer) crowded() bool {
	return len(b.filled) >= maxFilled && !b.closed && b.trouble == "" && !b.stalled && !b.opt.Manual
}

// add names a batch and puts it in its class's open block; done is that of
// AddWaiting, or nil. The caller holds mu.
func (b *Buffer) add(x collectors.Batch, done func(kept bool)) {
	id, err := b.name(&x)
	if err != nil {
		b.log.Error("a batch is outside the bounds and kept as failed", "source", x.Source, "error", err)
		x = collectors.Batch{Source: collectors.Clip(x.Source, collectors.MaxName), At: x.At,
			Outcome: collectors.Outcome{Result: collectors.Failed, Why: collectors.Clip("invalid: "+err.Error(), collectors.MaxText)}}
		if done != nil {
			done(false)
		}
		if x.Source == "" {
			return
		}
		id, done = block.ID{}, nil
	}
	if len(x.Events) > 0 && done == nil {
		b.limit(&x)
	}
	offset, sure := b.offset()
	b.noteClock(offset, sure)
	if done != nil {
		b.waiters = append(b.waiters, waiter{b.epoch.ID, x.Source, b.next[x.Source], done})
	}
	b.place(x, id, offset, sure)
}

// place gives a batch its stamp and number and puts it in its class's open block.
func (b *Buffer) place(x collectors.Batch, id block.ID, offset int64, sure bool) {
	// Strictly rising within the source, whatever the collector said. One that lies
	// far ahead is no stamp: no reader would take the block.
	now := b.opt.Clock.Now()
	if x.At <= 0 || x.At > now+maxAhead {
		x.At = now
	}
	if last, ok := b.last[x.Source]; ok && x.At <= last {
		x.At = last + 1
	}
	b.last[x.Source] = x.At
	n := b.next[x.Source]
	b.next[x.Source] = n + 1
	class := block.Readings
	if len(x.Events) > 0 {
		class = block.Events
	}
	w := b.open[class]
	if w != nil && (w.head.Offset != offset || w.head.Sure != sure || w.hour != hourOf(x.At, offset)) {
		// A block has one offset. And it is of one hour of wall time, so that whole
		// hours can be compacted and downsampled.
		b.seal(class)
		w = nil
	}
	if w == nil {
		w = newBuilder(block.Head{Probe: b.opt.Probe, Epoch: b.epoch.ID, Boot: b.epoch.Boot, Offset: offset, Sure: sure, Class: class}, hourOf(x.At, offset))
		b.open[class] = w
	}
	w.add(x, n, id)
	if w.full(b.perCell) {
		b.seal(class)
	}
	if class == block.Events {
		wake(b.event)
	}
}

// maxAhead is how far a stamp may lie in the future, in milliseconds.
const maxAhead = 3_600_000

// maxFilled is how many full blocks may wait to be packed before Add waits, maxWait
// how long it waits, and maxRaw how many are kept when that was in vain: they take
// a megabyte each. What waits once it is packed has a bound of its own, maxMemory.
const (
	maxFilled = 8
	maxWait   = 10 * time.Second
	maxRaw    = 16
)

// seal puts the open builder of a class in line for the next commit.
func (b *Buffer) seal(class block.Class) {
	if w := b.open[class]; w != nil && !w.empty() {
		b.filled = append(b.filled, w)
		wake(b.full)
		if len(b.filled) > maxRaw && (b.stalled || b.trouble != "") && !b.opt.Manual {
			b.spill(b.filled[0])
			b.filled = b.filled[1:]
		}
	}
	b.open[class] = nil
}

// name validates a batch and returns the name of its schema, zero for none.
func (b *Buffer) name(x *collectors.Batch) (block.ID, error) {
	if err := x.Validate(); err != nil {
		return block.ID{}, err
	}
	if len(x.Values) == 0 {
		x.Schema = nil
		return block.ID{}, nil
	}
	if s, ok := b.named[x.Source]; ok && s.schema == x.Schema {
		return s.id, nil
	}
	id, bytes, err := b.codec.EncodeSchema(x.Schema)
	if err != nil {
		return block.ID{}, err
	}
	b.named[x.Source] = namedSchema{x.Schema, id}
	b.fresh[id] = bytes
	return id, nil
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Flush commits what was added before.
func (b *Buffer) Flush() error {
	reply := make(chan error, 1)
	select {
	case b.flush <- reply:
		return <-reply
	case <-b.done:
		return errors.New("the buffer is closed")
	}
}

// Full tells whether so much waits that it would be committed before its time: for
// one who commits by hand (Options.Manual) and wants to do so when the buffer would.
func (b *Buffer) Full() bool {
	b.mu.Lock()
	some := len(b.filled) > 0
	b.mu.Unlock()
	return some && b.packFull()
}

// Close commits what was added, marks the epoch as ended in good order and closes
// the database. Adding after it does nothing.
func (b *Buffer) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		<-b.done
		return nil
	}
	b.closed = true
	b.room.Broadcast()
	b.mu.Unlock()
	b.stopMaintaining()
	close(b.stop)
	<-b.done
	b.io.Lock()
	_ = b.commit() // before anything is waited for; what cannot be written now is tried again below
	b.io.Unlock()
	b.maintaining.Wait()
	b.maintenance.Lock() // somebody may maintain it by hand
	defer b.maintenance.Unlock()
	b.io.Lock()
	defer b.io.Unlock()
	err := b.commit()
	b.disappointAll()
	if err != nil {
		b.log.Error("what is in memory cannot be written and is lost", "blocks", len(b.unsaved), "error", err)
	}
	if err == nil && b.rows[b.epoch.ID] {
		b.epoch.End = store.Clean
		err = b.st.Load().Update(func(tx *store.Tx) error { return tx.PutEpoch(b.probe, b.epoch) })
	}
	b.file.close()
	b.codec.Close()
	return errors.Join(err, b.st.Load().Close())
}
