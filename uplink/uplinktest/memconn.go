package uplinktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/uplink"
)

// memConn is a client's connection to a [Memory]. Each direction is a line: what
// is put on it arrives in order, after the latency.
type memConn struct {
	broker   *Memory
	hello    uplink.Hello
	up, down *line
	done     chan struct{}
	lines    sync.WaitGroup

	mu     sync.Mutex
	err    error // set before done is closed
	subs   []memSub
	tokens map[*memToken]bool // those that are not done
	sent   int
	got    map[string]int // messages by who has published them
}

type memSub struct {
	filters []string
	handler func(uplink.Message)
}

func newMemConn(m *Memory, hello uplink.Hello) *memConn {
	c := &memConn{broker: m, hello: hello, up: newLine(), down: newLine(), done: make(chan struct{}),
		tokens: map[*memToken]bool{}, got: map[string]int{}}
	c.lines.Go(func() { c.up.run(c.done) })
	c.lines.Go(func() { c.down.run(c.done) })
	return c
}

func (c *memConn) Done() <-chan struct{} { return c.done }

func (c *memConn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *memConn) Close(goodbye bool) {
	c.end(errors.New("closed by this side"), !goodbye)
	c.lines.Wait()
}

// end ends the connection unless it has ended; it does not wait.
func (c *memConn) end(why error, will bool) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = &uplink.LinkError{Stage: uplink.StageSession, Err: why}
	failed := c.tokens
	c.tokens = nil
	c.mu.Unlock()
	for t := range failed {
		t.finish(c.err)
	}
	m := c.broker
	m.mu.Lock()
	if m.clients[c.hello.ClientID] == c {
		delete(m.clients, c.hello.ClientID)
	}
	m.mu.Unlock()
	close(c.done)
	if w := c.hello.Will; will && w != nil {
		m.publish(c.hello.ClientID, *w)
	}
}

func (c *memConn) Subscribe(ctx context.Context, topics []string, handler func(uplink.Message)) error {
	answer := make(chan error, 1)
	delay := c.broker.delay()
	c.up.put(delay, func() {
		err := c.broker.deniedOf(c.hello.ClientID, topics)
		if err == nil {
			c.mu.Lock()
			c.subs = append(c.subs, memSub{slices.Clone(topics), handler})
			c.mu.Unlock()
		}
		c.down.put(delay, func() { answer <- err })
		if err == nil {
			for _, m := range c.broker.retainedFor(topics) {
				c.receive("", m)
			}
		}
	})
	select {
	case err := <-answer:
		return err
	case <-c.done:
		return &uplink.LinkError{Stage: uplink.StageSubscribe, Err: c.Err()}
	case <-ctx.Done():
		e := &uplink.LinkError{Stage: uplink.StageSubscribe, Reason: uplink.ReasonTimeout, Err: ctx.Err()}
		c.end(e, true)
		return e
	}
}

func (c *memConn) Publish(m uplink.Message) uplink.Token {
	t := &memToken{done: make(chan struct{})}
	switch {
	case len(m.Payload) > uplink.MaxMessage:
		t.finish(&uplink.LinkError{Stage: uplink.StageSession, Err: fmt.Errorf("message of %d bytes (at most %d)", len(m.Payload), uplink.MaxMessage)})
		return t
	case m.Topic == "" || strings.ContainsAny(m.Topic, "+#\x00"):
		t.finish(&uplink.LinkError{Stage: uplink.StageSession, Err: errors.New("not a topic to publish to")})
		return t
	}
	m.Payload = slices.Clone(m.Payload)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		t.finish(c.err)
		return t
	}
	c.tokens[t] = true
	c.sent++
	n := c.sent
	c.mu.Unlock()

	fate := c.broker.fate(Transit{From: c.hello.ClientID, N: n, Message: m})
	arrive := func() {
		c.broker.publish(c.hello.ClientID, m)
		if fate.Double {
			c.broker.publish(c.hello.ClientID, m)
		}
		if !fate.NoAck {
			c.down.put(c.broker.delay(), func() { c.acked(t) })
		}
	}
	c.travel(fate, c.up, arrive)
	return t
}

// travel puts something on a line, as fate will have it.
func (c *memConn) travel(fate Fate, l *line, arrive func()) {
	switch {
	case fate.Cut:
		c.end(errCut, true)
	case fate.Lose:
	case fate.Delay > 0:
		time.AfterFunc(fate.Delay, func() { l.put(c.broker.delay(), arrive) })
	default:
		l.put(c.broker.delay(), arrive)
	}
}

func (c *memConn) acked(t *memToken) {
	c.mu.Lock()
	mine := c.tokens[t]
	delete(c.tokens, t)
	c.mu.Unlock()
	if mine {
		t.finish(nil)
	}
}

func (c *memConn) wants(topic string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.subs, func(s memSub) bool { return covers(s.filters, topic) })
}

// receive sends a message down to the client.
func (c *memConn) receive(from string, m uplink.Message) {
	c.mu.Lock()
	c.got[from]++
	n := c.got[from]
	c.mu.Unlock()
	fate := c.broker.fate(Transit{From: from, To: c.hello.ClientID, N: n, Message: m})
	arrive := func() {
		c.mu.Lock()
		subs := slices.Clone(c.subs)
		c.mu.Unlock()
		for _, s := range subs {
			if covers(s.filters, m.Topic) {
				s.handler(m)
				if fate.Double {
					s.handler(m)
				}
			}
		}
	}
	c.travel(fate, c.down, arrive)
}

type memToken struct {
	done chan struct{}
	err  error
}

func (t *memToken) finish(err error) {
	t.err = err
	close(t.done)
}

func (t *memToken) Done() <-chan struct{} { return t.done }

func (t *memToken) Err() error {
	select {
	case <-t.done:
		return t.err
	default:
		return nil
	}
}

// line does things in the order in which they were put, each when it is due.
type line struct {
	mu    sync.Mutex
	queue []due
	ready chan struct{} // capacity 1
}

type due struct {
	at time.Time
	do func()
}

func newLine() *line { return &line{ready: make(chan struct{}, 1)} }

func (l *line) put(after time.Duration, do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, due{time.Now().Add(after), do})
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

func (l *line) run(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-l.ready:
		}
		l.mu.Lock()
		queue := l.queue
		l.queue = nil
		l.mu.Unlock()
		for _, d := range queue {
			if wait := time.Until(d.at); wait > 0 {
				t := time.NewTimer(wait)
				select {
				case <-done:
					t.Stop()
					return
				case <-t.C:
				}
			}
			select {
			case <-done:
				return
			default:
				d.do()
			}
		}
	}
}

var _ uplink.Transport = (*Memory)(nil)
var _ uplink.Conn = (*memConn)(nil)
