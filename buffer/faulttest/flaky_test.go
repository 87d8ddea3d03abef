package faulttest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/faulttest"
	"github.com/siteprobe/siteprobe/collectors"
)

// ioClock steps by hand.
type ioClock struct{ now atomic.Int64 }

func (c *ioClock) Now() collectors.Stamp { return collectors.Stamp(c.now.Load()) }
func (c *ioClock) Offset() (int64, bool) { return 1_800_000_000_000, true }
func (c *ioClock) Boot() [16]byte        { return [16]byte{7} }

// needRoot skips a test, or fails it in CI, where it cannot run.
func needRoot(t *testing.T, files ...string) {
	t.Helper()
	why := ""
	if os.Geteuid() != 0 {
		why = "needs root"
	}
	for _, f := range files {
		if unix.Access(f, unix.R_OK) != nil {
			why = "needs " + f
		}
	}
	switch {
	case why == "":
	case os.Getenv("SITEPROBE_REQUIRE") != "":
		t.Fatalf("%s, and SITEPROBE_REQUIRE wants it", why)
	default:
		t.Skip(why)
	}
}

// scratch is a folder on tmpfs where there is one: the faults are the subject here,
// not the disk behind them.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "siteprobe-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// ioCycle is one life of a buffer on a disk that fails somewhere in it.
type ioCycle struct {
	dir    string
	clock  *ioClock
	hub    *ioHub
	b      *buffer.Buffer
	epochs uint64
	added  map[string]bool // what was added
	v      uint64
	slow   time.Duration // the longest that Add took
	words  []string      // of trouble
	schema []*collectors.Schema
	odd    *collectors.Schema // becomes odder in the middle
	odder  *collectors.Schema
	names  map[block.ID]*collectors.Schema
	config func() buffer.Config
	manual bool
}

const ioBatch = 40 // values

func ioSchema(source string, n int) *collectors.Schema {
	s := &collectors.Schema{Source: source}
	for i := range n {
		s.Series = append(s.Series, collectors.Series{Metric: "ifHCInOctets", Unit: "bytes", Kind: collectors.Counter,
			Labels: []collectors.Label{{Name: "ifIndex", Value: strconv.Itoa(i)}}})
	}
	return s
}

func newCycle(codec *block.Codec, dir string) *ioCycle {
	c := &ioCycle{manual: true, dir: dir, clock: &ioClock{}, hub: newIOHub(codec), added: map[string]bool{}, names: map[block.ID]*collectors.Schema{}}
	c.clock.now.Store(1_000_000)
	c.schema = []*collectors.Schema{c.learn(ioSchema("device/a", ioBatch)), c.learn(ioSchema("device/b", ioBatch)), c.learn(ioSchema("device/big", 2000))}
	c.odd, c.odder = c.learn(ioSchema("device/c", 3)), c.learn(ioSchema("device/c", 5))
	c.config = func() buffer.Config {
		cfg := buffer.DefaultConfig()
		cfg.Path, cfg.Commit = filepath.Join(c.dir, "buffer.db"), 10*time.Minute
		return cfg
	}
	return c
}

// open opens the buffer, which no error of the disk may prevent.
func (c *ioCycle) open() (err error) {
	c.b, err = buffer.Open(c.config(), buffer.Options{Probe: "t/s", Clock: c.clock, Manual: c.manual, LogBytes: 60 << 10,
		NewEpoch: func() uint64 { c.epochs++; return c.epochs },
		Committed: func(x *block.Block) {
			// Its schemas may be in memory only: they are known here.
			if !c.hub.unpack(x, c.known, c.hub.commit) {
				c.hub.fault("a committed block cannot be read")
			}
		}})
	if err != nil {
		return fmt.Errorf("a disk that fails keeps the buffer from starting: %w", err)
	}
	return nil
}

// known finds a schema by name without the buffer.
func (c *ioCycle) known(id block.ID) *collectors.Schema { return c.names[id] }

// learn has known know a schema.
func (c *ioCycle) learn(s *collectors.Schema) *collectors.Schema {
	id, _, err := c.hub.codec.EncodeSchema(s)
	if err != nil {
		c.hub.fault("%v", err)
	}
	c.names[id] = s
	return s
}

// value makes a reading that does not pack.
func (c *ioCycle) value() collectors.Value {
	c.v++
	x := c.v * 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	return collectors.CounterValue(x ^ x>>27)
}

func (c *ioCycle) add(x collectors.Batch) {
	c.clock.now.Add(1000)
	x.At = c.clock.Now()
	c.added[text(&x)] = true
	begun := time.Now()
	c.b.Add(x)
	c.slow = max(c.slow, time.Since(begun))
}

