package hub_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// The property test of the delivery rules: random steps over real buffers and a
// real hub, with crashes, torn ends of the database, quarantine, cloned disks, hub
// restores, clock changes, and lost, doubled and reordered messages. The
// invariants I1 to I8 are checked against a ledger that the test keeps itself from
// what the buffer says it seals and commits.
//
// undo takes one rule back, to show that the test notices.
type undo struct {
	epochs  bool // rule 3: the same epoch at every opening
	early   bool // rule 6: blocks leave before they are committed
	ackSoon bool // rule 10: the hub acknowledges before it commits
	silent  bool // rule 12: no accounts
}

const (
	trueOffset = 1_800_000_000_000 // of the first boot

	nSources = 3
	nSteps   = 220
)

type name struct {
	epoch  uint64
	source string
	n      uint64
}

type truth struct {
	value   uint64
	version string // of the schema
	wall    int64  // as the block says it
	stamp   collectors.Stamp
	sure    bool
	boot    [16]byte
}

type world struct {
	t       testing.TB
	r       *rand.Rand
	undo    undo
	big     bool // batches so large that the budget drops some
	dir     string
	codec   *block.Codec
	ps      []*probe
	hub     *hub.Hub
	hubGen  int
	baks    []string
	up      []hub.Message
	late    []hub.Message // rule 10 undone: acknowledged, not stored yet
	down    [][]byte
	epoch   uint64
	value   uint64
	schemas map[block.ID]*collectors.Schema // every one there ever was
	com     map[name]truth                  // the ledger: what was committed
	whole   map[name]collectors.Batch       // and all of it
	twice   bool                            // database and epoch file were torn together: a loss may stay unseen
	ever    map[block.ID]bool               // blocks that the hub has committed or had already
	cloned  bool                            // a disk was
	boots   uint64                          // how many times a box was started
	rollups int                             // that the hub has in the end
	muted   bool                            // the commits of a crashed buffer's Close never happened
	bad     []string
}

type probe struct {
	w       *world
	id      int
	dir     string
	b       *buffer.Buffer
	ck      *clock
	version [nSources]int
	schema  [nSources]*collectors.Schema
	saves   []save
}

// save is a copy of a probe's files.
type save struct{ db, epochs map[string][]byte }

type clock struct {
	now, offset int64
	unsure      bool
	boot        uint64
}

func (c *clock) Now() collectors.Stamp { return collectors.Stamp(c.now) }
func (c *clock) Offset() (int64, bool) { return c.offset, !c.unsure }
func (c *clock) Boot() (id [16]byte) {
	binary.LittleEndian.PutUint64(id[:], c.boot+1)
	return id
}

func (w *world) fail(f string, a ...any) { w.bad = append(w.bad, fmt.Sprintf(f, a...)) }

func (w *world) must(err error) {
	if err != nil {
		panic(err) // a fault of the test's own surroundings
	}
}

func readDir(dir string) map[string][]byte {
	out := map[string][]byte{}
	es, _ := os.ReadDir(dir)
	for _, e := range es {
		if b, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil && !e.IsDir() {
			out[e.Name()] = b
		}
	}
	return out
}

func writeDir(dir string, files map[string][]byte) {
	os.RemoveAll(dir)
	os.MkdirAll(dir, 0o700)
	for n, b := range files {
		os.WriteFile(filepath.Join(dir, n), b, 0o600)
	}
}

func (p *probe) save() save {
	all := readDir(p.dir)
	delete(all, "buffer.db-shm")
	return save{db: all, epochs: readDir(filepath.Join(p.dir, "buffer.db.epochs"))}
}

func (p *probe) open() {
	w := p.w
	cfg := buffer.DefaultConfig()
	cfg.Path, cfg.Commit, cfg.Budget = filepath.Join(p.dir, "buffer.db"), 10*time.Minute, buffer.MinBudget
	b, err := buffer.Open(cfg, buffer.Options{Probe: "t/s", Clock: p.ck, NoSync: true, Manual: true, Pressed: p.id%2 == 0, NewEpoch: w.newEpoch, Sealed: w.seal, Committed: w.commit})
	w.must(err)
	p.b = b
}

