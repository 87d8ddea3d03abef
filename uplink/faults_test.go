package uplink_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// Messages are lost, doubled and overtaken in both directions, and the connection
// breaks now and then: everything arrives, once.
func TestUnreliable(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { unreliable(t, seed) })
	}
}

func unreliable(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		m.SetLatency(20 * time.Millisecond)
		var mu sync.Mutex
		r := rand.New(rand.NewPCG(seed, 7))
		m.SetFault(func(tr uplinktest.Transit) uplinktest.Fate {
			mu.Lock()
			defer mu.Unlock()
			switch n := r.IntN(1000); {
			case n < 100:
				return uplinktest.Fate{Lose: tr.To != ""} // towards the broker MQTT does not lose on an open connection
			case n < 200:
				return uplinktest.Fate{Double: true}
			case n < 300:
				return uplinktest.Fate{Delay: time.Duration(r.IntN(5000)) * time.Millisecond}
			case n < 302:
				return uplinktest.Fate{Cut: true}
			}
			return uplinktest.Fate{}
		})
		msp := newMSP(t, m, "").start()
		b := newBox(t, 50)
		b.commit(200)
		b.start(m, nil)
		for range 100 {
			b.commit(1)
			time.Sleep(5 * time.Second)
		}
		until(t, 26*time.Hour, "everything to be delivered", func() bool { return b.waiting() == 0 })
		m.SetFault(nil)
		m.Cut(site().Probe()) // the next session begins with an account
		complete(t, b, msp, 300, 10*time.Minute)
		if n := len(msp.stored()); n != 300 {
			t.Errorf("%d blocks are stored for 300", n)
		}
	})
}

// The hub has stored, its acknowledgements are lost, and it is gone: the account of
// the next session says what it has, and nothing is sent again.
func TestLostAcksAreHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		var s spy
		msp := newMSP(t, m, "").start()
		b := newBox(t, 5)
		b.commit(1)
		b.start(m, nil)
		complete(t, b, msp, 1, time.Minute)
		s.on(m, func(tr uplinktest.Transit) uplinktest.Fate {
			r, err := wire.DecodeReply(tr.Message.Payload)
			return uplinktest.Fate{Lose: topicKind(tr.Message) == wire.Replies && tr.To != "" && err == nil && len(r.Stored) > 0}
		})
		b.commit(40)
		until(t, 20*time.Second, "the hub to store", func() bool { return len(msp.stored()) == 41 })
		if n := b.waiting(); n != 40 {
			t.Errorf("%d blocks are pending, want 40", n)
		}
		s.on(m, nil)
		m.Cut(site().Probe())
		complete(t, b, msp, 41, time.Minute)
		if n := s.of(wire.Live) + s.of(wire.Backfill); n != 0 {
			t.Errorf("%d blocks were sent again", n)
		}
	})
}

// The hub crashes after its commit and before its acknowledgement: what is sent
// again is stored and counted once.
func TestHubCrashBeforeAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		mute := func(tr uplinktest.Transit) uplinktest.Fate { return uplinktest.Fate{Lose: tr.From == "hub"} }
		msp := newMSP(t, m, "").start()
		b := newBox(t, 5)
		b.commit(1)
		b.start(m, nil)
		complete(t, b, msp, 1, time.Minute)
		m.SetFault(mute)
		b.commit(30)
		until(t, time.Minute, "the hub to store", func() bool { return len(msp.stored()) == 31 })
		msp.stop()
		m.SetFault(nil)
		msp.start()
		complete(t, b, msp, 31, 2*time.Minute)
		if n := len(msp.stored()); n != 31 {
			t.Errorf("%d blocks are stored for 31", n)
		}
	})
}