// collect adds what a few polls give: values that do not pack well, so that the log
// grows, a device whose series change, and an event.
func (c *ioCycle) collect(polls int) {
	for range polls {
		for _, s := range []*collectors.Schema{c.schema[0], c.schema[1], c.odd} {
			x := collectors.Batch{Source: s.Source, Schema: s}
			for range s.Series {
				x.Values = append(x.Values, c.value())
			}
			c.add(x)
		}
	}
	c.v++
	c.add(collectors.Batch{Source: "trap/a", Events: []collectors.Event{{Kind: "linkDown", Text: fmt.Sprint(c.v)}}})
}

// work is a poll-send-ack cycle; what fails in it is tried again in the next.
func (c *ioCycle) work(rounds int) {
	for i := range rounds {
		c.collect(20)
		if i == 1 {
			c.odd = c.odder
		}
		if c.b.Flush() != nil {
			c.listen()
		}
		c.send(i%2 == 0)
		c.account()
	}
}

// listen notes what the buffer says of its trouble.
func (c *ioCycle) listen() {
	st, _ := c.b.Stats() // it says what it knows also while the database is not open
	if st.Trouble == "" || st.Hint == "" {
		c.hub.fault("a commit failed and Stats has no word about it")
	}
	c.words = append(c.words, st.Trouble)
}

// send gives the hub what is pending; it acknowledges all or every other block.
func (c *ioCycle) send(all bool) {
	ps, err := c.b.PendingAfter(0, c.b.Head(), 1<<20)
	if err != nil {
		return
	}
	var ids []block.ID
	for i, p := range ps {
		if c.hub.store(p, c.b.Schema) && (all || i%2 == 0) {
			ids = append(ids, p.ID)
		}
	}
	_, _, _ = c.b.Delivered(ids) // what failed is acknowledged again, or the account says so
}

func (c *ioCycle) account() {
	a, err := c.b.Account(buffer.Everything)
	if err != nil {
		return
	}
	_, _ = c.b.Apply(c.hub.answer(a)) // the next account says it again
}

// settle is what has to work once the disk does: no restart, and nothing is left.
func (c *ioCycle) settle() error {
	if err := c.b.Flush(); err != nil {
		if err := c.b.Flush(); err != nil { // a fault that is left over may have met the first
			return fmt.Errorf("it does not recover: %w", err)
		}
	}
	c.collect(2)
	for range 3 { // the second brings the word about the trouble, the third what an account wanted
		if err := c.b.Flush(); err != nil {
			return fmt.Errorf("it does not work on: %w", err)
		}
		c.send(true)
		c.account()
	}
	st, err := c.b.Stats()
	if err != nil || st.Trouble != "" || st.Pending.Blocks != 0 || st.Dropped != 0 {
		return fmt.Errorf("not settled: %+v: %w", st, err)
	}
	a, err := c.b.Account(buffer.Everything)
	if err != nil {
		return fmt.Errorf("the last account: %w", err)
	}
	for _, l := range a.Lines {
		if len(l.Gaps) > 0 || len(l.Pending) > 0 {
			c.hub.fault("gaps or pending in the end: %+v", l)
		}
		if l.EpochStart == 0 {
			c.hub.fault("epoch %d has no row", l.Epoch)
		}
	}
	return nil
}

// check compares the hub with the ledger.
func (c *ioCycle) check() (wrong []string) {
	c.hub.mu.Lock() // a buffer of its own mind commits as it likes
	defer c.hub.mu.Unlock()
	wrong = c.hub.wrong
	for n, s := range c.hub.committed {
		if c.hub.stored[n] != s {
			wrong = append(wrong, fmt.Sprintf("committed and lost: %v %q, stored %q", n, s, c.hub.stored[n]))
		}
	}
	times := map[string]int{}
	told := false
	for n, s := range c.hub.stored {
		told = told || n.source == buffer.EventSource && strings.Contains(s, "buffer_trouble")
		if n.source != buffer.EventSource {
			times[s]++
		}
	}
	for s := range c.added {
		if times[s] != 1 {
			wrong = append(wrong, fmt.Sprintf("added once, stored %d times: %q", times[s], s))
		}
		delete(times, s)
	}
	for s := range times {
		wrong = append(wrong, fmt.Sprintf("stored and never added: %q", s))
	}
	if len(c.words) > 0 && !told {
		wrong = append(wrong, "there was trouble, and no event tells of it")
	}
	if kept, _ := filepath.Glob(filepath.Join(c.dir, "*.damaged-*")); len(kept) > 0 {
		wrong = append(wrong, "a healthy database was set aside")
	}
	if c.slow > 2*time.Second {
		wrong = append(wrong, fmt.Sprintf("collection stood still for %v", c.slow))
	}
	return wrong
}

// ioWords is what Stats.Trouble says for each kind of fault.
func ioWords(k faulttest.Kind) string {
	switch k {
	case faulttest.IOError:
		return "the disk fails"
	case faulttest.ReadOnly:
		return "read-only"
	}
	return "full"
}