func (w *world) newEpoch() uint64 {
	if !w.undo.epochs || w.epoch == 0 {
		w.epoch++
	}
	return w.epoch * 0x9E3779B97F4A7C15
}

// batches lists what a block of ours says.
func (w *world) batches(b *block.Block, f func(name, truth, collectors.Batch)) {
	sections, _, err := w.codec.Decode(b, func(id block.ID) *collectors.Schema { return w.schemas[id] }, nil)
	w.must(err)
	for _, s := range sections {
		for i, x := range s.Batches {
			f(name{b.Epoch, x.Source, s.First + uint64(i)}, truthOf(b, &x), x)
		}
	}
}

func truthOf(b *block.Block, x *collectors.Batch) truth {
	t := truth{wall: b.Wall(x.At), stamp: x.At, sure: b.Sure, boot: b.Boot}
	if len(x.Values) > 0 {
		t.value, t.version = x.Values[0].Counter(), x.Schema.Series[0].Label("v")
	}
	return t
}

func (w *world) seal(b *block.Block) {
	if w.muted {
		return
	}
	w.batches(b, func(n name, t truth, _ collectors.Batch) {
		if old, ok := w.com[n]; ok && old != t {
			w.fail("I1 two batches share the name %v", n)
		}
	})
	if w.undo.early {
		w.up = append(w.up, hub.Message{Site: site, Kind: wire.Live, Payload: b.Bytes})
	}
}

func (w *world) commit(b *block.Block) {
	if w.muted {
		return
	}
	w.batches(b, func(n name, t truth, x collectors.Batch) { w.com[n], w.whole[n] = t, x })
}

var site = wire.Site{Tenant: "t", Name: "s"}

func (p *probe) poll() {
	w := p.w
	for range 1 + w.r.IntN(3) {
		i := w.r.IntN(nSources)
		if p.schema[i] == nil || w.r.IntN(8) == 0 {
			p.version[i]++
			n := 1
			if w.big {
				n = 2000
			}
			s := &collectors.Schema{Source: "device/" + strconv.Itoa(i)}
			for k := range n {
				s.Series = append(s.Series, collectors.Series{Metric: "m", Kind: collectors.Counter,
					Labels: []collectors.Label{{Name: "v", Value: fmt.Sprintf("%d/%d", i, p.version[i])}, {Name: "k", Value: strconv.Itoa(k)}}})
			}
			p.schema[i] = s
			id, _, err := w.codec.EncodeSchema(s)
			w.must(err)
			w.schemas[id] = s
		}
		p.ck.now += 1 + w.r.Int64N(5)
		if w.r.IntN(4) == 0 {
			p.ck.now += w.r.Int64N(1_500_000)
		}
		x := collectors.Batch{Source: p.schema[i].Source, At: p.ck.Now()}
		if w.r.IntN(10) == 0 {
			x.Outcome = collectors.Outcome{Result: collectors.Failed, Why: "no answer"}
		} else {
			x.Schema, x.Values = p.schema[i], make([]collectors.Value, len(p.schema[i].Series))
			for k := range x.Values {
				w.value++
				v := w.value
				if k > 0 {
					v = w.r.Uint64()
				}
				x.Values[k] = collectors.CounterValue(v)
			}
		}
		p.b.Add(x)
	}
}

// crash ends the probe as a kill or a power cut would: its files stay as they are
// at this instant, or as they were in an earlier save.
func (p *probe) crash(s save) {
	p.w.muted = true
	p.b.Close() // what it writes now is undone
	p.w.muted = false
	writeDir(p.dir, s.db)
	writeDir(filepath.Join(p.dir, "buffer.db.epochs"), s.epochs)
}

func (p *probe) flush() {
	w := p.w
	p.saves = append(p.saves, p.save())
	if len(p.saves) > 5 {
		p.saves = p.saves[1:]
	}
	if w.undo.early && w.r.IntN(4) == 0 {
		// The commit that did not happen, after the blocks have left.
		s, com := p.save(), w.com
		w.com = map[name]truth{}
		for k, v := range com {
			w.com[k] = v
		}
		w.must(p.b.Flush())
		w.com = com
		p.crash(s)
		p.open()
		return
	}
	before := p.save().epochs
	w.must(p.b.Flush())
	if w.r.IntN(12) == 0 { // killed between the commit and the epoch file
		s := p.save()
		s.epochs = before
		p.crash(s)
		p.open()
	}
}

