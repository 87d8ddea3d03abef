package uplink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/siteprobe/siteprobe/buffer"
	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// session is one connection and what is in flight on it. Its fields belong to the
// goroutine of run.
type session struct {
	*Sender
	conn    Conn
	started time.Time
	inbox   chan Message
	tokens  chan sent
	pubacks chan sent

	flight   map[block.ID]*flying
	inFlight int // octets
	again    []store.Pending

	liveFrom   int64 // blocks up to here are from before the session
	live, back int64 // how far each lane has come
	backfill   bool  // the hub has spoken
	backAt     time.Time

	progress time.Time // the last acknowledgement, or the first send after none was due
	puback   time.Time
	rtt      time.Duration
	rate     meter
	trickle  bool // the broker answers, the hub does not
	parked   map[block.ID]bool

	daily, hourly time.Time
	drained       bool // an account was sent since nothing is pending
	asked         time.Time
}

// flying is a block that was sent.
type flying struct {
	store.Pending
	at    time.Time
	tries int
}

// sent is a published message that waits for its PUBACK; of a block's messages
// the last says so.
type sent struct {
	id    block.ID
	token Token
	last  bool
	err   error
}

// session opens a connection and serves it until it ends. lasted is 0 when there
// was no CONNACK.
func (s *Sender) session(ctx context.Context, server string, spare bool) (lasted time.Duration, err error) {
	hello := Hello{ClientID: s.opt.Site.Probe()}
	if s.opt.Status != nil {
		hello.Will = s.statusMessage(false)
	}
	conn, err := s.opt.Transport.Dial(ctx, server, hello)
	if err != nil {
		return 0, err
	}
	x := &session{
		Sender: s, conn: conn, started: time.Now(), inbox: make(chan Message, 1024), tokens: make(chan sent, 65_000), pubacks: make(chan sent, 256),
		flight: map[block.ID]*flying{}, parked: map[block.ID]bool{}, progress: time.Now(), puback: time.Now(),
	}
	s.stats.sessions.Add(1)
	waiter := make(chan struct{})
	stop := make(chan struct{})
	go x.awaitPubacks(stop, waiter)
	defer func() {
		goodbye := ctx.Err() != nil
		if goodbye && s.opt.Status != nil {
			t := conn.Publish(*s.statusMessage(false))
			select {
			case <-t.Done():
			case <-time.After(time.Second):
			}
		}
		conn.Close(goodbye || errors.Is(err, errRetry))
		close(stop)
		<-waiter
		lasted = max(time.Since(x.started), 1)
	}()
	if s.cfg.Ack == AckHub {
		err := conn.Subscribe(ctx, []string{s.opt.Site.Topic(wire.Replies)}, func(m Message) {
			select {
			case x.inbox <- m:
			default: // the account heals a lost reply
			}
		})
		if err != nil {
			return 0, err
		}
	}
	s.set(StateConnected, server, nil)
	s.log.Info("the uplink is up", "server", server)
	return 0, x.run(ctx, spare)
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
	x.liveFrom = x.opt.Buffer.Head()
	x.live = x.liveFrom
	if x.cfg.Ack == AckBroker {
		x.backfill = true // nobody will say a word
	} else if err := x.account(buffer.Everything); err != nil {
		return err
	}
	if err := x.status(); err != nil {
		return err
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	status := time.NewTicker(x.opt.StatusEvery)
	defer status.Stop()
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
			x.drained = false
			x.back = min(x.back, x.liveFrom) // something may be wanted again
		case m := <-x.inbox:
			err = x.replies(m)
		case p := <-x.pubacks:
			err = x.pubacked(p)
		case <-status.C:
			err = x.status()
		case <-tick.C:
			if spare && time.Since(x.started) > preferredAfter {
				return errRetry
			}
			err = x.timers()
		}
		if err != nil {
			return err
		}
	}
}

// send publishes blocks while the window has room: live ones first.
func (x *session) send() error {
	room := window(x.rate.perSecond) - x.inFlight
	if x.trickle {
		if len(x.flight) >= trickle || time.Since(x.asked) < 10*time.Second {
			return nil
		}
		room = 1
	}
	for room > 0 {
		ps, err := x.next(room)
		if err != nil || len(ps) == 0 {
			return err
		}
		for _, p := range ps {
			if x.flight[p.ID] != nil || x.parked[p.ID] {
				continue
			}
			if err := x.publish(p); err != nil {
				return err
			}
			room -= len(p.Bytes)
			if x.trickle {
				return nil
			}
		}
	}
	return nil
}

