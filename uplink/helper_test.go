package uplink_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/hub"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// site is the site of all these tests.
func site() wire.Site { return wire.Site{Tenant: "t", Name: "s"} }

// clock runs with the test's time, fake or not.
type clock struct{ start time.Time }

func (c clock) Now() collectors.Stamp {
	return collectors.Stamp(time.Since(c.start).Milliseconds() + 1000)
}
func (c clock) Offset() (int64, bool) { return 1_772_366_400_000, true }
func (c clock) Boot() [16]byte        { return [16]byte{1} }

// box is a buffer and, after start, a sender.
type box struct {
	t      testing.TB
	buf    *buffer.Buffer
	dir    string
	schema *collectors.Schema
	rnd    *rand.Rand
	sender *uplink.Sender
	stop   func() // ends the sender and waits for it
}

func newBox(t testing.TB, readings int) *box {
	t.Helper()
	b := &box{t: t, dir: t.TempDir(), rnd: rand.New(rand.NewPCG(1, uint64(readings))), schema: &collectors.Schema{Source: "device/sw"}, stop: func() {}}
	for i := range readings {
		b.schema.Series = append(b.schema.Series, collectors.Series{Metric: "ifHCInOctets", Unit: "bytes", Kind: collectors.Counter,
			Labels: []collectors.Label{{Name: "device", Value: "sw"}, {Name: "ifIndex", Value: fmt.Sprint(i)}}})
	}
	cfg := buffer.DefaultConfig()
	cfg.Path, cfg.Commit = filepath.Join(b.dir, "buffer.db"), time.Second
	var err error
	b.buf, err = buffer.Open(cfg, buffer.Options{Probe: site().Probe(), Clock: clock{time.Now()}, NoSync: true, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.stop()
		if err := b.buf.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// commit makes n blocks of one batch each.
func (b *box) commit(n int) {
	b.t.Helper()
	for range n {
		vs := make([]collectors.Value, len(b.schema.Series))
		for i := range vs {
			vs[i] = collectors.CounterValue(b.rnd.Uint64N(1 << 40))
		}
		b.buf.Add(collectors.Batch{Source: b.schema.Source, Schema: b.schema, Values: vs})
		if err := b.buf.Flush(); err != nil {
			b.t.Fatal(err)
		}
	}
}

// newest returns the id of the block that was committed last.
func (b *box) newest() block.ID {
	b.t.Helper()
	head := b.buf.Head()
	ps, err := b.buf.PendingAfter(head-1, head, 1)
	if err != nil || len(ps) != 1 {
		b.t.Fatal(len(ps), err)
	}
	return ps[0].ID
}

func (b *box) waiting() int64 {
	b.t.Helper()
	s, err := b.buf.Stats()
	if err != nil {
		b.t.Fatal(err)
	}
	return s.Pending.Blocks
}

// start runs a sender; servers defaults to one.
func (b *box) start(tr uplink.Transport, change func(*uplink.Config, *uplink.Options)) {
	b.t.Helper()
	cfg := uplink.DefaultConfig()
	cfg.Servers = []string{"mqtt://broker"}
	opt := uplink.Options{Site: site(), Buffer: b.buf, Transport: tr, Log: logTo(b.t)}
	if change != nil {
		change(&cfg, &opt)
	}
	var err error
	if b.sender, err = uplink.New(cfg, opt); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.sender.Run(ctx); err != nil {
			b.t.Errorf("Run: %v", err)
		}
	})
	b.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
}

func logTo(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return nil
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// msp is a hub on a broker; it can be stopped and started.
type msp struct {
	t    testing.TB
	tr   uplink.Transport
	url  string
	path string
	hub  *hub.Hub
	stop func()
}

func newMSP(t testing.TB, tr uplink.Transport, url string) *msp {
	t.Helper()
	m := &msp{t: t, tr: tr, url: url, path: filepath.Join(t.TempDir(), "hub.db"), stop: func() {}}
	t.Cleanup(func() { m.stop() })
	return m
}

func (m *msp) start() *msp {
	m.t.Helper()
	h, err := hub.Open(hub.Options{Path: m.path, NoSync: true, Log: logTo(m.t)})
	if err != nil {
		m.t.Fatal(err)
	}
	m.hub = h
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := h.Serve(ctx, m.tr, m.url, "hub"); err != nil {
			m.t.Errorf("Serve: %v", err)
		}
	})
	m.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if err := h.Close(); err != nil {
			m.t.Error(err)
		}
	})
	return m
}

func (m *msp) proof() *hub.Proof {
	m.t.Helper()
	p, err := hub.Verify(m.hub.Store(), site().Probe(), 0, 0, true)
	if err != nil {
		return &hub.Proof{}
	}
	return p
}

// stored lists the blocks in the order in which they were stored.
func (m *msp) stored() (ids []block.ID) {
	m.t.Helper()
	err := m.hub.Store().View(func(tx *store.Tx) error {
		return tx.Blocks(site().Probe(), func(b *block.Block) error { ids = append(ids, b.ID); return nil })
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return ids
}

// complete waits until the box has nothing pending and the hub proves all n
// batches.
func complete(t testing.TB, b *box, m *msp, n int, limit time.Duration) {
	t.Helper()
	until(t, limit, "everything to be delivered and proved", func() bool {
		if b.waiting() > 0 {
			return false
		}
		p := m.proof()
		return p.Complete && p.Expected == uint64(n)
	})
	if p := m.proof(); p.Lost+p.Pending > 0 || p.Stored != uint64(n) {
		t.Errorf("%+v", p)
	}
}

// until polls cond, on fake time or real, and fails after limit.
func until(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(max(limit/600, 10*time.Millisecond))
	defer tick.Stop()
	for start := time.Now(); !cond(); <-tick.C {
		if time.Since(start) > limit {
			t.Fatalf("waited %v for %s", limit, what)
		}
	}
}

func (b *box) state(want string, limit time.Duration) {
	b.t.Helper()
	until(b.t, limit, "the state "+want+" (it is "+b.sender.State().State+")", func() bool { return b.sender.State().State == want })
}

// spy counts the messages on their way to the broker, and may interfere.
type spy struct {
	mu    sync.Mutex
	count map[string]int // by what follows sp/v1/t/s/
	ids   map[block.ID]int
}

// on makes the spy the broker's fault function; fault may be nil.
func (s *spy) on(m *uplinktest.Memory, fault func(uplinktest.Transit) uplinktest.Fate) {
	s.reset()
	m.SetFault(func(tr uplinktest.Transit) uplinktest.Fate {
		if _, kind, ok := wire.ParseTopic(tr.Message.Topic); ok && tr.To == "" {
			s.mu.Lock()
			s.count[string(kind)]++
			if kind == wire.Live || kind == wire.Backfill {
				s.ids[block.IDOf(tr.Message.Payload)]++
			}
			s.mu.Unlock()
		}
		if fault == nil {
			return uplinktest.Fate{}
		}
		return fault(tr)
	})
}

func (s *spy) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count, s.ids = map[string]int{}, map[block.ID]int{}
}

func (s *spy) of(k wire.Kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[string(k)]
}

func (s *spy) sends(id block.ID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[id]
}

func topicKind(m uplink.Message) wire.Kind {
	_, k, _ := wire.ParseTopic(m.Topic)
	return k
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
