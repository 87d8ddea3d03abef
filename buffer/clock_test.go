package buffer_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// bootClock is the clock of a box that can be started anew. truth is what Offset
// ought to say.
type bootClock struct {
	now, offset, truth int64
	sure               bool
	boot               byte
}

const trueWall = 1_800_000_000_000 // when the box of these tests starts for the first time

func (c *bootClock) Now() collectors.Stamp { return collectors.Stamp(c.now) }
func (c *bootClock) Offset() (int64, bool) { return c.offset, c.sure }
func (c *bootClock) Boot() (id [16]byte) {
	id[0] = c.boot
	return id
}

// reboot starts the box again after a pause, with the wall clock off by so much.
func (c *bootClock) reboot(pause, off time.Duration) {
	wall := c.now + c.truth + pause.Milliseconds()
	*c = bootClock{now: 5000, truth: wall - 5000, offset: wall - 5000 + off.Milliseconds(), boot: c.boot + 1}
}

func (c *bootClock) synchronise() { c.offset, c.sure = c.truth, true }

// clockBox is a box whose every reading tells when it was truly taken.
type clockBox struct {
	*testing.T
	*bootClock
	b   *buffer.Buffer
	cfg buffer.Config
	s   *collectors.Schema
	n   int
}

func newClockBox(t *testing.T) *clockBox {
	x := &clockBox{T: t, bootClock: &bootClock{now: 5000, truth: trueWall - 5000, boot: 1}, cfg: config(t.TempDir()), s: counters("device/sw", 1)}
	x.start()
	return x
}

func (x *clockBox) start() { x.b = open(x.T, x.cfg, buffer.Options{Clock: x.bootClock}) }

// collect polls n times, one minute apart, and commits after each third.
func (x *clockBox) collect(n int) {
	for i := range n {
		x.now += time.Minute.Milliseconds()
		x.b.Add(batch(x.s, x.Now(), uint64(x.now+x.truth)))
		if x.n++; i%3 == 2 || i == n-1 {
			flush(x.T, x.b)
		}
	}
}

// points reads all back and checks that nothing is lost and all is in order.
func (x *clockBox) points() []store.Point {
	x.Helper()
	got, err := x.b.History(store.Query{Device: "sw"})
	if err != nil || len(got) != 1 {
		x.Fatal(got, err)
	}
	ps := got[0].Points
	if len(ps) != x.n {
		x.Fatalf("%d readings, %d were taken", len(ps), x.n)
	}
	if !slices.IsSortedFunc(ps, func(a, b store.Point) int { return int(a.V.Counter()) - int(b.V.Counter()) }) {
		x.Fatalf("out of order: %v", ps)
	}
	return ps
}

// right checks that the readings are where they were taken.
func (x *clockBox) right(ps []store.Point) {
	x.Helper()
	for i, p := range ps {
		if p.T != int64(p.V.Counter()) || p.Unsure {
			x.Fatalf("reading %d was taken at %d and is at %d (unsure %v)", i, p.V.Counter(), p.T, p.Unsure)
		}
	}
	// The index must agree, or a look at a part of the time would miss some.
	from, to := ps[len(ps)/3].T, ps[len(ps)*2/3].T
	part, err := x.b.History(store.Query{Device: "sw", From: from, To: to})
	if want := len(ps)*2/3 - len(ps)/3 + 1; err != nil || len(part) != 1 || len(part[0].Points) != want {
		x.Fatalf("%v %v: want %d points between %d and %d", part, err, want, from, to)
	}
}