func (w *world) handle(ms ...hub.Message) {
	if w.undo.ackSoon {
		for i, m := range ms {
			if b, err := block.Parse(m.Payload); (m.Kind == wire.Live) && err == nil {
				w.down = append(w.down, wire.EncodeReply(&wire.Reply{Hub: "h", Stored: []block.ID{b.ID}})...)
				w.late = append(w.late, ms[i])
				continue
			}
			w.store(m)
		}
		return
	}
	w.store(ms...)
}

// commitAtHub hands messages to the hub and notes which blocks it has committed.
func (w *world) commitAtHub(ms []hub.Message) map[wire.Site]*wire.Reply {
	replies, err := w.hub.Handle(ms)
	w.must(err)
	for _, r := range replies {
		for _, id := range r.Stored {
			w.ever[id] = true
		}
	}
	return replies
}

func (w *world) store(ms ...hub.Message) {
	replies := w.commitAtHub(ms)
	if w.r.IntN(20) == 0 {
		return // the ingester dies between its commit and the acknowledgement
	}
	for _, r := range replies {
		w.down = append(w.down, wire.EncodeReply(r)...)
	}
}

func (p *probe) account(scope buffer.Scope) {
	w := p.w
	if w.undo.silent {
		return
	}
	a, err := p.b.Account(scope)
	w.must(err)
	for _, m := range wire.EncodeAccount(a) {
		w.up = append(w.up, hub.Message{Site: site, Kind: wire.Accounts, Payload: m})
	}
}

// receive is what the sender does with a reply.
func (p *probe) receive(m []byte) {
	w := p.w
	r, err := wire.DecodeReply(m)
	w.must(err)
	if len(r.Stored) > 0 {
		for _, id := range r.Stored {
			if !w.ever[id] {
				w.fail("I4 delivered, but the hub has not committed it: %v", id)
			}
		}
		_, _, err = p.b.Delivered(r.Stored)
		w.must(err)
	}
	var schemas [][]byte
	for _, x := range r.Missing {
		for _, id := range x.Schemas {
			b, err := p.b.SchemaBytes(id)
			w.must(err)
			if b != nil {
				schemas = append(schemas, b)
			}
		}
	}
	for _, m := range wire.EncodeSchemas(schemas) {
		w.up = append(w.up, hub.Message{Site: site, Kind: wire.SchemaUp, Payload: m})
	}
	if len(r.Answer) > 0 {
		_, err := p.b.Apply(&buffer.Answer{Hub: r.Hub, Lines: r.Answer})
		w.must(err)
	}
}

func one[T any](r *rand.Rand, q *[]T) (x T, ok bool) {
	if len(*q) == 0 {
		return x, false
	}
	i := r.IntN(len(*q))
	x = (*q)[i]
	if r.IntN(5) > 0 { // else it is doubled
		*q = slices.Delete(*q, i, i+1)
	}
	return x, r.IntN(7) > 0 // else it is lost
}

func (w *world) openHub() {
	h, err := hub.Open(hub.Options{Path: filepath.Join(w.dir, fmt.Sprint("hub", w.hubGen), "hub.db"), NoSync: true})
	w.must(err)
	w.hub = h
}

func (w *world) backup() string {
	to := filepath.Join(w.dir, fmt.Sprint("bak", len(w.baks)))
	files := readDir(filepath.Join(w.dir, fmt.Sprint("hub", w.hubGen)))
	delete(files, "hub.db-shm")
	writeDir(to, files)
	return to
}

