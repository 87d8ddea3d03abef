package faulttest_test

import (
	"database/sql"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

const probe = "tenant/site"

// worker is the process that has the buffer. It reports what it found, then works
// until it is killed.
type worker struct {
	job  job
	rand *rand.Rand
	now  atomic.Int64
	step int64 // between two batches, in ms
	b    *buffer.Buffer
	hits int

	codec *block.Codec

	mu      sync.Mutex
	out     *gob.Encoder
	waiting map[key]bool // added, and not confirmed yet
}

// key is what a batch's content follows from.
type key struct {
	source string
	at     int64
}

// work is the worker's main. Its job comes over in, whose end is its own, and its
// reports go out.
func work(in io.Reader, out io.Writer) int {
	w := &worker{out: gob.NewEncoder(out), waiting: map[key]bool{}}
	if err := json.NewDecoder(in).Decode(&w.job); err != nil {
		return 1 // nobody has a job
	}
	w.rand = rand.New(rand.NewPCG(w.job.Seed, 1))
	w.now.Store(w.job.Now)
	w.step = []int64{1000, 10_000, 60_000}[w.rand.IntN(3)]
	if err := w.open(); err != nil {
		w.tell(report{Failed: err.Error()})
	} else {
		w.tell(report{Contents: w.contents()})
		for range 10 + w.rand.IntN(15) {
			w.act()
		}
		if w.rand.IntN(6) == 0 {
			if err := w.b.Close(); err != nil {
				w.fault("closing: %v", err)
			}
		}
	}
	w.tell(report{Done: true})
	_, _ = io.Copy(io.Discard, in) // until it is killed, or nobody is left to do so
	return 0
}

func (w *worker) tell(r report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.out.Encode(r); err != nil {
		os.Exit(1) // nobody listens
	}
}

func (w *worker) fault(format string, args ...any) {
	w.tell(report{Fault: fmt.Sprintf(format, args...)})
}

func (w *worker) Now() collectors.Stamp { return collectors.Stamp(w.now.Load()) }
func (w *worker) Offset() (int64, bool) { return 1_800_000_000_000, true }
func (w *worker) Boot() [16]byte        { return [16]byte{1} }

func (w *worker) open() (err error) {
	if w.codec, err = block.NewCodec(); err != nil {
		return err
	}
	if w.job.Damage {
		if err := damage(w.job.Path); err != nil {
			return fmt.Errorf("damaging the database: %w", err)
		}
	}
	cfg := buffer.DefaultConfig()
	cfg.Path, cfg.Budget, cfg.Commit = w.job.Path, buffer.MinBudget, time.Minute
	cfg.History = 48 * time.Hour // some five jobs: then rollups are made
	w.b, err = buffer.Open(cfg,
		buffer.Options{Probe: probe, Clock: w, Sync: w.job.Sync, NoSync: w.job.NoSync, Manual: true, Pressed: w.job.Seed%3 > 0, LogBytes: 32 << 10,
			Committed: w.committed, Point: w.point})
	return err
}

// damage makes a database unusable as a whole, and leaves most of it as it is.
func damage(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a kill came between setting aside and a fresh one
	}
	if err != nil {
		return err
	}
	defer f.Close()
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		return err
	}
	_, err = db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(strings.Repeat("\xA5", 1000)), 100)
	return err
}

// point kills the process where its job says so.
func (w *worker) point(p string) {
	if p != w.job.Kill {
		return
	}
	w.mu.Lock() // a report that has been begun is told; points come from several goroutines
	if w.hits++; w.hits == w.job.Hit {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // it does not fail
		select {}
	}
	w.mu.Unlock()
}

// committed reports what the buffer confirms.
func (w *worker) committed(x *block.Block) {
	var out []batch
	found, err := w.decode(x, w.b.Schema)
	if err != nil {
		w.fault("a committed block: %v", err)
	}
	w.mu.Lock()
	for _, y := range found {
		out = append(out, y)
		delete(w.waiting, key{y.Name.Source, y.At})
	}
	w.mu.Unlock()
	w.tell(report{Committed: out})
}

// decode returns a block's batches, of rollups none; the error says which differ from what they
// were made of.
func (w *worker) decode(x *block.Block, schema func(block.ID) *collectors.Schema) (out []batch, err error) {
	sections, want, err := w.codec.Decode(x, schema, nil)
	if err != nil || want > 0 {
		return nil, fmt.Errorf("block %s, %d schemas missing: %w", x.ID, want, err)
	}
	var errs []error
	for i, s := range sections {
		for j := range s.Batches {
			y := &s.Batches[j]
			y.Source = x.Cover[i].Source
			n := name{x.Epoch, y.Source, s.First + uint64(j)}
			out = append(out, batch{n, int64(y.At)})
			if y.Source == buffer.EventSource || x.Tier != block.Raw {
				continue // the buffer's own, or events that were told together
			}
			if what := wrong(y); what != "" {
				errs = append(errs, fmt.Errorf("%v: %s", n, what))
			}
		}
	}
	return out, errors.Join(errs...)
}

