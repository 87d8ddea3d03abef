package uplinktest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/mqtt/topic"
)

// Memory is a broker and the transport to it, made of channels and timers only.
// It keeps retained messages and wills, knows filters with + and #, and delivers
// in order as long as no Fault says otherwise. Any server's name leads to it.
//
// Its connections end their goroutines when they are closed or cut.
type Memory struct {
	mu       sync.Mutex
	fault    func(Transit) Fate
	latency  time.Duration
	refusal  error
	denied   func(client, filter string) bool
	clients  map[string]*memConn
	retained map[string]uplink.Message
}

// Transit is a message on its way.
type Transit struct {
	From    string // the client that has published it
	To      string // the client that it is for; empty on the way to the broker
	N       int    // the how-many-eth between these two on this connection, from 1
	Message uplink.Message
}

// Fate is what becomes of a message. The zero Fate is that all goes well.
type Fate struct {
	Lose   bool          // it does not arrive; towards the broker there is no PUBACK either
	NoAck  bool          // towards the broker: it arrives, its PUBACK does not
	Double bool          // it arrives twice
	Delay  time.Duration // it arrives later, overtaken by others
	Cut    bool          // the connection breaks instead
}

// NewMemory returns a broker without clients.
func NewMemory() *Memory {
	return &Memory{clients: map[string]*memConn{}, retained: map[string]uplink.Message{}}
}

// SetFault decides about all messages from now on; nil lets all of them go well.
// It is called by several goroutines.
func (m *Memory) SetFault(f func(Transit) Fate) { m.set(func() { m.fault = f }) }

// SetLatency sets how long a message takes from a client to the broker or back.
func (m *Memory) SetLatency(d time.Duration) { m.set(func() { m.latency = d }) }

// Refuse makes Dial fail with err; nil lets clients in again. It does not touch
// those that are connected.
func (m *Memory) Refuse(err error) { m.set(func() { m.refusal = err }) }

// Deny sets which subscriptions are refused.
func (m *Memory) Deny(f func(client, filter string) bool) { m.set(func() { m.denied = f }) }

func (m *Memory) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// Cut breaks the connection of a client; its will fires. It reports whether there
// was one.
func (m *Memory) Cut(client string) bool {
	m.mu.Lock()
	c := m.clients[client]
	m.mu.Unlock()
	if c != nil {
		c.end(errCut, true)
	}
	return c != nil
}

// Restart breaks all connections without wills and forgets what was retained, as
// a broker without persistence does that is killed.
func (m *Memory) Restart() {
	m.mu.Lock()
	cs := slices.Collect(maps.Values(m.clients))
	clear(m.retained)
	m.mu.Unlock()
	for _, c := range cs {
		c.end(errCut, false)
	}
}

// Clients returns the ids of those connected, in order.
func (m *Memory) Clients() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.clients))
}

var errCut = errors.New("the connection was cut")

// Dial connects a client. One with the same id is thrown out.
func (m *Memory) Dial(ctx context.Context, _ string, hello uplink.Hello) (uplink.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, &uplink.LinkError{Stage: uplink.StageDial, Err: err}
	}
	m.mu.Lock()
	refusal, latency, old := m.refusal, m.latency, m.clients[hello.ClientID]
	m.mu.Unlock()
	if latency > 0 {
		t := time.NewTimer(2 * latency)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, &uplink.LinkError{Stage: uplink.StageDial, Err: ctx.Err()}
		}
	}
	if refusal != nil {
		if e, ok := errors.AsType[*uplink.LinkError](refusal); ok {
			return nil, e
		}
		return nil, &uplink.LinkError{Stage: uplink.StageDial, Err: refusal}
	}
	if old != nil {
		old.end(errors.New("another client with this id has connected"), true)
	}
	c := newMemConn(m, hello)
	m.mu.Lock()
	m.clients[hello.ClientID] = c
	m.mu.Unlock()
	return c, nil
}

// fate asks the fault function.
func (m *Memory) fate(t Transit) Fate {
	m.mu.Lock()
	f := m.fault
	m.mu.Unlock()
	if f == nil {
		return Fate{}
	}
	return f(t)
}

func (m *Memory) delay() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latency
}

// publish takes a message from a client to all who have subscribed.
func (m *Memory) publish(from string, msg uplink.Message) {
	m.mu.Lock()
	if msg.Retain {
		if len(msg.Payload) == 0 {
			delete(m.retained, msg.Topic)
		} else {
			m.retained[msg.Topic] = msg
		}
	}
	ids := slices.Sorted(maps.Keys(m.clients))
	to := make([]*memConn, len(ids))
	for i, id := range ids {
		to[i] = m.clients[id]
	}
	m.mu.Unlock()
	msg.Retain = false // only what was there before a subscription comes as retained
	for _, c := range to {
		if c.wants(msg.Topic) {
			c.receive(from, msg)
		}
	}
}

// retainedFor returns what is retained under any of the filters, by topic.
func (m *Memory) retainedFor(filters []string) (msgs []uplink.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.retained)) {
		if covers(filters, name) {
			msgs = append(msgs, m.retained[name])
		}
	}
	return msgs
}

func covers(filters []string, name string) bool {
	return slices.ContainsFunc(filters, func(f string) bool { return topic.Match(f, name) })
}

func (m *Memory) deniedOf(client string, filters []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.denied == nil {
		return nil
	}
	var bad []string
	for _, f := range filters {
		if m.denied(client, f) {
			bad = append(bad, f)
		}
	}
	if bad == nil {
		return nil
	}
	return &uplink.LinkError{Stage: uplink.StageSubscribe, Reason: uplink.ReasonDenied,
		Err: fmt.Errorf("the broker denies %s", strings.Join(bad, ", "))}
}
