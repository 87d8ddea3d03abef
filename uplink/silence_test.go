package uplink_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// A broker that acknowledges and no hub: the sender says so, goes on at a trickle
// without the backlog, and recovers soon after the hub has come.
func TestNoHub(t *testing.T) {
	for name, live := range map[string]bool{"with live data": true, "only a backlog": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := uplinktest.NewMemory()
				var s spy
				s.on(m, nil)
				b := newBox(t, 20)
				b.commit(300)
				total := 300
				b.start(m, nil)
				b.state(uplink.StateNotStoring, 40*time.Second)
				s.reset()
				for range 60 {
					if live {
						b.commit(1)
						total++
					}
					time.Sleep(10 * time.Second)
				}
				if n := s.of(wire.Live); n > 30 || live && n < 10 {
					t.Errorf("%d live blocks sent within 10 minutes without a hub", n)
				}
				if n := s.of(wire.Backfill); n != 0 {
					t.Errorf("%d blocks of the backlog sent without a hub", n)
				}
				if n := s.of(wire.Accounts); n < 10 || n > 30 {
					t.Errorf("%d accounts within 10 minutes", n)
				}
				st := b.sender.State()
				if st.State != uplink.StateNotStoring || !strings.Contains(st.Error, "is the hub running") || b.sender.Counters().Sessions != 1 {
					t.Errorf("%+v %+v", st, b.sender.Counters())
				}
				msp := newMSP(t, m, "").start()
				complete(t, b, msp, total, 2*time.Minute)
				b.state(uplink.StateConnected, time.Minute)
				if st := b.sender.State(); st.Error != "" {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// The broker acknowledges blocks and keeps them to itself (its ACL denies them),
// while accounts pass: that is not storing, without a flicker.
func TestBlocksDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		var s spy
		s.on(m, func(tr uplinktest.Transit) uplinktest.Fate {
			k := topicKind(tr.Message)
			return uplinktest.Fate{Lose: tr.To == "hub" && (k == wire.Live || k == wire.Backfill)}
		})
		msp := newMSP(t, m, "").start()
		b := newBox(t, 20)
		b.commit(300)
		b.start(m, nil)
		b.state(uplink.StateNotStoring, 2*time.Minute)
		s.reset()
		for range 600 {
			time.Sleep(time.Second)
			if st := b.sender.State(); st.State != uplink.StateNotStoring {
				t.Fatalf("%+v", st)
			}
		}
		if n := s.of(wire.Live) + s.of(wire.Backfill); n > 40 {
			t.Errorf("%d blocks within 10 minutes", n)
		}
		s.on(m, nil)
		complete(t, b, msp, 300, 2*time.Minute)
		b.state(uplink.StateConnected, time.Second)
	})
}

// A line that swallows everything ends the session, and the next one delivers.
func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		msp := newMSP(t, m, "").start()
		b := newBox(t, 20)
		b.commit(3)
		b.start(m, nil)
		complete(t, b, msp, 3, time.Minute)
		m.SetFault(func(uplinktest.Transit) uplinktest.Fate { return uplinktest.Fate{Lose: true} })
		b.commit(3)
		until(t, 40*time.Second, "the end of the session", func() bool { return b.sender.State().State != uplink.StateConnected })
		if st := b.sender.State(); !strings.Contains(st.Error, string(uplink.ReasonTimeout)) {
			t.Errorf("%+v", st)
		}
		m.SetFault(nil)
		complete(t, b, msp, 6, 6*time.Minute)
	})
}