func (w *world) step() {
	r := w.r
	p := w.ps[r.IntN(len(w.ps))]
	switch x := r.IntN(1016); {
	case x < 180:
		p.poll()
	case x < 270:
		p.flush()
	case x < 420: // offer a pending block
		ps, err := p.b.PendingAfter(0, 1<<60, 1<<30)
		w.must(err)
		if len(ps) > 0 {
			w.up = append(w.up, hub.Message{Site: site, Kind: wire.Live, Payload: ps[r.IntN(len(ps))].Bytes})
		}
	case x < 640: // something reaches the hub
		if m, ok := one(r, &w.up); ok {
			w.handle(m)
		}
	case x < 670: // a group reaches it
		n := min(len(w.up), 5)
		w.handle(w.up[:n]...)
		w.up = w.up[n:]
	case x < 690:
		if len(w.late) > 0 {
			w.store(w.late[0])
			w.late = w.late[1:]
		}
	case x < 840: // something reaches the boxes
		if m, ok := one(r, &w.down); ok {
			for _, p := range w.ps {
				if r.IntN(6) > 0 {
					p.receive(m)
				}
			}
		}
	case x < 855:
		w.late = nil // the ingester dies
	case x < 880: // killed
		p.crash(p.save())
		p.open()
	case x < 890: // restarted in good order
		w.must(p.b.Close())
		p.open()
	case x < 905: // torn: the database goes back, the epoch files do not
		if len(p.saves) > 0 {
			k := r.IntN(len(p.saves))
			s := p.saves[k]
			p.saves = p.saves[:k]
			if r.IntN(16) == 0 {
				w.twice = true
			} else {
				s.epochs = p.save().epochs
			}
			p.crash(s)
			p.open()
		}
	case x < 909: // quarantine
		s := p.save()
		s.db = map[string][]byte{"buffer.db": []byte("this was a database once")}
		p.crash(s)
		p.saves = nil
		p.open()
	case x < 950:
		p.account([]buffer.Scope{buffer.Everything, buffer.Unsettled}[r.IntN(2)])
	case x < 955:
		p.ck.offset += r.Int64N(7000) - 3000
	case x < 966: // unsure, and off by up to 30 years
		p.ck.unsure = true
		p.ck.offset += r.Int64N(2e12) - 1e12
	case x < 978:
		p.ck.unsure, p.ck.offset = false, trueOffset-int64(p.ck.boot)
	case x < 982: // the box starts again, perhaps in 1970
		p.crash(p.save())
		w.boots++
		p.ck.boot, p.ck.now, p.ck.unsure = w.boots, 1+r.Int64N(1000), true
		if r.IntN(2) == 0 {
			p.ck.offset = 0
		}
		p.open()
	case x < 990:
		w.baks = append(w.baks, w.backup())
	case x < 996: // the hub is restored from a backup
		if len(w.baks) > 0 {
			w.must(w.hub.Close())
			files := readDir(w.baks[r.IntN(len(w.baks))])
			w.hubGen++
			writeDir(filepath.Join(w.dir, fmt.Sprint("hub", w.hubGen)), files)
			w.openHub()
			w.late = nil
		}
	case x < 999: // a cloned disk
		if len(w.ps) < 3 {
			w.boots++
			w.cloned = true
			q := &probe{w: w, id: len(w.ps), dir: filepath.Join(w.dir, fmt.Sprint("p", len(w.ps))), ck: &clock{now: p.ck.now, offset: p.ck.offset, unsure: p.ck.unsure, boot: w.boots}, version: p.version}
			for i := range q.version {
				q.version[i] += 1000 * len(w.ps)
			}
			s := p.save()
			writeDir(q.dir, s.db)
			writeDir(filepath.Join(q.dir, "buffer.db.epochs"), s.epochs)
			q.open()
			w.ps = append(w.ps, q)
		}
	default: // compaction, and downsampling
		if err := p.b.Maintain(); err != nil {
			if !w.undo.epochs {
				panic(err)
			}
			w.fail("I1 blocks cannot be put together: %v", err)
		}
	}
}

