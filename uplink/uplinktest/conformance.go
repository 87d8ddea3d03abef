package uplinktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/uplink"
)

// TestTransport runs what every transport must do. open returns a transport and a
// server to which any client may connect, publish and subscribe under
// sp/v1/t/s/. It is called once for each subtest.
func TestTransport(t *testing.T, open func(t *testing.T) (uplink.Transport, string)) {
	for name, test := range map[string]func(*testing.T, *rig){
		"messages arrive in order":       testOrder,
		"retained":                       testRetained,
		"filters":                        testFilters,
		"will on a cut":                  testWill,
		"no will on a goodbye":           testGoodbye,
		"too long":                       testOversize,
		"closed":                         testClosed,
		"closed while publishing":        testCloseBusy,
		"dialing stops with its context": testDialCanceled,
	} {
		t.Run(name, func(t *testing.T) {
			transport, server := open(t)
			test(t, &rig{t, transport, server})
		})
	}
}

const base = "sp/v1/t/s/"

type rig struct {
	t         *testing.T
	transport uplink.Transport
	server    string
}

func (r *rig) dial(id string, will *uplink.Message) uplink.Conn {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	c, err := r.transport.Dial(ctx, r.server, uplink.Hello{ClientID: id, Will: will})
	if err != nil {
		r.t.Fatalf("dialing: %v", err)
	}
	r.t.Cleanup(func() { c.Close(false) })
	return c
}

func (r *rig) subscribe(c uplink.Conn, topics ...string) <-chan uplink.Message {
	r.t.Helper()
	got := make(chan uplink.Message, 10_000)
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if err := c.Subscribe(ctx, topics, func(m uplink.Message) { got <- m }); err != nil {
		r.t.Fatalf("subscribing: %v", err)
	}
	return got
}

func (r *rig) publish(c uplink.Conn, topic, text string, retain bool) {
	r.t.Helper()
	tok := c.Publish(uplink.Message{Topic: topic, Payload: []byte(text), Retain: retain})
	Await(r.t, tok.Done(), "a PUBACK")
	if err := tok.Err(); err != nil {
		r.t.Fatalf("publishing: %v", err)
	}
}

func (r *rig) expect(got <-chan uplink.Message, topic, text string, retain bool) {
	r.t.Helper()
	m := Await(r.t, got, "a message on "+topic)
	if m.Topic != topic || string(m.Payload) != text || m.Retain != retain {
		r.t.Fatalf("got %s %.40q retained %v, want %s %q retained %v", m.Topic, m.Payload, m.Retain, topic, text, retain)
	}
}