// next fetches what is to be sent next, at least one block if there is any.
func (x *session) next(room int) ([]store.Pending, error) {
	b := x.opt.Buffer
	ps, err := b.PendingAfter(x.live, b.Head(), room)
	if err != nil {
		return nil, err
	}
	if n := len(ps); n > 0 {
		x.live = ps[n-1].Seq
		return ps, nil
	}
	if len(x.again) > 0 {
		ps, x.again = x.again, nil
		return ps, nil
	}
	// A quarter of the window stays free, so that live blocks need not wait for it.
	if !x.backfill || x.trickle || time.Now().Before(x.backAt) || x.inFlight > window(x.rate.perSecond)*3/4 {
		return nil, nil
	}
	if ps, err = b.PendingAfter(x.back, x.liveFrom, min(room, 256<<10)); err != nil {
		return nil, err
	}
	if n := len(ps); n > 0 {
		x.back = ps[n-1].Seq
	}
	return ps, nil
}

func (x *session) publish(p store.Pending) error {
	if len(x.flight) == 0 {
		x.progress = time.Now() // nothing was due before
	}
	f := &flying{Pending: p, at: time.Now()}
	x.flight[p.ID] = f
	x.inFlight += len(p.Bytes)
	x.asked = f.at
	x.stats.sent.Add(1)
	kind := wire.Live
	if p.Seq <= x.liveFrom {
		kind = wire.Backfill
	}
	if x.cfg.Format == FormatBlock {
		return x.out(sent{id: p.ID, last: true, token: x.conn.Publish(Message{Topic: x.opt.Site.Topic(kind), Payload: p.Bytes})})
	}
	payloads, err := x.opt.Converter(p.Bytes)
	if err != nil || len(payloads) == 0 {
		// It cannot be sent in this form, today or tomorrow, and must not stop the rest.
		x.log.Error("a block cannot be converted and is left out", "format", x.cfg.Format, "error", err)
		x.park(f)
		return nil
	}
	topic := x.opt.Site.Converted(x.cfg.Format)
	for i, b := range payloads {
		if err := x.out(sent{id: p.ID, last: i == len(payloads)-1, token: x.conn.Publish(Message{Topic: topic, Payload: b})}); err != nil {
			return err
		}
	}
	return nil
}

func (x *session) out(t sent) error {
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
	if p.err != nil {
		return p.err
	}
	x.puback = time.Now()
	if x.cfg.Ack != AckBroker || !p.last || x.flight[p.id] == nil {
		return nil
	}
	ids := []block.ID{p.id}
	for more := true; more && len(ids) < 256; {
		select {
		case p := <-x.pubacks:
			if p.err != nil {
				return p.err
			}
			if p.last {
				ids = append(ids, p.id)
			}
		default:
			more = false
		}
	}
	return x.delivered(ids)
}

// replies works through what the hub said, and what else it said meanwhile.
func (x *session) replies(m Message) error {
	var ids []block.ID
	for n := 0; ; n++ {
		r, err := wire.DecodeReply(m.Payload)
		if err != nil {
			x.log.Warn("a reply from the hub cannot be read", "error", err)
		} else {
			x.heard()
			ids = append(ids, r.Stored...)
			if err := x.missing(r.Missing); err != nil {
				return err
			}
			for _, id := range r.Unreadable {
				if f := x.flight[id]; f != nil {
					x.log.Warn("the hub cannot read a block of this version; it stays here until the hub is upgraded", "block", id.String())
					x.park(f)
				}
			}
			if err := x.answer(r); err != nil {
				return err
			}
		}
		if n >= 256 {
			break
		}
		select {
		case m = <-x.inbox:
			continue
		default:
		}
		break
	}
	return x.delivered(ids)
}

// heard notes a word from the hub: it is there.
func (x *session) heard() {
	x.progress = time.Now()
	if !x.backfill {
		x.backfill = true
		// Sites that come back together must not begin their backlogs together.
		x.backAt = time.Now().Add(time.Duration(rand.Float64() * float64(min(x.cfg.Backoff.Min, time.Second))))
	}
	if x.trickle {
		x.trickle = false
		x.log.Info("the hub stores again")
		x.set(StateConnected, x.State().Server, nil)
	}
}

func (x *session) delivered(ids []block.ID) error {
	if len(ids) == 0 {
		return nil
	}
	now := time.Now()
	size := 0
	for _, id := range ids {
		f := x.flight[id]
		if f == nil {
			continue
		}
		if took := now.Sub(f.at); x.rtt == 0 || took < 4*x.rtt {
			x.rtt += (took - x.rtt) / 8
		}
		size += len(f.Bytes)
		x.land(f)
	}
	blocks, readings, err := x.opt.Buffer.Delivered(ids)
	if err != nil {
		return err
	}
	x.progress = now
	x.rate.add(now, size)
	x.stats.acked.Add(int64(blocks))
	x.stats.ackedReadings.Add(int64(readings))
	return nil
}

// land takes a block out of the window.
func (x *session) land(f *flying) {
	delete(x.flight, f.ID)
	x.inFlight -= len(f.Bytes)
}

// maxParked bounds the blocks that a session leaves out.
const maxParked = 10_000