// clockEvents returns the offsets that the box has told.
func (x *clockBox) events(kind string) (out []store.EventRecord) {
	x.Helper()
	all, err := readStore(x.T, x.cfg).Events("t/s", 1000)
	if err != nil {
		x.Fatal(err)
	}
	for _, e := range all {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

func readStore(t *testing.T, cfg buffer.Config) *store.Store {
	t.Helper()
	st, err := store.Open(cfg.Path, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// crash ends the box as a kill would, and starts it again.
func (x *clockBox) crash() {
	x.Helper()
	dir := filepath.Dir(x.cfg.Path)
	to := x.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		x.Fatal(err)
	}
	x.b.Close()
	x.cfg.Path = filepath.Join(to, "buffer.db")
}

func TestWhatWasCollectedIn1970IsCorrected(t *testing.T) {
	x := newClockBox(t)
	x.offset = 0 // the wall clock says 1970
	x.collect(7)
	for _, p := range x.points() {
		if !p.Unsure {
			t.Fatalf("%+v is not said to be unsure", p)
		}
	}
	raw := pending(t, x.b)
	x.synchronise()
	x.collect(5)
	x.right(x.points())
	if e := x.events("clock"); len(e) != 1 {
		t.Fatalf("%d clock events: %v", len(e), e)
	}
	for i, p := range pending(t, x.b)[:len(raw)] {
		if p.ID != raw[i].ID || string(p.Bytes) != string(raw[i].Bytes) {
			t.Fatal("a stored byte has changed")
		}
	}
	// Off again, and on: one event a boot, and what is unsure is read by it.
	x.offset, x.sure = x.truth+90_000, false
	x.collect(4)
	x.right(x.points())
	x.synchronise()
	x.collect(1)
	if e := x.events("clock"); len(e) != 1 {
		t.Fatalf("%d clock events: %v", len(e), e)
	}
}

func TestClockThatJumpsAYear(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, off := range map[string]time.Duration{"forward": year, "back": -year} {
		t.Run(name, func(t *testing.T) {
			x := newClockBox(t)
			x.cfg.History = 24 * time.Hour
			x.synchronise()
			x.collect(5)
			deliver(t, x.b)
			x.sure, x.offset = false, x.truth+off.Milliseconds()
			x.collect(5) // trims once a minute of real time, so the next opening does
			deliver(t, x.b)
			if err := x.b.Close(); err != nil {
				t.Fatal(err)
			}
			x.start()
			x.collect(5)
			x.points()
			x.synchronise()
			x.collect(5)
			x.right(x.points())
			x.b.Close()
			x.start()
			x.collect(1)
			x.right(x.points())
		})
	}
}

func deliver(t *testing.T, b *buffer.Buffer) {
	t.Helper()
	if _, _, err := b.Delivered(ids(pending(t, b))); err != nil {
		t.Fatal(err)
	}
}

func TestClockThatIsNeverSynchronised(t *testing.T) {
	x := newClockBox(t)
	x.offset = 0
	x.collect(5)
	for _, off := range []time.Duration{-50 * 365 * 24 * time.Hour, 0, -400 * 24 * time.Hour, -time.Hour} {
		x.crash()
		x.reboot(time.Minute, off)
		x.start()
		x.collect(3)
		x.offset -= 1_000_000_000 // even in one boot
		x.collect(3)
		x.offset += 2_000_000
		x.collect(3)
	}
	for _, p := range x.points() {
		if !p.Unsure {
			t.Fatalf("%+v is not said to be unsure", p)
		}
	}
	if e := x.events("clock"); len(e) != 0 {
		t.Fatal(e)
	}
	a, err := x.b.Account(buffer.Everything)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range a.Lines {
		if l.EpochStart != 0 {
			t.Fatalf("a start that nobody knows: %+v", l)
		}
	}
}

func TestClockEventAfterARestartInOneBoot(t *testing.T) {
	x := newClockBox(t)
	x.offset = 0
	x.collect(4)
	x.crash()
	x.start()
	x.collect(2)
	x.crash()
	x.start()
	x.synchronise() // this opening has sealed nothing unsure
	x.collect(4)
	x.right(x.points())
	x.b.Close()
	x.start()
	x.sure = false
	x.collect(1)
	x.sure = true
	x.collect(2)
	x.right(x.points())
	if e := x.events("clock"); len(e) != 1 {
		t.Fatalf("%d clock events: %v", len(e), e)
	}
	a, err := x.b.Account(buffer.Everything)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range a.Lines {
		if l.EpochStart < trueWall || l.EpochStart > trueWall+time.Hour.Milliseconds() {
			t.Fatalf("%+v began at %v", l, time.UnixMilli(l.EpochStart))
		}
	}
}

func TestAnotherBootsClockCorrectsNothing(t *testing.T) {
	x := newClockBox(t)
	x.offset = 0
	x.collect(4)
	x.b.Close()
	x.reboot(time.Hour, -time.Hour)
	x.start()
	x.collect(2)
	x.synchronise()
	x.collect(4)
	ps := x.points()
	for _, p := range ps[:4] {
		if !p.Unsure || p.T > trueWall/2 {
			t.Fatalf("%+v", p)
		}
	}
	for _, p := range ps[4:] {
		if p.Unsure || p.T != int64(p.V.Counter()) {
			t.Fatalf("%+v", p)
		}
	}
}

func TestBootWithoutANameIsNotCorrected(t *testing.T) {
	x := newClockBox(t)
	x.b.Close()
	x.boot, x.offset = 0, 0
	x.start()
	x.collect(4)
	x.synchronise()
	x.collect(4)
	if ps := x.points(); !ps[0].Unsure || ps[7].Unsure || ps[7].T != int64(ps[7].V.Counter()) {
		t.Fatal(ps)
	}
}

func TestUnmeasured(t *testing.T) {
	x := newClockBox(t)
	x.synchronise()
	x.collect(3)
	x.b.Close()
	x.start() // in good order
	x.collect(3)
	last := x.now + x.truth
	x.crash()
	x.reboot(7*time.Minute, -20*time.Minute)
	x.start() // and killed before its first commit: it is told all the same
	x.crash()
	x.now += 90_000
	x.start()
	began := x.now + x.truth
	x.collect(2)
	x.synchronise()
	x.collect(1)
	es := x.events("unmeasured")
	if len(es) != 1 {
		t.Fatalf("%v", es)
	}
	spans, err := readStore(t, x.cfg).Unmeasured(context.Background(), "t/s", 0, 0)
	if err != nil || len(spans) != 1 || spans[0] != (store.Span{From: last, To: began}) {
		t.Fatalf("%v %v, want %d to %d", spans, err, last, began)
	}
}

// TestUnmeasuredWhileUnsure: both ends are unsure at first, and known later.
func TestUnmeasuredWhileUnsure(t *testing.T) {
	x := newClockBox(t)
	x.offset = 0
	x.collect(3)
	last := x.now + x.truth
	x.crash()
	x.now += 200_000
	x.start()
	began := x.now + x.truth
	x.collect(2)
	spans, err := readStore(t, x.cfg).Unmeasured(context.Background(), "t/s", 0, 0)
	if err != nil || len(spans) != 1 || !spans[0].Unsure || spans[0].To-spans[0].From != began-last {
		t.Fatalf("%v %v", spans, err)
	}
	x.synchronise()
	x.collect(1)
	spans, err = readStore(t, x.cfg).Unmeasured(context.Background(), "t/s", 0, 0)
	if err != nil || len(spans) != 1 || spans[0] != (store.Span{From: last, To: began}) {
		t.Fatalf("%v %v, want %d to %d", spans, err, last, began)
	}
}

// TestHostileClockEvents: what no box of ours would say is kept and believed
// nothing of.
func TestHostileClockEvents(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(filepath.Join(dir, "hub.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	mine, other := [16]byte{1}, [16]byte{2}
	const offset = trueWall
	s := counters("device/sw", 1)
	id, bytes, err := st.Codec().EncodeSchema(s)
	if err != nil {
		t.Fatal(err)
	}
	unsure := encode(t, st, block.Head{Probe: "t/s", Epoch: 1, Boot: mine}, block.Section{Schema: id, Batches: []collectors.Batch{batch(s, 1000, 1)}})
	tell := func(head block.Head, source string, e collectors.Event) *block.Block {
		head.Probe, head.Epoch, head.Class = "t/s", 2, block.Events
		return encode(t, st, head, block.Section{Batches: []collectors.Batch{{Source: source, At: 5000, Events: []collectors.Event{e}}}})
	}
	wrong := store.NewClockEvent(mine, offset)
	wrong.Labels = wrong.Labels[:1]
	bad := map[string]*block.Block{
		"unsure itself":          tell(block.Head{Boot: mine, Offset: offset}, store.EventSource, store.NewClockEvent(mine, offset)),
		"of another boot":        tell(block.Head{Boot: other, Offset: offset, Sure: true}, store.EventSource, store.NewClockEvent(mine, offset)),
		"of another offset":      tell(block.Head{Boot: mine, Offset: offset, Sure: true}, store.EventSource, store.NewClockEvent(mine, offset+1)),
		"of a device":            tell(block.Head{Boot: mine, Offset: offset, Sure: true}, "device/sw", store.NewClockEvent(mine, offset)),
		"in the far future":      tell(block.Head{Boot: mine, Offset: 1 << 44, Sure: true}, store.EventSource, store.NewClockEvent(mine, 1<<44)),
		"in the past":            tell(block.Head{Boot: mine, Offset: -1 << 44, Sure: true}, store.EventSource, store.NewClockEvent(mine, -1<<44)),
		"without an offset":      tell(block.Head{Boot: mine, Offset: offset, Sure: true}, store.EventSource, wrong),
		"of a boot with no name": tell(block.Head{Offset: offset, Sure: true}, store.EventSource, store.NewClockEvent([16]byte{}, offset)),
	}
	at := func() (p store.Point) {
		t.Helper()
		got, err := st.History(store.Query{Probe: "t/s", Device: "sw"})
		if err != nil || len(got) != 1 || len(got[0].Points) != 1 {
			t.Fatal(got, err)
		}
		return got[0].Points[0]
	}
	put := func(probe string, b *block.Block) {
		t.Helper()
		err := st.Update(func(tx *store.Tx) error {
			n, err := tx.Probe(probe)
			if err != nil {
				return err
			}
			if err := tx.PutSchema(id, bytes); err != nil {
				return err
			}
			if err := tx.PutBlock(n, b, false); err != nil {
				return err
			}
			return tx.CorrectTimes(n)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put("t/s", unsure)
	for name, b := range bad {
		put("t/s", b)
		if p := at(); !p.Unsure || name != "unsure itself" && p.T != 1000 && p.T != 1000+offset {
			t.Fatalf("%s: %+v", name, p)
		}
	}
	good := tell(block.Head{Boot: mine, Offset: offset, Sure: true}, store.EventSource, store.NewClockEvent(mine, offset))
	put("t/other", good)
	if p := at(); !p.Unsure {
		t.Fatalf("another site's event: %+v", p)
	}
	put("t/s", good)
	if p := at(); p.Unsure || p.T != 1000+offset {
		t.Fatalf("%+v", p)
	}
}

func encode(t *testing.T, st *store.Store, h block.Head, s ...block.Section) *block.Block {
	t.Helper()
	b, err := st.Codec().Encode(h, s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCompactionAfterAClockThatWasAhead: what a boot left decades ahead, and nobody
// ever corrected, keeps nothing that comes after it from being compacted.
func TestCompactionAfterAClockThatWasAhead(t *testing.T) {
	x := newClockBox(t)
	x.offset += x.truth + 70*365*86400*1000
	x.collect(300)
	if err := x.b.Maintain(); err != nil {
		t.Fatal(err)
	}
	ahead := len(pending(t, x.b))
	x.b.Close()
	x.reboot(time.Minute, 0)
	x.synchronise()
	x.start()
	x.collect(300)
	fresh := len(pending(t, x.b)) - ahead
	if err := x.b.Maintain(); err != nil {
		t.Fatal(err)
	}
	if now := len(pending(t, x.b)) - ahead; now > fresh*2/3 {
		t.Fatalf("%d blocks beside the %d that are ahead, then %d: they were not compacted", fresh, ahead, now)
	}
}