// ioLab runs cycles on one mounted flaky file system.
type ioLab struct {
	t       *testing.T
	flaky   *faulttest.Flaky
	mount   string
	backing string
	codec   *block.Codec
	runs    int
	ops     []faulttest.Op // of the last run, as long as it could fail
}

func newIOLab(t *testing.T) *ioLab {
	t.Helper()
	needRoot(t, "/dev/fuse")
	codec, err := block.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	l := &ioLab{t: t, mount: t.TempDir(), backing: scratch(t), codec: codec}
	if l.flaky, err = faulttest.MountFlaky(l.backing, l.mount); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.flaky.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// run lives one cycle with a fault in it; a nil fault counts the operations. It
// returns what went wrong, how many operations failed and the one at the point.
func (l *ioLab) run(x *faulttest.Fault, crashed bool) (wrong []string, hits int, op string, trouble bool) {
	l.runs++
	name := fmt.Sprint(l.runs)
	defer os.RemoveAll(filepath.Join(l.backing, name))
	c := newCycle(l.codec, filepath.Join(l.mount, name))
	if crashed {
		c.crash(l.backing, name)
	}
	l.flaky.Arm(x)
	if err := c.open(); err != nil {
		return []string{err.Error()}, 0, "", false
	}
	c.work(4)
	hits, op = l.flaky.Hits()
	l.ops = l.flaky.Ops()
	l.flaky.Heal()
	err := c.settle()
	if cerr := c.b.Close(); cerr != nil && err == nil {
		err = fmt.Errorf("closing: %w", cerr)
	}
	wrong = c.check()
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	if x != nil && x.Stays && len(c.words) > 0 && !strings.Contains(c.words[len(c.words)-1], ioWords(x.Kind)) {
		wrong = append(wrong, fmt.Sprintf("%s is called %q", x.Kind, c.words))
	}
	return wrong, hits, op, len(c.words) > 0
}

// crash leaves behind what a process that was killed leaves: a database with a log
// that was not copied, of an epoch that has not ended.
func (c *ioCycle) crash(backing, name string) {
	live := filepath.Join(backing, name+".live")
	to := filepath.Join(backing, name)
	was := c.dir
	c.dir = live
	defer func() { c.dir = was }()
	if err := c.open(); err != nil {
		c.hub.fault("preparing: %v", err)
		return
	}
	defer os.RemoveAll(live)
	defer func() {
		// What the copy does not know is not asked for.
		if err := c.b.Close(); err != nil {
			c.hub.fault("preparing: %v", err)
		}
	}()
	c.collect(20)
	if err := c.b.Flush(); err != nil {
		c.hub.fault("preparing: %v", err)
	}
	if err := os.CopyFS(to, os.DirFS(live)); err != nil {
		c.hub.fault("preparing: %v", err)
	}
}

// TestEveryOperationFails has each operation of a poll-send-ack cycle fail in each
// way, once and until the disk is healed: of a new buffer and of one that was killed
// before.
func TestEveryOperationFails(t *testing.T) {
	l := newIOLab(t)
	_, rnd := seeded(t)
	type point struct {
		faulttest.Fault
		crashed bool
	}
	var points []point
	for _, crashed := range []bool{false, true} {
		if wrong, _, _, _ := l.run(nil, crashed); len(wrong) > 0 {
			t.Fatalf("without any fault: %q", wrong)
		}
		ops := l.ops
		count := map[faulttest.Op]int{}
		for at, op := range ops {
			count[op]++
			for _, k := range faulttest.Kinds() {
				if k.Fits(op) {
					points = append(points, point{faulttest.Fault{At: at, Kind: k}, crashed}, point{faulttest.Fault{At: at, Kind: k, Stays: true}, crashed})
				}
			}
		}
		t.Logf("killed before %v: %d operations: %v", crashed, len(ops), count)
	}
	all := len(points)
	short := os.Getenv("SITEPROBE_TORTURE") == ""
	if short {
		rnd.Shuffle(len(points), func(i, k int) { points[i], points[k] = points[k], points[i] })
		points = points[:min(len(points), 250)]
	}
	begun := time.Now()
	failed, troubled, missed, bad, done := 0, 0, 0, 0, 0
	for _, p := range points {
		if short && done >= 50 && time.Since(begun) > 30*time.Second {
			break // the machine is busy
		}
		done++
		wrong, hits, op, trouble := l.run(&p.Fault, p.crashed)
		failed += hits
		if hits == 0 {
			missed++
		}
		if trouble {
			troubled++
		}
		if len(wrong) > 0 {
			if bad++; bad <= 10 {
				t.Errorf("%s at %d (%s), stays %v, killed before %v: %d faults, first: %.400s", p.Kind, p.At, op, p.Stays, p.crashed, len(wrong), wrong[0])
			}
		}
	}
	t.Logf("%d of %d points in %v: %d operations failed, %d runs had trouble with a commit, %d never came to their point; %d runs went wrong",
		done, all, time.Since(begun).Round(time.Second), failed, troubled, missed, bad)
}