func testOrder(t *testing.T, r *rig) {
	hub, site := r.dial("hub", nil), r.dial("t/s", nil)
	got := r.subscribe(hub, base+"d/l")
	const n = 500
	var tokens []uplink.Token
	for i := range n {
		tokens = append(tokens, site.Publish(uplink.Message{Topic: base + "d/l", Payload: fmt.Append(nil, i)}))
	}
	for i := range n {
		r.expect(got, base+"d/l", fmt.Sprint(i), false)
	}
	for _, tok := range tokens {
		Await(t, tok.Done(), "a PUBACK")
		if err := tok.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func testRetained(t *testing.T, r *rig) {
	site, hub := r.dial("t/s", nil), r.dial("hub", nil)
	r.publish(site, base+"st", "before", true)
	r.publish(site, base+"acc", "barrier", false) // a PUBACK may come before the message has been handed on
	got := r.subscribe(hub, base+"st")
	r.expect(got, base+"st", "before", true)
	r.publish(site, base+"st", "after", true)
	r.expect(got, base+"st", "after", false)
	r.publish(site, base+"st", "", true) // removes it
	r.expect(got, base+"st", "", false)
	late := r.dial("late", nil)
	got = r.subscribe(late, base+"st")
	r.publish(site, base+"st", "marker", false)
	r.expect(got, base+"st", "marker", false)
}

func testFilters(t *testing.T, r *rig) {
	site, hub := r.dial("t/s", nil), r.dial("hub", nil)
	one := r.subscribe(hub, "sp/v1/+/+/d/+")
	all := r.subscribe(hub, base+"ev", base+"cf/#")
	r.publish(site, base+"d/b", "1", false)
	r.publish(site, base+"acc", "2", false)
	r.publish(site, base+"cf/r", "3", false)
	r.publish(site, base+"d/l", "4", false)
	r.publish(site, base+"ev", "5", false)
	r.expect(one, base+"d/b", "1", false)
	r.expect(one, base+"d/l", "4", false)
	r.expect(all, base+"cf/r", "3", false)
	r.expect(all, base+"ev", "5", false)
}

func testWill(t *testing.T, r *rig) {
	hub := r.dial("hub", nil)
	got := r.subscribe(hub, base+"st")
	site := r.dial("t/s", &uplink.Message{Topic: base + "st", Payload: []byte("gone"), Retain: true})
	r.publish(site, base+"st", "here", false)
	r.expect(got, base+"st", "here", false)
	site.Close(false)
	r.expect(got, base+"st", "gone", false)
	r.expect(r.subscribe(r.dial("late", nil), base+"st"), base+"st", "gone", true)
}

func testGoodbye(t *testing.T, r *rig) {
	hub := r.dial("hub", nil)
	got := r.subscribe(hub, base+"st")
	site := r.dial("t/s", &uplink.Message{Topic: base + "st", Payload: []byte("gone"), Retain: true})
	r.publish(site, base+"st", "here", false)
	r.expect(got, base+"st", "here", false)
	site.Close(true)
	site = r.dial("t/s", nil) // a will that was due would fire now at the latest
	r.publish(site, base+"st", "marker", false)
	r.expect(got, base+"st", "marker", false)
}

func testOversize(t *testing.T, r *rig) {
	site, hub := r.dial("t/s", nil), r.dial("hub", nil)
	got := r.subscribe(hub, base+"d/l")
	for _, m := range []uplink.Message{
		{Topic: base + "d/l", Payload: make([]byte, uplink.MaxMessage+1)},
		{Topic: base + "+"},
		{Topic: ""},
	} {
		tok := site.Publish(m)
		Await(t, tok.Done(), "a token that has failed")
		if _, ok := errors.AsType[*uplink.LinkError](tok.Err()); !ok {
			t.Errorf("publishing %d bytes to %q: %v, want a *LinkError", len(m.Payload), m.Topic, tok.Err())
		}
	}
	most := bytes.Repeat([]byte("x"), uplink.MaxMessage)
	r.publish(site, base+"d/l", string(most), false)
	if m := Await(t, got, "the largest message"); !bytes.Equal(m.Payload, most) {
		t.Errorf("%d bytes arrived", len(m.Payload))
	}
}

func testClosed(t *testing.T, r *rig) {
	for _, goodbye := range []bool{true, false} {
		site := r.dial("t/s", nil)
		if site.Err() != nil {
			t.Errorf("an open connection has the error %v", site.Err())
		}
		site.Close(goodbye)
		site.Close(!goodbye) // does nothing
		Await(t, site.Done(), "a closed connection")
		if _, ok := errors.AsType[*uplink.LinkError](site.Err()); !ok {
			t.Errorf("closed: %v, want a *LinkError", site.Err())
		}
		tok := site.Publish(uplink.Message{Topic: base + "d/l"})
		Await(t, tok.Done(), "a token")
		if tok.Err() == nil {
			t.Error("published on a closed connection")
		}
		if site.Subscribe(t.Context(), []string{base + "a"}, func(uplink.Message) {}) == nil {
			t.Error("subscribed on a closed connection")
		}
	}
}

func testCloseBusy(t *testing.T, r *rig) {
	site := r.dial("t/s", nil)
	started := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				tok := site.Publish(uplink.Message{Topic: base + "d/l", Payload: make([]byte, 1000)})
				if i == 50 {
					started <- struct{}{}
				}
				select {
				case <-site.Done():
					Await(t, tok.Done(), "a token after the end")
					return
				default:
				}
			}
		})
	}
	for range 4 {
		Await(t, started, "publishers")
	}
	last := site.Publish(uplink.Message{Topic: base + "d/l"})
	site.Close(false)
	select {
	case <-last.Done():
	default:
		t.Error("Close returned before a token was done")
	}
	wg.Wait()
}

func testDialCanceled(t *testing.T, r *rig) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	_, err := r.transport.Dial(ctx, r.server, uplink.Hello{ClientID: "t/s"})
	if _, ok := errors.AsType[*uplink.LinkError](err); !ok || !errors.Is(err, context.Canceled) {
		t.Errorf("dialing with a canceled context: %v", err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
}