// The hub comes back from a backup that is older than what it has acknowledged.
func TestHubRestored(t *testing.T) {
	for name, cut := range map[string]bool{"and the box connects anew": true, "and the box stays connected": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := uplinktest.NewMemory()
				msp := newMSP(t, m, "").start()
				b := newBox(t, 5)
				b.start(m, nil)
				b.state(uplink.StateConnected, time.Minute)
				b.commit(20)
				complete(t, b, msp, 20, time.Minute)
				msp.stop()
				backup, err := os.ReadFile(msp.path)
				if err != nil {
					t.Fatal(err)
				}
				msp.start()
				b.commit(30)
				complete(t, b, msp, 50, 3*time.Minute)
				msp.stop()
				for _, suffix := range []string{"-wal", "-shm"} {
					os.Remove(msp.path + suffix) // may not be there
				}
				if err := os.WriteFile(msp.path, backup, 0o600); err != nil {
					t.Fatal(err)
				}
				msp.start()
				if n := len(msp.stored()); n != 20 {
					t.Fatalf("%d blocks are in the backup", n)
				}
				if cut {
					m.Cut(site().Probe())
				}
				until(t, 2*time.Hour, "the wanted blocks", func() bool { return len(msp.stored()) == 50 })
				complete(t, b, msp, 50, 2*time.Hour)
			})
		})
	}
}

// Acknowledgements of others, doubled ones, and noise neither end a session nor keep
// one alive that does not progress.
func TestForgedReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		b := newBox(t, 5)
		b.commit(3)
		b.start(m, nil)
		b.state(uplink.StateConnected, time.Minute)
		forger, err := m.Dial(t.Context(), "", uplink.Hello{ClientID: "forger"})
		if err != nil {
			t.Fatal(err)
		}
		defer forger.Close(true)
		say := func(p []byte) { forger.Publish(uplink.Message{Topic: site().Topic(wire.Replies), Payload: p}) }
		b.commit(3)
		for i := range 120 {
			say(wire.EncodeReply(&wire.Reply{Hub: "forged", Stored: []block.ID{{byte(i)}, {1, byte(i)}}})[0])
			say([]byte{0xFF, byte(i), 3})
			say(nil)
			say(make([]byte, uplink.MaxMessage))
			time.Sleep(500 * time.Millisecond)
		}
		if st := b.sender.State(); st.State != uplink.StateNotStoring {
			t.Errorf("%+v", st)
		}
		if c := b.sender.Counters(); b.waiting() != 6 || c.Sessions != 1 || c.BlocksAcked != 0 {
			t.Errorf("%d pending, %+v", b.waiting(), c)
		}
		m.SetFault(func(uplinktest.Transit) uplinktest.Fate { return uplinktest.Fate{Double: true} })
		complete(t, b, newMSP(t, m, "").start(), 6, 2*time.Minute)
		if c := b.sender.Counters(); c.BlocksAcked != 6 {
			t.Errorf("doubled acknowledgements count twice: %+v", c)
		}
	})
}

// A block that the hub never takes goes last; the others get through, nothing spins,
// and it is tried again a day later.
func TestPoisonBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		var s spy
		var cured atomic.Bool
		b := newBox(t, 5)
		b.commit(1)
		poison := b.newest()
		s.on(m, func(tr uplinktest.Transit) uplinktest.Fate {
			return uplinktest.Fate{Lose: !cured.Load() && tr.To == "hub" && block.IDOf(tr.Message.Payload) == poison}
		})
		b.commit(100)
		msp := newMSP(t, m, "").start()
		b.start(m, nil)
		until(t, time.Minute, "the others", func() bool { return b.waiting() == 1 })
		for range 360 {
			b.commit(1)
			time.Sleep(10 * time.Second)
			if st := b.sender.State(); st.State != uplink.StateConnected {
				t.Fatalf("%+v", st)
			}
		}
		if n := b.waiting(); n != 1 {
			t.Errorf("%d blocks are pending, want the one", n)
		}
		first := s.sends(poison)
		if first < 2 || first > 7 {
			t.Errorf("it was sent %d times within an hour", first)
		}
		time.Sleep(22 * time.Hour)
		if n := s.sends(poison); n != first {
			t.Errorf("it was sent %d times more on the same day", n-first)
		}
		cured.Store(true)
		complete(t, b, msp, 461, 3*time.Hour)
		if c := b.sender.Counters(); c.Sessions != 1 {
			t.Errorf("%+v", c)
		}
	})
}
