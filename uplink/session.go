package uplink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// session is one connection and what is in flight on it. Its fields belong to the
// goroutine of run, but for the channels.
type session struct {
	*Sender
	conn    Conn
	inbox   chan Message
	tokens  chan sent
	pubacks chan sent

	lanes
	backfill bool // the hub has spoken
	backAt   time.Time

	progress time.Time // the last acknowledgement, or the first send after none was due
	due      int       // messages that wait for their PUBACK
	puback   time.Time // the last one, or the first message after none was due
	rtt      time.Duration
	rate     meter
	trickle  bool // the broker answers, the hub does not
	vain     bool // ... and did not store what it was sent
	garbled  bool // it was said that a reply cannot be read

	asking        bool // an account was sent
	daily, hourly time.Time
	drained       bool      // an account was sent since the backlog is gone
	caughtUp      bool      // a status was sent since then
	lacking       time.Time // since when a block is parked whose schema is not here; zero: none is
	revisit       bool      // what was parked is to have a second chance
}

// sent is a published message that waits for its PUBACK; of a block's messages
// the last says so.
type sent struct {
	id    block.ID
	token Token
	last  bool
	err   error
}

// statusSoon is when a session's second status is published.
const statusSoon = 8 * time.Second

// maxUnacked bounds the messages that wait for a PUBACK; blocks stop a little
// below it.
const maxUnacked = 8192

// session opens a connection and serves it until it ends. lasted is 0 when it
// never came so far that blocks could be sent.
func (s *Sender) session(ctx context.Context, server string, spare bool) (lasted time.Duration, err error) {
	hello := Hello{ClientID: s.opt.Site.Probe()}
	if s.opt.Status != nil {
		hello.Will = s.statusMessage(false)
	}
	conn, err := s.opt.Transport.Dial(ctx, server, hello)
	if err != nil {
		return 0, err
	}
	now := time.Now()
	x := &session{
		Sender: s, conn: conn, inbox: make(chan Message, 1024), tokens: make(chan sent, maxUnacked), pubacks: make(chan sent, 256),
		lanes: newLanes(), progress: now, puback: now,
	}
	s.stats.sessions.Add(1)
	waiter, stop := make(chan struct{}), make(chan struct{})
	go x.awaitPubacks(stop, waiter)
	defer func() {
		x.close(ctx.Err() != nil || errors.Is(err, errRetry))
		close(stop)
		<-waiter
	}()
	if s.cfg.Ack == AckHub {
		err := conn.Subscribe(ctx, []string{s.opt.Site.Topic(wire.Replies)}, func(m Message) {
			select {
			case x.inbox <- m:
			default: // as good as lost: the block is sent again, or the account heals it
			}
		})
		if err != nil {
			return 0, err
		}
	}
	up := time.Now()
	s.set(StateConnected, server, nil)
	s.log.Info("the uplink is up", "server", server)
	err = x.run(ctx, spare)
	return max(time.Since(up), 1), err
}

// close ends the connection; after a goodbye the retained status says that the box
// has gone, which otherwise the will does.
func (x *session) close(goodbye bool) {
	if goodbye && x.opt.Status != nil {
		t := x.conn.Publish(*x.statusMessage(false))
		wait := time.NewTimer(time.Second)
		defer wait.Stop()
		select {
		case <-t.Done():
		case <-wait.C:
			goodbye = false // the broker did not take it: let it publish the will
		}
	}
	x.conn.Close(goodbye)
}

// awaitPubacks hands over each PUBACK, in the order of sending.
func (x *session) awaitPubacks(stop, done chan struct{}) {
	defer close(done)
	for {
		select {
		case <-stop:
			return
		case t := <-x.tokens:
			select {
			case <-t.token.Done():
			case <-stop:
				return
			}
			t.err = t.token.Err()
			select {
			case x.pubacks <- t:
			case <-stop:
				return
			}
		}
	}
}

// run is the session's loop: it waits for something to happen, and sends what the
// window lets through.
func (x *session) run(ctx context.Context, spare bool) error {
	started := time.Now()
	x.liveFrom = x.opt.Buffer.Head()
	x.live = x.liveFrom
	if err := x.status(); err != nil {
		return err
	}
	if x.cfg.Ack == AckBroker {
		x.mayBackfill() // nobody will say a word
	} else if err := x.account(buffer.Everything); err != nil {
		return err
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	status := time.NewTicker(x.opt.StatusEvery)
	defer status.Stop()
	// The first status of a box that has just started tells nothing of its devices.
	soon := time.NewTimer(min(statusSoon, x.opt.StatusEvery))
	defer soon.Stop()
	for {
		x.beat.Add(1)
		if err := x.send(); err != nil {
			return err
		}
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-x.conn.Done():
			return x.conn.Err()
		case <-x.opt.Buffer.Committed():
		case m := <-x.inbox:
			err = x.replies(m)
		case p := <-x.pubacks:
			err = x.pubacked(p)
		case <-status.C:
			err = x.status()
		case <-soon.C:
			err = x.status()
		case <-tick.C:
			if spare && time.Since(started) > preferredAfter {
				return errRetry
			}
			err = x.timers()
		}
		if err != nil {
			return err
		}
	}
}

