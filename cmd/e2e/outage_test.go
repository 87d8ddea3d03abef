package e2e

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
)

// The outage: so long, with a commit of every device's poll each second.
const (
	outage      = 10 * time.Minute
	outagePorts = 48 // of each device, with five counters
)

// lineBytesPerSecond is what the line carries over which the site comes back.
const lineBytesPerSecond = 256 << 10

// The promise, and what a machine that is busy with other things gets on top
// before the test fails.
const (
	promisedLag = 5 * time.Second
	generousLag = 4 * promisedLag
)

// TestOutage: a site comes back with ten minutes of readings of ten devices. What
// it reads now is at the hub within seconds, while the backlog drains behind it.
func TestOutage(t *testing.T) {
	requireMosquitto(t)
	r := newRig(t, 10, false)
	backlog, blocks, readings := fillBuffer(t, r)

	r.broker.Kill9()
	r.probe.start()
	r.probe.mustAwait("the uplink is down", 0)
	eventually(t, patience, "the probe polls although there is no broker", func() bool { return r.ledger.count() > 2*len(r.fleet.agents) })

	r.line.SetRule(throttle())
	r.hub.start()
	r.broker.Restart()
	up := r.probe.mustAwait("the uplink is up", 0).at
	w := watchHub(t, r, backlog)
	eventually(t, 5*time.Minute, "the backlog is stored", func() bool { n, _ := w.backlog(); return n == blocks })
	_, drained := w.backlog()
	// The probe knows where live begins a moment after it has said that it is up.
	lags := w.lags(r.ledger.since(up.Add(200*time.Millisecond)), drained)
	w.stop()

	r.drain()
	eventually(t, 2*patience, "the hub proves that it has everything", func() bool { p := r.verify(); return p != nil && p.Complete && p.Pending == 0 })
	r.probe.stop()
	r.hub.stop()
	box, hub := readContents(t, r.bufferDB()), readContents(t, r.hubDB())
	if c := compare(r.ledger, r.fleet, box, hub); len(c.lost)+len(c.unknown)+len(c.different) > 0 {
		t.Errorf("%d lost, %d unknown, %d different", len(c.lost), len(c.unknown), len(c.different))
	}
	if len(lags) == 0 {
		t.Fatal("the backlog had drained before anything live was stored: live readings waited behind it, or there was too little of it")
	}
	firstLive, p50, p99, most := lags[0].stored.Sub(up), quantile(lags, 0.5), quantile(lags, 0.99), quantile(lags, 1)
	t.Logf("backlog of %d readings in %d blocks over %d KiB/s drained in %v; the first live block was stored %v after CONNACK; lag of %d live blocks meanwhile: median %v, p99 %v, most %v (promised: %v)",
		readings, blocks, lineBytesPerSecond>>10, drained.Sub(up).Round(time.Millisecond), firstLive.Round(time.Millisecond),
		len(lags), p50, p99, most, promisedLag+r.site.commit)
	if firstLive > generousLag || p99 > generousLag {
		t.Errorf("live readings came too late")
	}
}

