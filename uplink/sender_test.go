package uplink_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/uplinktest"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

func TestDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		var s spy
		s.on(m, nil)
		msp := newMSP(t, m, "").start()
		b := newBox(t, 50)
		b.commit(60)
		b.start(m, nil)
		complete(t, b, msp, 60, time.Minute)
		b.commit(5)
		complete(t, b, msp, 65, time.Minute)
		if c := b.sender.Counters(); c.Sessions != 1 || c.BlocksAcked != 65 || c.ReadingsAcked != 65*50 || c.BlocksParked != 0 {
			t.Errorf("%+v", c)
		}
		if st := b.sender.State(); st.State != uplink.StateConnected || st.Error != "" || !st.Proved {
			t.Errorf("%+v", st)
		}
		// With nothing to heal, accounts come once an hour and not with every block.
		before := s.of(wire.Accounts)
		for range 60 {
			b.commit(1)
			time.Sleep(time.Minute)
		}
		if n := s.of(wire.Accounts) - before; n > 2 {
			t.Errorf("%d accounts within an hour", n)
		}
		b.stop()
		if st := b.sender.State(); st.State != uplink.StateOff {
			t.Errorf("%+v", st)
		}
	})
}

// Ten minutes' worth of blocks wait; what is committed after CONNACK is stored
// long before they are.
func TestLiveBeforeBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		m.SetLatency(100 * time.Millisecond)
		msp := newMSP(t, m, "").start()
		b := newBox(t, 1500)
		const backlog, live = 1000, 5
		b.commit(backlog)
		b.start(m, nil)
		b.state(uplink.StateConnected, time.Minute)
		until(t, time.Minute, "the backlog to begin", func() bool { return b.waiting() < backlog-100 })
		var ids []block.ID
		for range live {
			b.commit(1)
			id := b.newest()
			ids = append(ids, id)
			until(t, 5*time.Second, "a live block", func() bool { return slices.Contains(msp.stored(), id) })
		}
		if n := len(msp.stored()); n >= backlog {
			t.Errorf("the backlog was done (%d blocks) when the live blocks came", n)
		}
		complete(t, b, msp, backlog+live, 5*time.Minute)
		order := msp.stored()
		for _, id := range ids {
			if i := slices.Index(order, id); i > backlog-100 {
				t.Errorf("a live block was stored as number %d", i)
			}
		}
	})
}

func TestServersInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		msp := newMSP(t, m, "").start()
		b := newBox(t, 1)
		b.commit(1)
		tr := &byServer{Memory: m, down: map[string]bool{"mqtt://first": true}}
		b.start(tr, func(c *uplink.Config, _ *uplink.Options) { c.Servers = []string{"mqtt://first", "mqtt://second"} })
		complete(t, b, msp, 1, time.Minute)
		if st := b.sender.State(); st.Server != "mqtt://second" {
			t.Errorf("%+v", st)
		}
		// Once a day it looks whether the first works again, and comes back at once.
		tr.reset()
		time.Sleep(25 * time.Hour)
		if got := tr.seen(); !slices.Equal(got, []string{"mqtt://first", "mqtt://second"}) {
			t.Errorf("dialled %v within a day", got)
		}
		tr.set("mqtt://first", false)
		time.Sleep(25 * time.Hour)
		if st := b.sender.State(); st.Server != "mqtt://first" || st.State != uplink.StateConnected {
			t.Errorf("%+v", st)
		}
	})
}

func TestStatusAndWill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := uplinktest.NewMemory()
		statusAndWill(t, m, m, "", func() { m.Cut(site().Probe()) })
	})
}

// statusAndWill follows the retained status: online while connected, not so after a
// cut, nor after a goodbye.
func statusAndWill(t *testing.T, tr, boxTr uplink.Transport, url string, cut func()) {
	t.Helper()
	watch, err := tr.Dial(t.Context(), url, uplink.Hello{ClientID: "watch"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close(true)
	online := make(chan bool, 1000)
	err = watch.Subscribe(t.Context(), []string{site().Topic(wire.State)}, func(m uplink.Message) {
		if st, err := wire.DecodeStatus(m.Payload); err != nil || st.Site != "t/s" {
			t.Errorf("%s: %v", m.Payload, err)
		} else {
			online <- st.Online
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := func(want bool, when string) {
		t.Helper()
		if got := uplinktest.Await(t, online, "a status "+when); got != want {
			t.Errorf("%s: online is %v", when, got)
		}
	}
	b := newBox(t, 1)
	b.start(boxTr, func(c *uplink.Config, o *uplink.Options) {
		if url != "" {
			c.Servers = []string{url}
		}
		c.Backoff = uplink.Backoff{Min: 100 * time.Millisecond, Max: time.Second}
		o.Status = func() *wire.Status { return &wire.Status{Site: "t/s"} }
		o.StatusEvery = time.Hour
	})
	want(true, "when connected")
	cut()
	want(false, "after a cut")
	want(true, "when connected again")
	b.stop()
	want(false, "after a goodbye")
	late, err := tr.Dial(t.Context(), url, uplink.Hello{ClientID: "late"})
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close(true)
	err = late.Subscribe(t.Context(), []string{site().Topic(wire.State)}, func(m uplink.Message) {
		st, err := wire.DecodeStatus(m.Payload)
		online <- !m.Retain || err != nil || st.Online
	})
	if err != nil {
		t.Fatal(err)
	}
	want(false, "retained")
}