// mayBackfill lets the backlog go, a moment from now: sites that come back
// together must not begin their backlogs together.
func (x *session) mayBackfill() {
	if !x.backfill {
		x.backfill = true
		x.backAt = time.Now().Add(time.Duration(rand.Float64() * float64(min(x.cfg.Backoff.Min, time.Second))))
	}
}

// out hands a published message to whoever waits for its PUBACK.
func (x *session) out(t sent) error {
	if x.due == 0 {
		x.puback = time.Now() // nothing was due before
	}
	x.due++
	select {
	case x.tokens <- t:
		return nil
	default:
		return &LinkError{Stage: StageSession, Reason: ReasonTimeout, Err: errors.New("too many messages wait for a PUBACK")}
	}
}

// pubacked notes that the broker has a message; with ack: broker that is all
// there is.
func (x *session) pubacked(p sent) error {
	var ids []block.ID
	for n := 0; ; n++ {
		if p.err != nil {
			return p.err
		}
		x.due--
		x.puback = time.Now()
		if x.cfg.Ack == AckBroker && p.last && x.flight[p.id] != nil {
			ids = append(ids, p.id)
		}
		if n < 256 {
			select {
			case p = <-x.pubacks:
				continue
			default:
			}
		}
		return x.delivered(ids)
	}
}

// timers looks after what only time brings.
func (x *session) timers() error {
	now := time.Now()
	wait := patience(x.rtt)
	heard := x.puback
	if x.progress.After(heard) {
		heard = x.progress // what the hub says came through the broker, too
	}
	if x.due > 0 && now.Sub(heard) > wait {
		return &LinkError{Stage: StageSession, Reason: ReasonTimeout, Err: fmt.Errorf("the broker has acknowledged nothing for %v", wait)}
	}
	if !x.caughtUp && x.backfill && x.exhausted(x.opt.Buffer.Head()) {
		x.caughtUp = true // whoever watches the backlog sees it gone
		if err := x.status(); err != nil {
			return err
		}
	}
	if !x.lacking.IsZero() && now.Sub(x.lacking) > lackingFor {
		x.lacking = time.Time{}
		x.unpark(0)
	}
	if x.cfg.Ack == AckBroker {
		return nil
	}
	if err := x.overdue(now, wait); err != nil {
		return err
	}
	// Blocks wait in vain, or not even the account was answered.
	vain := len(x.flight) > 0 && now.Sub(x.progress) > wait
	if vain || x.asking && !x.backfill && now.Sub(x.hourly) > wait {
		return x.notStoring(now, vain)
	}
	switch {
	case now.Sub(x.daily) > 24*time.Hour:
		x.unpark(0)
		return x.account(buffer.Everything)
	case now.Sub(x.hourly) > time.Hour:
		return x.account(buffer.Unsettled)
	case !x.drained && x.backfill && !x.trickle && x.exhausted(x.opt.Buffer.Head()) && now.Sub(x.hourly) > 10*time.Second:
		if x.revisit {
			x.revisit = false
			x.unpark(maxTries) // once, and last
			return nil
		}
		x.drained = true
		return x.account(buffer.Unsettled)
	}
	return nil
}

// notStoring goes on at a trickle. The account asks the hub whether it is there.
func (x *session) notStoring(now time.Time, vain bool) error {
	if !x.trickle {
		x.log.Warn("the broker takes messages but no hub says that it has stored them", "for", now.Sub(x.progress).Round(time.Second))
	}
	x.trickle = true
	x.vain = x.vain || vain
	x.set(StateNotStoring, x.State().Server, errors.New("the broker takes messages, but no hub has acknowledged any (is the hub running, subscribed, and allowed to read this site's topics?)"))
	x.progress = now
	x.forget()
	x.drained = false
	return x.account(buffer.Unsettled)
}

// storing ends the trickle.
func (x *session) storing() {
	if x.trickle {
		x.trickle, x.vain = false, false
		x.log.Info("the hub stores again")
		x.set(StateConnected, x.State().Server, nil)
	}
}

func (x *session) account(scope buffer.Scope) error {
	now := time.Now()
	if x.hourly = now; scope == buffer.Everything {
		x.daily = now
	}
	a, err := x.opt.Buffer.Account(scope)
	if err != nil {
		return err
	}
	payloads := wire.EncodeAccount(a)
	x.asking = len(payloads) > 0 // before the first commit there is nothing to tell
	for _, payload := range payloads {
		if err := x.out(sent{token: x.conn.Publish(Message{Topic: x.opt.Site.Topic(wire.Accounts), Payload: payload})}); err != nil {
			return err
		}
	}
	return nil
}

func (x *session) status() error {
	if x.opt.Status == nil {
		return nil
	}
	return x.out(sent{token: x.conn.Publish(*x.statusMessage(true))})
}

// statusMessage is the status as it is published; with online false it is also
// the will, which the broker publishes when the box is gone.
func (s *Sender) statusMessage(online bool) *Message {
	st := *s.opt.Status()
	st.Online = online
	b, err := wire.EncodeStatus(&st)
	if err != nil {
		b = []byte(`{"online":false}`)
	}
	return &Message{Topic: s.opt.Site.Topic(wire.State), Payload: b, Retain: true}
}