// A broker that never sends a PUBACK and hangs up proves nothing, with ack: broker
// least of all.
func TestPubacksSwallowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		m.SetFault(func(tr uplinktest.Transit) uplinktest.Fate {
			return uplinktest.Fate{NoAck: true, Cut: tr.To == "" && tr.N > 10}
		})
		b := newBox(t, 5)
		b.commit(100)
		b.start(m, func(c *uplink.Config, _ *uplink.Options) { c.Ack = uplink.AckBroker })
		time.Sleep(time.Hour)
		if n := b.waiting(); n != 100 {
			t.Errorf("%d blocks are pending, want all 100", n)
		}
		if n := b.sender.Counters().Sessions; n < 10 || n > 100 {
			t.Errorf("%d sessions within an hour", n)
		}
		m.SetFault(nil)
		until(t, 10*time.Minute, "the blocks to be delivered", func() bool { return b.waiting() == 0 })
		if st := b.sender.State(); st.Proved || st.Ack != uplink.AckBroker {
			t.Errorf("%+v", st)
		}
	})
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		err      error
		min, max int // attempts within an hour
	}{
		{&uplink.LinkError{Stage: uplink.StageConnack, Reason: uplink.ReasonCredentials, Err: errors.New("CONNACK code 5"), Hint: "is it enrolled?"}, 8, 13},
		{&uplink.LinkError{Stage: uplink.StageConnack, Reason: uplink.ReasonClientID, Err: errors.New("CONNACK code 2"), Hint: "is it enrolled?"}, 8, 13},
		{&uplink.LinkError{Stage: uplink.StageConnack, Reason: uplink.ReasonBusy, Err: errors.New("CONNACK code 3"), Hint: "is it enrolled?"}, 14, 80},
		{&uplink.LinkError{Stage: uplink.StageDial, Err: errors.New("network is unreachable"), Hint: "is it enrolled?"}, 14, 80},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := uplinktest.NewMemory()
				m.Refuse(c.err)
				tr := &byServer{Memory: m}
				b := newBox(t, 1)
				b.commit(1)
				b.start(tr, nil)
				time.Sleep(time.Hour)
				if n := len(tr.seen()); n < c.min || n > c.max {
					t.Errorf("%d attempts within an hour, want %d to %d", n, c.min, c.max)
				}
				if st := b.sender.State(); st.State != uplink.StateWaiting || st.Error != c.err.Error() || !strings.Contains(st.Error, "enrolled") {
					t.Errorf("%+v", st)
				}
				beat := b.sender.Beat()
				time.Sleep(time.Minute)
				if b.sender.Beat() == beat {
					t.Error("it shows no sign of life while it waits")
				}
				m.Refuse(nil)
				msp := newMSP(t, m, "").start()
				complete(t, b, msp, 1, 10*time.Minute)
			})
		})
	}
}

func TestSubackRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		m.Deny(func(client, filter string) bool { return client == site().Probe() })
		var s spy
		s.on(m, nil)
		b := newBox(t, 1)
		b.commit(1)
		b.start(m, nil)
		time.Sleep(time.Hour)
		if n := b.sender.Counters().Sessions; n < 10 || n > 80 {
			t.Errorf("%d sessions within an hour", n)
		}
		if st := b.sender.State(); st.State != uplink.StateWaiting || !strings.Contains(st.Error, string(uplink.ReasonDenied)) {
			t.Errorf("%+v", st)
		}
		if s.of(wire.Live)+s.of(wire.Backfill)+s.of(wire.Accounts) != 0 {
			t.Error("something was published although no answer could come")
		}
		m.Deny(nil)
		complete(t, b, newMSP(t, m, "").start(), 1, 10*time.Minute)
	})
}

// Two boxes with one client id throw each other out; neither spins.
func TestTwoBoxes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		msp := newMSP(t, m, "").start()
		a, b := newBox(t, 1), newBox(t, 1)
		a.start(m, nil)
		b.start(m, nil)
		for range 360 {
			a.commit(1)
			b.commit(1)
			time.Sleep(10 * time.Second)
		}
		if n := a.sender.Counters().Sessions + b.sender.Counters().Sessions; n > 720 {
			t.Errorf("%d sessions within an hour", n)
		}
		b.stop()
		until(t, 20*time.Minute, "the one that is left to deliver", func() bool { return a.waiting() == 0 })
		_ = msp
	})
}

// A hub that asks for a schema again and again, whatever it is sent.
func TestSchemaNeverEnough(t *testing.T) {
	for name, here := range map[string]bool{"it is here": true, "it is not here": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := uplinktest.NewMemory()
				var s spy
				s.on(m, nil)
				b := newBox(t, 3)
				b.commit(1)
				fake, err := m.Dial(t.Context(), "", uplink.Hello{ClientID: "fake"})
				if err != nil {
					t.Fatal(err)
				}
				defer fake.Close(true)
				err = fake.Subscribe(t.Context(), []string{"sp/v1/t/s/d/+"}, func(msg uplink.Message) {
					x, err := block.Parse(msg.Payload)
					if err != nil {
						t.Error(err)
						return
					}
					want := x.Schemas()
					if !here {
						want = []block.ID{{1, 2, 3}}
					}
					for _, p := range wire.EncodeReply(&wire.Reply{Hub: "fake", Missing: []wire.Missing{{Block: x.ID, Schemas: want}}}) {
						fake.Publish(uplink.Message{Topic: "sp/v1/t/s/a", Payload: p})
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				b.start(m, nil)
				b.state(uplink.StateConnected, time.Minute)
				b.commit(20)
				time.Sleep(time.Hour)
				if n := s.of(wire.Live) + s.of(wire.Backfill); n < 20 || n > 21*6 {
					t.Errorf("%d messages for 21 blocks", n)
				}
				if n := b.waiting(); n != 21 {
					t.Errorf("%d blocks are pending, want all 21", n)
				}
				if c := b.sender.Counters(); c.Sessions != 1 {
					t.Errorf("%+v", c)
				}
			})
		})
	}
}
