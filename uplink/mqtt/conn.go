package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/siteprobe/siteprobe/uplink"
	"github.com/siteprobe/siteprobe/uplink/mqtt/topic"
)

// maxInFlight keeps clear of the 65,535 packet ids of MQTT.
const maxInFlight = 60_000

// handOver is how long paho may take to pass a packet to the link. The link takes
// it at once, so paho only waits this long, and in vain, for a connection that has
// ended in the same moment. It has nothing to do with the write timeout.
const handOver = 2 * time.Second

// conn is one connection: a link, the paho client on it and what is in flight.
type conn struct {
	transport *Transport
	link      *link
	client    paho.Client
	inbox     *inbox
	lost      chan struct{} // closed when paho has stopped by itself

	subscribe sync.Mutex // one SUBSCRIBE at a time
	mu        sync.Mutex
	subs      []subscription
	closed    bool // no new token may be watched

	inFlight  atomic.Int64
	watchers  sync.WaitGroup // one for each token not done
	deliverer sync.WaitGroup
	closeOnce sync.Once
}

type subscription struct {
	filters []string
	handler func(uplink.Message)
}

// connect speaks MQTT over a link that is open, up to the CONNACK.
func (t *Transport) connect(ctx context.Context, l *link, hello uplink.Hello) (*conn, *uplink.LinkError) {
	c := &conn{transport: t, link: l, inbox: newInbox(t.opts.Inbox), lost: make(chan struct{})}
	c.client = paho.NewClient(c.clientOptions(hello))
	stop := context.AfterFunc(ctx, func() { l.fail(context.Cause(ctx)) })
	token := c.client.Connect()
	<-token.Done() // soon, whatever happens: the CONNACK has a deadline, and ctx ends the link
	if stop() && token.Error() == nil && l.reason() == nil {
		c.deliverer.Go(c.deliver)
		return c, nil
	}
	cause := l.reason() // before fail gives it one
	code := l.connack.Load()
	if token.Error() == nil {
		c.Close(false)
	} else {
		l.fail(errEnded)
		l.writer.Wait()
	}
	switch {
	case ctx.Err() != nil:
		return nil, connackError(context.Cause(ctx))
	case code > 0:
		return nil, refusal(byte(code))
	case cause != nil:
		return nil, connackError(cause)
	}
	return nil, connackError(fmt.Errorf("%w: %w", errPacket, token.Error())) // the first packet was no CONNACK
}

func (c *conn) clientOptions(hello uplink.Hello) *paho.ClientOptions {
	t := c.transport.opts
	o := paho.NewClientOptions()
	o.Servers = []*url.URL{{Scheme: "mqtt", Host: "link"}} // paho wants one; it is not used
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return c.link, nil })
	o.SetClientID(hello.ClientID)
	if t.Username != "" {
		o.SetUsername(t.Username)
		o.SetPassword(t.Password.Reveal())
	}
	if w := hello.Will; w != nil {
		o.SetBinaryWill(w.Topic, w.Payload, 1, w.Retain)
	}
	o.SetProtocolVersion(4) // or a refused CONNECT is tried again as MQTT 3.1
	o.SetCleanSession(true)
	o.SetAutoReconnect(false) // with it, a token without an error may be none of a PUBACK
	o.SetConnectRetry(false)
	o.SetStore(noStore{})
	o.SetConnectTimeout(t.ConnectTimeout)
	o.SetWriteTimeout(handOver)
	o.SetKeepAlive(max(t.KeepAlive, time.Second))
	o.SetPingTimeout(t.PingTimeout)
	// In order, by one goroutine of paho's: receive does not wait, and neither does
	// an acknowledgement, because the link queues it. Without order, paho would
	// start a goroutine for each message.
	o.SetOrderMatters(true)
	o.SetAutoAckDisabled(true)
	o.SetDefaultPublishHandler(c.receive)
	o.SetConnectionLostHandler(func(_ paho.Client, err error) {
		c.link.fail(err) // a cause only where the link itself saw none, such as a ping unanswered
		close(c.lost)
	})
	return o
}

// Done is closed when the connection has ended.
func (c *conn) Done() <-chan struct{} { return c.link.dead }

// Err tells why the connection has ended, as a *[uplink.LinkError]; nil before.
func (c *conn) Err() error {
	if err := c.link.reason(); err != nil {
		return sessionError(err)
	}
	return nil
}

// receive takes a message from paho.
func (c *conn) receive(_ paho.Client, m paho.Message) {
	if len(m.Payload()) > uplink.MaxMessage {
		c.transport.oversize.Add(1)
		m.Ack() // or the broker would send it again and again
		return
	}
	if !c.inbox.put(m) {
		c.link.fail(errInbox)
	}
}

// deliver calls the handlers, one message after the other.
func (c *conn) deliver() {
	for {
		select {
		case <-c.link.dead:
			return
		case <-c.inbox.ready:
		}
		for _, m := range c.inbox.takeAll() {
			if c.link.reason() != nil {
				return
			}
			for _, h := range c.handlers(m.Topic()) {
				h(uplink.Message{Topic: m.Topic(), Payload: m.Payload(), Retain: m.Retained()})
			}
			m.Ack()
			c.inbox.done(m)
		}
	}
}

func (c *conn) handlers(name string) (hs []func(uplink.Message)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.subs {
		if slices.ContainsFunc(s.filters, func(f string) bool { return topic.Match(f, name) }) {
			hs = append(hs, s.handler)
		}
	}
	return hs
}