// contents reads all that the database and the account know, past the buffer.
func (w *worker) contents() *contents {
	c := &contents{Now: w.job.Now}
	bad := func(format string, args ...any) { c.Faults = append(c.Faults, fmt.Sprintf(format, args...)) }
	all, err := store.Asides(w.job.Path)
	if err != nil {
		bad("%v", err)
	}
	c.Wrecks = len(all)
	for _, a := range all {
		if a.Why != store.WhyTorn { // else it is what a log had behind its torn part
			c.Aside++
		}
	}
	st, err := store.Open(w.job.Path, store.Options{ReadOnly: true})
	if err != nil {
		bad("opening it for reading: %v", err)
		return c
	}
	defer st.Close()
	if err := intact(w.job.Path); err != nil {
		bad("the database is not whole: %v", err)
	}
	err = st.View(func(tx *store.Tx) error {
		err := tx.Rows(func(r *store.Row) error {
			line := fmt.Sprintf("%d pending %t class %d tier %d:", r.Seq, r.Pending, r.Class, r.Tier)
			for i := range r.Cover {
				line += fmt.Sprintf(" %v", span{r.Epoch, r.Cover[i].Source, r.Cover[i].Range()})
			}
			c.Blocks = append(c.Blocks, line)
			return nil
		}, "ORDER BY b.seq")
		if err != nil {
			return err
		}
		err = tx.Blocks(probe, func(x *block.Block) error {
			// Unpacking all of it each time would be most of the work.
			if int64(x.T1) >= w.job.Fresh || w.rand.IntN(10) == 0 {
				found, err := w.decode(x, tx.Schema)
				if err != nil {
					bad("%v", err)
				}
				if x.Tier == block.Raw {
					c.Batches = append(c.Batches, found...)
					return nil
				}
				c.Rolled++
			}
			for _, cv := range x.Cover {
				c.Covered = append(c.Covered, span{x.Epoch, cv.Source, cv.Range()})
			}
			return nil
		})
		if err != nil {
			return err
		}
		id, err := tx.FindProbe(probe)
		if err != nil {
			return err
		}
		return tx.Gaps(id, func(g store.Gap) error {
			if g.Reason == "" {
				bad("a gap without a reason: %+v", g)
			}
			c.Gaps = append(c.Gaps, span{g.Epoch, g.Source, g.Range})
			c.Blocks = append(c.Blocks, fmt.Sprintf("gap %s: %v", g.Reason, span{g.Epoch, g.Source, g.Range}))
			return nil
		})
	})
	if err != nil {
		bad("reading it: %v", err)
	}
	a, err := w.b.Account(buffer.Everything)
	if err != nil {
		bad("%v", err)
		return c
	}
	for _, l := range a.Lines {
		c.Next = append(c.Next, span{l.Epoch, l.Source, block.Range{First: l.From, End: l.Next}})
	}
	return c
}

// intact has SQLite look at all of the database.
func intact(path string) error {
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		return err
	}
	defer db.Close()
	var word string
	if err := db.QueryRow("PRAGMA integrity_check(3)").Scan(&word); err != nil || word == "ok" {
		return err
	}
	return errors.New(word)
}

// act does one thing of what a buffer is there for.
func (w *worker) act() {
	switch k := w.rand.IntN(16); {
	case k < 6:
		w.add(1 + w.rand.IntN(12))
		w.flush(w.added())
	case k < 10: // polls go on during a commit
		w.add(1 + w.rand.IntN(6))
		before, done := w.added(), make(chan struct{})
		go func() { defer close(done); w.flush(before) }()
		w.add(1 + w.rand.IntN(6))
		<-done
	case k < 12:
		w.add(1 + w.rand.IntN(6))
	case k < 14:
		if !w.job.Offline {
			w.deliver()
		}
	case k < 15 || w.job.Kill != "": // it is most of the work
		w.maintain()
	}
}

// maintain has the buffer do what it does in the background otherwise.
func (w *worker) maintain() {
	if err := w.b.Maintain(); err != nil {
		w.fault("maintenance: %v", err)
	}
	before := w.b.Behind()
	if err := w.b.Salvage(); err != nil {
		w.fault("salvage: %v", err)
	}
	if w.b.Behind() != before { // there are blocks that nobody was told of
		w.tell(report{Contents: w.contents()})
	}
}

func (w *worker) add(n int) {
	all := sources()
	for range n {
		x := content(all[w.rand.IntN(len(all))], collectors.Stamp(w.now.Add(w.step)))
		w.mu.Lock()
		w.waiting[key{x.Source, int64(x.At)}] = true
		w.mu.Unlock()
		w.b.Add(x)
	}
}

// added returns what was added and is not confirmed yet.
func (w *worker) added() []key {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.waiting))
}

// flush commits; success must mean that all that was added before is confirmed.
func (w *worker) flush(before []key) {
	if err := w.b.Flush(); err != nil {
		return // the power is gone, or going; the buffer keeps what it could not commit
	}
	left := 0
	w.mu.Lock()
	for _, k := range before {
		if w.waiting[k] {
			left++
		}
	}
	w.mu.Unlock()
	if left > 0 {
		w.fault("Flush returned no error, and %d of %d batches are not committed", left, len(before))
	}
}

// deliver acknowledges some of what is pending: the hub has it by then, as the
// report says first.
func (w *worker) deliver() {
	ps, err := w.b.PendingAfter(0, w.b.Head(), 1<<20)
	if err != nil {
		return // as for flush
	}
	var ids []block.ID
	var answer buffer.Answer
	for _, p := range ps {
		if w.rand.IntN(3) == 0 {
			continue
		}
		h, _, err := block.ParseHead(p.Bytes)
		if err != nil {
			w.fault("a pending block: %v", err)
			return
		}
		var stored []span
		for _, cv := range h.Cover {
			stored = append(stored, span{h.Epoch, cv.Source, cv.Range()})
			answer.Lines = append(answer.Lines, buffer.AnswerLine{Epoch: h.Epoch, Source: cv.Source,
				Has: []buffer.TierRanges{{Tier: h.Tier, Ranges: block.Ranges{cv.Range()}}}})
		}
		w.tell(report{Stored: stored})
		ids = append(ids, p.ID)
	}
	// An error leaves them pending, which costs traffic only.
	if w.rand.IntN(3) == 0 {
		answer.Hub = "hub"
		_, _ = w.b.Apply(&answer)
	} else {
		_, _, _ = w.b.Delivered(ids)
	}
}