// fillBuffer writes the outage's readings into the probe's buffer before it
// starts, as ten minutes of polls would have; it returns the epoch they are of.
func fillBuffer(t *testing.T, r *rig) (epoch uint64, blocks int, readings int64) {
	t.Helper()
	cfg := buffer.DefaultConfig()
	cfg.Path = r.bufferDB()
	start := time.Now().Add(-outage - time.Minute)
	clock := &pastClock{now: 1_000_000}
	clock.offset = start.UnixMilli() - int64(clock.now)
	b, err := buffer.Open(cfg, buffer.Options{Probe: probeName, Clock: clock, Manual: true, NoSync: true,
		Committed: func(*block.Block) { blocks++ }})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	schemas := make([]*collectors.Schema, len(r.fleet.agents))
	values := make([][]collectors.Value, len(r.fleet.agents))
	for i, a := range r.fleet.agents {
		schemas[i] = outageSchema(a.name)
		values[i] = make([]collectors.Value, len(schemas[i].Series))
	}
	for range int(outage / time.Second) {
		clock.now += 1000
		for i, s := range schemas {
			// Traffic that does not compress: each counter goes up by something else.
			next := slices.Clone(values[i])
			for k := range next {
				next[k] = collectors.CounterValue(next[k].Counter() + rng.Uint64N(1<<24))
			}
			values[i] = next
			b.Add(collectors.Batch{Source: s.Source, At: clock.now, Schema: s, Values: next})
		}
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	st, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return st.Epoch, blocks, st.Pending.Readings
}

func outageSchema(device string) *collectors.Schema {
	s := &collectors.Schema{Source: "device/" + device}
	for _, metric := range []string{"ifHCOutOctets", "ifInErrors", "ifOutErrors", "ifInDiscards", "ifOutDiscards"} {
		for port := range outagePorts {
			name := "p" + string(rune('0'+port/10)) + string(rune('0'+port%10))
			s.Series = append(s.Series, collectors.Series{Metric: metric, Kind: collectors.Counter,
				Labels: []collectors.Label{{Name: "device", Value: device}, {Name: "ifName", Value: name}}})
		}
	}
	return s
}

// pastClock is the box's clock before an earlier boot.
type pastClock struct {
	now    collectors.Stamp
	offset int64
}

func (c *pastClock) Now() collectors.Stamp { return c.now }
func (c *pastClock) Offset() (int64, bool) { return c.offset, true }
func (c *pastClock) Boot() [16]byte        { return [16]byte{1} }

// throttle makes what the probe sends take as long as the line takes for it.
func throttle() uplinktest.Rule {
	return func(p *uplinktest.Packet) uplinktest.Verdict {
		if p.FromClient {
			<-time.After(time.Duration(len(p.Raw)) * time.Second / lineBytesPerSecond)
		}
		return uplinktest.Pass
	}
}

// hubWatch notes when each block is first seen in the hub's database.
type hubWatch struct {
	epoch uint64 // of the backlog
	quit  chan struct{}
	done  chan struct{}

	mu      sync.Mutex
	seen    map[string]time.Time
	old     int       // blocks of the backlog
	oldLast time.Time // when the last of them was seen
}

func watchHub(t *testing.T, r *rig, backlog uint64) *hubWatch {
	t.Helper()
	w := &hubWatch{epoch: backlog, quit: make(chan struct{}), done: make(chan struct{}), seen: map[string]time.Time{}}
	var st *store.Store
	eventually(t, patience, "the hub has a database", func() (ok bool) {
		var err error
		st, err = store.Open(r.hubDB(), store.Options{ReadOnly: true})
		return err == nil
	})
	go func() {
		defer close(w.done)
		defer st.Close()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for after := int64(0); ; {
			select {
			case <-w.quit:
				return
			case <-tick.C:
			}
			// An error is a hub that writes just now; the next look sees the same.
			_ = st.View(func(tx *store.Tx) error {
				return tx.Rows(func(b *store.Row) error { after = w.note(b); return nil }, "WHERE b.seq>? ORDER BY b.seq", after)
			})
		}
	}()
	t.Cleanup(w.stop)
	return w
}

func (w *hubWatch) note(b *store.Row) (seq int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.seen[b.ID.String()] = now
	if b.Epoch == w.epoch {
		w.old, w.oldLast = w.old+1, now
	}
	return b.Seq
}

func (w *hubWatch) stop() {
	select {
	case <-w.quit:
	default:
		close(w.quit)
	}
	<-w.done
}

// backlog tells how many blocks of the backlog are stored, and since when.
func (w *hubWatch) backlog() (blocks int, last time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.old, w.oldLast
}

// lag is how long a live block took.
type lag struct {
	stored time.Time
	took   time.Duration
}

// lags gives the live blocks that were stored before a time, in the order of their
// commits.
func (w *hubWatch) lags(live []committed, before time.Time) (out []lag) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range live {
		if at, ok := w.seen[b.id]; ok && at.Before(before) {
			out = append(out, lag{at, at.Sub(b.at)})
		}
	}
	return out
}

func quantile(lags []lag, q float64) time.Duration {
	var ds []time.Duration
	for _, l := range lags {
		ds = append(ds, l.took)
	}
	slices.Sort(ds)
	return ds[int(q*float64(len(ds)-1))].Round(time.Millisecond)
}
