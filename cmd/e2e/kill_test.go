package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// victim is a process that may be killed at any moment.
type victim struct {
	name          string
	kill, restart func()
}

func (r *rig) victims() []victim {
	vs := []victim{{"probe", r.probe.kill9, r.probe.start}, {"hub", r.hub.kill9, r.hub.start}}
	if r.broker != nil {
		vs = append(vs, victim{"broker", r.broker.Kill9, r.broker.Restart})
	}
	return vs
}

// killing repeats the choices of a seed.
type killing struct {
	rig  *rig
	rand *rand.Rand
	n    int // processes killed so far
}

func newKilling(r *rig) *killing {
	r.t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SITEPROBE_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			r.t.Fatalf("SITEPROBE_SEED: %v", err)
		}
		seed = n
	}
	r.t.Logf("SITEPROBE_SEED=%d", seed)
	return &killing{rig: r, rand: rand.New(rand.NewPCG(seed, 0))}
}

// upTo waits for a random time.
func (k *killing) upTo(d time.Duration) { <-time.After(time.Duration(k.rand.Int64N(int64(d)))) }

// strike kills one or two of the victims at a random moment, half of the times
// right behind a commit, when a block is under way and its acknowledgement due, and
// starts them again in any order.
func (k *killing) strike(victims []victim) {
	k.upTo(2500 * time.Millisecond)
	if k.rand.IntN(2) == 0 {
		k.rig.probe.await("msg=committed", k.rig.probe.mark(), 2*time.Second)
		k.upTo(3 * lineDelay)
	}
	n := 1
	if k.rand.IntN(3) == 0 {
		n = min(2, len(victims))
	}
	order := k.rand.Perm(len(victims))[:n]
	var names []string
	for _, i := range order {
		victims[i].kill()
		names = append(names, victims[i].name)
	}
	k.n += n
	k.upTo(800 * time.Millisecond)
	k.rig.t.Logf("killed %s; %d batches committed so far", strings.Join(names, " and "), k.rig.ledger.count())
	k.rand.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, i := range order {
		victims[i].restart()
	}
}

// strikes is how many times a kill test strikes.
func strikes() int {
	if os.Getenv("SITEPROBE_TORTURE") != "" {
		return 100
	}
	return 20
}

// TestKill kills everything at random moments: nothing committed is lost, nothing
// is stored under two names.
func TestKill(t *testing.T) {
	t.Run("mosquitto", func(t *testing.T) {
		t.Parallel()
		requireMosquitto(t)
		testKill(t, newRig(t, 16, false))
	})
	t.Run("embedded broker", func(t *testing.T) {
		t.Parallel()
		testKill(t, newRig(t, 16, true))
	})
}

func testKill(t *testing.T, r *rig) {
	k := newKilling(r)
	r.hub.start()
	r.probe.start()
	for range strikes() {
		k.strike(r.victims())
	}
	r.drain()
	eventually(t, 2*patience, "the hub proves that it has everything", func() bool {
		p := r.verify()
		return p != nil && p.Complete && p.Pending == 0 && p.Lost == 0 && p.Expected >= uint64(r.ledger.count())
	})
	r.probe.stop()
	r.hub.stop()

	box, hub, proof := readContents(t, r.bufferDB()), readContents(t, r.hubDB()), r.verify()
	c := compare(r.ledger, r.fleet, box, hub)
	t.Logf("%d processes killed: %d batches committed (%d of them without a line), %d stored in %d blocks, %d blocks came again, %d batches stored twice alike, %d in gaps, %d lost",
		k.n, len(box.batches), c.unlogged, len(hub.batches), hub.blocks, proof.Redelivered, hub.again, sum(hub.gaps), len(c.lost))
	c.assert(t)
	if len(c.lost) > 0 {
		t.Errorf("%d committed batches are lost: %v", len(c.lost), clip(c.lost))
	}
	for _, where := range []*contents{box, hub} {
		if len(where.gaps) > 0 {
			t.Errorf("batches are in gaps, and nothing asked for one: %v", where.gaps)
		}
		if len(where.clashes) > 0 {
			t.Errorf("a name has two contents: %v", clip(where.clashes))
		}
	}
	if len(box.pending) > 0 {
		t.Errorf("%d blocks are pending after the end", len(box.pending))
	}
	if len(r.ledger.faults) > 0 {
		t.Errorf("the probe's log: %v", clip(r.ledger.faults))
	}
	if !proof.Complete || proof.Expected != uint64(len(hub.batches)) || len(proof.Dropped) > 0 {
		t.Errorf("verify says otherwise than this test's own count of %d: %+v", len(hub.batches), *proof)
	}
	// A test in which little happened shows little.
	if least := 5 * strikes(); len(hub.values) < least {
		t.Errorf("only %d polls were stored, fewer than %d", len(hub.values), least)
	}
}

func sum(m map[string]int) (n int) {
	for _, x := range m {
		n += x
	}
	return n
}

// TestKillControl shows that the harness of TestKill finds a loss: with ack:
// broker a PUBACK counts, and a broker gives one whether or not a hub is there.
func TestKillControl(t *testing.T) {
	requireMosquitto(t)
	r := newRig(t, 10, false)
	k := newKilling(r)
	r.hub.start()
	r.probe.start()
	// First in earnest, so that the hub has the schemas: under ack: broker nobody
	// could ask for them, and everything would be lost, kills or not.
	eventually(t, patience, "the hub has polls of every device", func() bool {
		p := r.verify()
		return p != nil && p.Stored > uint64(3*len(r.fleet.agents))
	})
	r.site.ack = "broker"
	r.reload()
	before := r.ledger.count()
	victims := r.victims()[1:] // the probe keeps its names and schemas
	for range 4 {
		k.strike(victims)
	}
	// The dice may have hit the broker alone, and nothing that it had taken.
	r.hub.kill9()
	k.n++
	down := r.ledger.count()
	eventually(t, patience, "the probe goes on without a hub", func() bool { return r.ledger.count() > down+2*len(r.fleet.agents) })
	r.hub.start()
	r.drain()
	r.probe.stop()
	r.hub.stop()

	box, hub := readContents(t, r.bufferDB()), readContents(t, r.hubDB())
	c := compare(r.ledger, r.fleet, box, hub)
	t.Logf("ack: broker, %d processes killed: %d batches committed, %d stored, %d lost", k.n, len(box.batches), len(hub.batches), len(c.lost))
	c.assert(t)
	if len(c.lost) == 0 {
		t.Error("nothing was lost although nothing but PUBACKs was waited for: this harness could not find a loss")
	}
	if len(hub.batches) <= before {
		t.Errorf("%d batches stored, %d committed before ack: broker: everything after was lost, so that the kills show nothing", len(hub.batches), before)
	}
}