// Subscribe asks for topics, which may be filters, and waits for the SUBACK, at
// most for the connect timeout. A SUBACK that does not come ends the connection;
// a topic that is denied does not.
func (c *conn) Subscribe(ctx context.Context, topics []string, handler func(uplink.Message)) error {
	if len(topics) == 0 {
		return nil
	}
	c.subscribe.Lock()
	defer c.subscribe.Unlock()
	filters := make(map[string]byte, len(topics))
	for _, t := range topics {
		filters[t] = 1
	}
	c.link.subacks.Store(int32(len(filters)))
	c.addSubscription(subscription{slices.Clone(topics), handler}) // retained messages may come before the SUBACK

	ctx, cancel := context.WithTimeout(ctx, c.transport.opts.ConnectTimeout)
	defer cancel()
	token := c.client.SubscribeMultiple(filters, nil).(*paho.SubscribeToken)
	select {
	case <-token.Done():
	case <-c.link.dead:
	case <-ctx.Done():
		e := &uplink.LinkError{Stage: uplink.StageSubscribe, Err: fmt.Errorf("%w: %w", errNoSuback, context.Cause(ctx))}
		if isTimeout(ctx.Err()) {
			e.Reason = uplink.ReasonTimeout
		}
		c.link.fail(e)
		return e
	}
	if err := c.link.reason(); err != nil {
		e := *sessionError(err)
		e.Stage = uplink.StageSubscribe
		return &e
	}
	if err := token.Error(); err != nil { // a filter that is none
		c.dropSubscription()
		return &uplink.LinkError{Stage: uplink.StageSubscribe, Err: err}
	}
	var denied []string
	results := token.Result()
	for _, t := range topics {
		if code, ok := results[t]; (!ok || code > 2) && !slices.Contains(denied, t) {
			denied = append(denied, t)
		}
	}
	if len(denied) == 0 {
		return nil
	}
	c.dropSubscription()
	return &uplink.LinkError{Stage: uplink.StageSubscribe, Reason: uplink.ReasonDenied,
		Err:  fmt.Errorf("the broker denies %s", strings.Join(denied, ", ")),
		Hint: "the broker's access list must let this box read its own topics"}
}

func (c *conn) addSubscription(s subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs = append(c.subs, s)
}

// dropSubscription takes back the last one added; c.subscribe is held.
func (c *conn) dropSubscription() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs = c.subs[:len(c.subs)-1]
}

// Publish hands over one message. It waits while 128 KB are still to be written,
// so that a line that is slow slows its sender down.
func (c *conn) Publish(m uplink.Message) uplink.Token {
	t := &token{done: make(chan struct{})}
	if err := publishable(m); err != nil {
		return t.finish(&uplink.LinkError{Stage: uplink.StageSession, Err: err})
	}
	if c.inFlight.Add(1) > maxInFlight {
		c.inFlight.Add(-1)
		return t.finish(&uplink.LinkError{Stage: uplink.StageSession, Err: fmt.Errorf("%d messages are in flight", maxInFlight)})
	}
	if !c.link.waitRoom() {
		c.inFlight.Add(-1)
		return t.finish(c.Err())
	}
	p := c.client.Publish(m.Topic, 1, m.Retain, m.Payload)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.inFlight.Add(-1)
		return t.finish(c.result(p))
	}
	c.watchers.Go(func() {
		select {
		case <-p.Done():
		case <-c.link.dead: // paho forgets a token that was made while the connection ended
		}
		c.inFlight.Add(-1)
		t.finish(c.result(p))
	})
	return t
}

// result tells what became of a message whose token is done or whose connection
// has ended. Only a token that is done without an error is a PUBACK.
func (c *conn) result(p paho.Token) error {
	select {
	case <-p.Done():
		if p.Error() == nil {
			return nil
		}
		c.link.fail(p.Error()) // paho has given up on the message, so this connection cannot be trusted with others
	default:
		c.link.fail(errEnded)
	}
	return c.Err()
}

// publishable tells whether the broker must accept the message's form.
func publishable(m uplink.Message) error {
	switch {
	case len(m.Payload) > uplink.MaxMessage:
		return fmt.Errorf("message of %d bytes (at most %d)", len(m.Payload), uplink.MaxMessage)
	case m.Topic == "" || len(m.Topic) > 65535 || strings.ContainsAny(m.Topic, "+#\x00"):
		return errors.New("not a topic to publish to")
	}
	return nil
}

// Close ends the connection and waits for all that belongs to it. It must not be
// called by a handler. Of several calls the first decides about the goodbye.
func (c *conn) Close(goodbye bool) {
	c.closeOnce.Do(func() {
		if goodbye && c.link.reason() == nil {
			c.client.Disconnect(uint((goodbyeWait + 500*time.Millisecond).Milliseconds()))
			c.link.fail(errClosed)
		} else {
			c.link.fail(errClosed)
			select {
			case <-c.lost:
			case <-time.After(5 * time.Second): // paho owes it; if it should ever not, the box must not hang
			}
		}
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		c.deliverer.Wait()
		c.link.writer.Wait()
		c.watchers.Wait()
	})
}

// token follows one message.
type token struct {
	done chan struct{}
	err  error // set before done is closed
}

func (t *token) finish(err error) *token {
	t.err = err
	close(t.done)
	return t
}

// Done is closed on PUBACK or failure.
func (t *token) Done() <-chan struct{} { return t.done }

// Err is nil before Done is closed, and after it when the PUBACK has come.
func (t *token) Err() error {
	select {
	case <-t.done:
		return t.err
	default:
		return nil
	}
}

// noStore keeps nothing: the session is clean, and the buffer is the only store.
type noStore struct{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}

var _ uplink.Conn = (*conn)(nil)