// drain lets everything arrive, and lets boxes and hub talk until nothing is left
// to say.
func (w *world) drain() {
	for _, m := range w.late {
		if !w.undo.ackSoon {
			w.store(m)
		}
	}
	settle := func() {
		for i := 0; i < 500 && len(w.up)+len(w.down) > 0; i++ {
			up := w.up
			w.up = nil
			if len(up) > 0 {
				for _, r := range w.commitAtHub(up) {
					w.down = append(w.down, wire.EncodeReply(r)...)
				}
			}
			down := w.down
			w.down = nil
			for _, m := range down {
				for _, p := range w.ps {
					p.receive(m)
				}
			}
		}
	}
	for _, p := range w.ps {
		w.must(p.b.Flush())
	}
	settle()
	for range 30 {
		left := 0
		for _, p := range w.ps {
			p.account(buffer.Everything)
			settle()
			ps, err := p.b.PendingAfter(0, 1<<60, 1<<30)
			w.must(err)
			for _, x := range ps {
				left++
				w.up = append(w.up, hub.Message{Site: site, Kind: wire.Live, Payload: x.Bytes})
			}
			settle()
		}
		if left == 0 {
			break
		}
	}
	// The last word: what everything is now.
	for range 2 {
		for _, p := range w.ps {
			p.account(buffer.Everything)
			settle()
		}
	}
}

// run plays one seed and returns what it found against the rules.
func run(t testing.TB, seed uint64, u undo, dir string) (bad []string, rollups int) {
	codec, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer codec.Close()
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 17)), undo: u, big: seed%10 == 0, dir: dir, codec: codec, com: map[name]truth{}, whole: map[name]collectors.Batch{}, schemas: map[block.ID]*collectors.Schema{}, ever: map[block.ID]bool{}}
	w.openHub()
	defer func() { w.hub.Close() }()
	w.baks = []string{w.backup()}
	p := &probe{w: w, dir: filepath.Join(dir, "p0"), ck: &clock{now: 1_000_000, offset: trueOffset}}
	w.ps = []*probe{p}
	p.open()
	defer func() {
		for _, p := range w.ps {
			p.b.Close()
		}
	}()
	steps := nSteps
	if w.big {
		steps *= 2
	}
	for range steps {
		w.step()
	}
	w.drain()
	w.check()
	return w.bad, w.rollups
}

// sweep runs seeds on all cores and returns how many broke a rule, and the first
// finding of each.
func sweep(t *testing.T, u undo, from, n uint64) (bad, rollups int, first string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	work := make(chan uint64)
	root := t.TempDir()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range work {
				dir := filepath.Join(root, strconv.FormatUint(seed, 10))
				found, rolled := run(t, seed, u, dir)
				os.RemoveAll(dir)
				mu.Lock()
				rollups += rolled
				if len(found) > 0 {
					if bad++; first == "" {
						first = fmt.Sprintf("seed %d: %s (%d findings)", seed, found[0], len(found))
					}
				}
				mu.Unlock()
			}
		})
	}
	for i := range n {
		work <- from + i
	}
	close(work)
	wg.Wait()
	return bad, rollups, first
}

func TestDeliveryRules(t *testing.T) {
	n := uint64(200)
	if os.Getenv("SITEPROBE_TORTURE") != "" {
		n = 5000
	}
	from := uint64(1)
	if s := os.Getenv("SITEPROBE_SEED"); s != "" {
		from, _ = strconv.ParseUint(s, 10, 64)
		n = 1
	}
	bad, rollups, first := sweep(t, undo{}, from, n)
	if n == 1 && bad > 0 {
		found, _ := run(t, from, undo{}, t.TempDir())
		for _, f := range found {
			t.Log(f)
		}
	}
	if bad > 0 {
		t.Fatalf("%d of %d runs broke a rule; %s; again with SITEPROBE_SEED", bad, n, first)
	}
	if n > 20 && rollups == 0 {
		t.Fatal("no rollup ever reached the hub: the test does not see what it should")
	}
	t.Logf("%d runs of %d steps from seed %d: no rule broken; %d rollups in the hubs", n, nSteps, from, rollups)
}

// TestUndoneRulesAreNoticed is the test's own control: without one of the rules
// it must fail.
func TestUndoneRulesAreNoticed(t *testing.T) {
	for rule, u := range map[string]undo{
		"3: an epoch for every opening": {epochs: true},
		"6: commit, then send":          {early: true},
		"10: commit, then acknowledge":  {ackSoon: true},
		"12: accounts":                  {silent: true},
	} {
		t.Run(rule, func(t *testing.T) {
			bad, _, first := sweep(t, u, 1, 24)
			if bad == 0 {
				t.Fatal("the test does not notice that the rule is gone")
			}
			t.Logf("%d of 24 runs fail without it; %s", bad, first)
		})
	}
}