// park leaves a block out for this session; it stays pending.
func (x *session) park(f *flying) {
	x.land(f)
	if len(x.parked) < maxParked {
		x.parked[f.ID] = true
	}
	x.stats.parked.Add(1)
}

// missing sends the schemas that the hub lacks; the blocks come again through the
// window.
func (x *session) missing(ms []wire.Missing) error {
	var schemas [][]byte
	seen := map[block.ID]bool{}
	for _, m := range ms {
		f := x.flight[m.Block]
		for _, id := range m.Schemas {
			if seen[id] {
				continue
			}
			seen[id] = true
			b, err := x.opt.Buffer.SchemaBytes(id)
			if err != nil {
				return err
			}
			if b == nil {
				x.log.Error("a schema that the hub asks for is not here", "schema", id.String())
				continue
			}
			schemas = append(schemas, b)
		}
		if f != nil {
			x.repeat(f)
		}
	}
	for _, payload := range wire.EncodeSchemas(schemas) {
		if err := x.out(sent{token: x.conn.Publish(Message{Topic: x.opt.Site.Topic(wire.SchemaUp), Payload: payload})}); err != nil {
			return err
		}
	}
	return nil
}

// maxTries is how often a block is sent in one session before it is parked.
const maxTries = 5

// repeat sends a block again, in its turn.
func (x *session) repeat(f *flying) {
	if f.tries++; f.tries >= maxTries {
		x.log.Warn("a block is not stored although it was sent several times; it is left out for now", "block", f.ID.String(), "tries", f.tries)
		x.park(f)
		return
	}
	x.stats.redelivered.Add(1)
	delete(x.flight, f.ID)
	x.inFlight -= len(f.Bytes)
	x.again = append(x.again, f.Pending)
}

// answer applies the hub's answer to an account.
func (x *session) answer(r *wire.Reply) error {
	if len(r.Answer) == 0 {
		return nil
	}
	done, err := x.opt.Buffer.Apply(&buffer.Answer{Hub: r.Hub, Lines: r.Answer})
	if err != nil {
		return err
	}
	if done.Wanted > 0 {
		x.back = 0
	}
	if done != (buffer.Applied{}) {
		x.log.Info("the hub's answer to the account", "delivered_blocks", done.Delivered, "wanted_blocks", done.Wanted, "gone_batches", done.Gone)
	}
	if done.Gone > 0 {
		return x.account(buffer.Everything) // so that it knows
	}
	return nil
}

// timers looks after what only time brings.
func (x *session) timers() error {
	now := time.Now()
	wait := patience(x.rtt)
	if len(x.flight) > 0 && now.Sub(x.progress) > wait {
		if x.cfg.Ack == AckBroker || now.Sub(x.puback) > wait {
			return &LinkError{Stage: StageSession, Reason: ReasonTimeout, Err: fmt.Errorf("nothing was acknowledged for %v", wait)}
		}
		if !x.trickle {
			x.log.Warn("the broker takes blocks but no hub says that it has stored them", "for", now.Sub(x.progress).Round(time.Second))
		}
		x.trickle = true
		x.set(StateNotStoring, x.State().Server, errors.New("the broker takes messages, but no hub has acknowledged any (is the hub running, and subscribed?)"))
		x.progress = now
		x.forget()
	}
	for _, f := range x.flight {
		// Others got through beside it: its own message or its reply was lost.
		if now.Sub(f.at) > wait && x.progress.After(f.at.Add(wait/2)) {
			x.repeat(f)
		}
	}
	if x.cfg.Ack == AckBroker {
		return nil
	}
	switch {
	case now.Sub(x.daily) > 24*time.Hour:
		x.parked = map[block.ID]bool{}
		x.back = 0
		return x.account(buffer.Everything)
	case now.Sub(x.hourly) > time.Hour:
		return x.account(buffer.Unsettled)
	case !x.drained && len(x.flight) == 0 && x.backfill && !x.trickle && x.live == x.opt.Buffer.Head() && len(x.again) == 0 && now.Sub(x.hourly) > 10*time.Second:
		x.drained = true
		return x.account(buffer.Unsettled)
	}
	return nil
}

// forget takes everything out of flight; it is pending as ever.
func (x *session) forget() {
	x.flight, x.inFlight, x.again = map[block.ID]*flying{}, 0, nil
	x.live, x.back = x.liveFrom, 0
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
	for _, payload := range wire.EncodeAccount(a) {
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

// meter measures octets a second over about two seconds.
type meter struct {
	perSecond float64
	from      time.Time
	octets    int
}

func (m *meter) add(now time.Time, octets int) {
	if m.from.IsZero() {
		m.from = now
	}
	m.octets += octets
	if d := now.Sub(m.from); d >= 200*time.Millisecond {
		r := float64(m.octets) / d.Seconds()
		m.perSecond += (r - m.perSecond) / 4
		m.from, m.octets = now, 0
	}
}
