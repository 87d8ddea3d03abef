package uplink

import (
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// lanes is how far a session has come in sending: live blocks, those that are to
// be sent again, and what is from before.
type lanes struct {
	flight   map[block.ID]*flying
	inFlight int    // octets
	n        uint64 // of the last block sent
	through  uint64 // the highest n that was acknowledged
	asked    time.Time

	liveFrom   int64 // blocks up to here are from before the session, or are wanted again
	live, back int64 // how far each lane has come
	again      []store.Pending
	behind     int64 // the buffer's count when all pending blocks were looked at last

	tries      map[block.ID]tries
	parked     map[block.ID]bool
	introduced map[block.ID]bool // schemas that were sent without being asked for
}

// flying is a block that was sent.
type flying struct {
	store.Pending
	n    uint64
	size int // octets that were sent for it
	at   time.Time
}

// tries counts why a block was sent again.
type tries struct{ silent, missing int }

func newLanes() lanes {
	return lanes{flight: map[block.ID]*flying{}, tries: map[block.ID]tries{}, parked: map[block.ID]bool{}, introduced: map[block.ID]bool{}}
}

// exhausted tells whether nothing is left to be sent and all was answered.
func (l *lanes) exhausted(head int64) bool {
	return len(l.flight) == 0 && len(l.again) == 0 && l.live >= head && l.back >= l.liveFrom
}

// land takes a block out of the window.
func (l *lanes) land(f *flying) {
	delete(l.flight, f.ID)
	l.inFlight -= f.size
}

// forget takes everything out of flight; it is pending as ever.
func (l *lanes) forget() {
	clear(l.flight)
	l.inFlight, l.again = 0, nil
	l.live, l.back = l.liveFrom, 0
}

// rescan looks at all that is pending again, behind what is live from now on.
func (x *session) rescan() {
	x.liveFrom, x.back = x.live, 0
	x.drained = false
}

// batchBytes is how much is read from the buffer at once: little, so that a live
// block is looked for between the blocks of a backlog, also on a slow line.
const batchBytes = 64 << 10

// expansion is about how many octets a converter makes of one.
const expansion = 32

// send publishes blocks while the window has room: live ones first.
func (x *session) send() error {
	w := window(x.rate.perSecond)
	if x.trickle {
		if len(x.flight) > 0 || time.Since(x.asked) < trickleEvery {
			return nil
		}
	}
	for x.inFlight < w && x.due < maxUnacked*3/4 {
		ps, err := x.next(w)
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
			if x.trickle && len(x.flight) > 0 {
				return nil
			}
		}
	}
	return nil
}

// next fetches what is to be sent next, at least one block if there is any.
func (x *session) next(window int) ([]store.Pending, error) {
	b := x.opt.Buffer
	most := min(window-x.inFlight, batchBytes)
	switch {
	case x.trickle:
		most = 1
	case x.cfg.Format != FormatBlock:
		most = min(most, batchBytes/expansion)
	}
	head := b.Head()
	if head < x.live { // a fresh database took the place of a damaged one
		x.live, x.liveFrom, x.back = head, head, 0
	}
	if n := b.Behind(); n != x.behind {
		x.behind = n
		x.rescan()
	}
	if x.live < head {
		ps, err := b.PendingAfter(x.live, head, most)
		if err != nil {
			return nil, err
		}
		if n := len(ps); n > 0 {
			x.live = ps[n-1].Seq
			return ps, nil
		}
		x.live = head
	}
	if len(x.again) > 0 {
		ps := x.again[:1]
		x.again = x.again[1:]
		return ps, nil
	}
	// A quarter of the window stays free, so that live blocks need not wait for it.
	if !x.backfill || x.back >= x.liveFrom || x.inFlight > window*3/4 || time.Now().Before(x.backAt) {
		return nil, nil
	}
	ps, err := b.PendingAfter(x.back, x.liveFrom, most)
	if err != nil {
		return nil, err
	}
	x.back = x.liveFrom
	if n := len(ps); n > 0 {
		x.back = ps[n-1].Seq
	}
	return ps, nil
}

// publish sends a block, in as many messages as its format needs.
func (x *session) publish(p store.Pending) error {
	kind := wire.Live
	if p.Seq <= x.liveFrom {
		kind, x.drained, x.caughtUp = wire.Backfill, false, false
	}
	topic, payloads := x.opt.Site.Topic(kind), [][]byte{p.Bytes}
	if x.cfg.Format != FormatBlock {
		var err error
		topic = x.opt.Site.Converted(x.cfg.Format)
		if payloads, err = x.opt.Converter(p.Bytes); err != nil {
			// It must not stop the rest. Where only a schema is missing that may come back.
			x.log.Error("a block cannot be converted now and is left out", "format", x.cfg.Format, "block", p.ID.String(), "error", err)
			x.parkLacking(p.ID)
			return nil
		}
		if len(payloads) == 0 { // it holds nothing that the format can say
			return x.delivered([]block.ID{p.ID})
		}
	}
	if x.cfg.Ack == AckBroker && x.cfg.Format == FormatBlock {
		if err := x.introduce(p.Bytes); err != nil {
			return err
		}
	}
	now := time.Now()
	if len(x.flight) == 0 {
		x.progress = now // nothing was due before
	}
	x.n++
	f := &flying{Pending: p, n: x.n, at: now}
	for _, b := range payloads {
		f.size += len(b)
	}
	x.flight[p.ID] = f
	x.opt.Buffer.Sent(p.Seq)
	x.inFlight += f.size
	x.asked = now
	x.stats.sent.Add(1)
	for i, b := range payloads {
		if err := x.out(sent{id: p.ID, last: i == len(payloads)-1, token: x.conn.Publish(Message{Topic: topic, Payload: b})}); err != nil {
			return err
		}
	}
	return nil
}

// introduce sends the schemas that a block needs, once a session: with ack:
// broker nobody can ask for them.
func (x *session) introduce(b []byte) error {
	h, _, err := block.ParseHead(b)
	if err != nil {
		return nil // whoever receives it will say so
	}
	var schemas [][]byte
	for _, id := range h.Schemas() {
		if x.introduced[id] {
			continue
		}
		s, err := x.opt.Buffer.SchemaBytes(id)
		if err != nil {
			return err
		}
		if s != nil { // else with a later block: it may come back
			x.introduced[id] = true
			schemas = append(schemas, s)
		}
	}
	for _, payload := range wire.EncodeSchemas(schemas) {
		if err := x.out(sent{token: x.conn.Publish(Message{Topic: x.opt.Site.Topic(wire.SchemaUp), Payload: payload})}); err != nil {
			return err
		}
	}
	return nil
}

// delivered marks what the other side has. Only what is new counts as progress:
// doubled and forged acknowledgements do not keep a session alive.
func (x *session) delivered(ids []block.ID) error {
	if len(ids) == 0 {
		return nil
	}
	now := time.Now()
	landed, size := 0, 0
	for _, id := range ids {
		delete(x.tries, id)
		delete(x.parked, id)
		f := x.flight[id]
		if f == nil {
			continue
		}
		took := now.Sub(f.at)
		if x.rtt == 0 {
			x.rtt = took
		}
		x.rtt += (min(took, 4*x.rtt) - x.rtt) / 8
		x.through = max(x.through, f.n)
		landed++
		size += f.size
		x.land(f)
	}
	if len(x.again) > 0 {
		x.again = slices.DeleteFunc(x.again, func(p store.Pending) bool { return slices.Contains(ids, p.ID) })
	}
	blocks, readings, err := x.opt.Buffer.Delivered(ids)
	if err != nil {
		return err
	}
	if landed > 0 || blocks > 0 {
		x.progress = now
		x.rate.add(now, size)
		x.storing()
	}
	x.stats.acked.Add(int64(blocks))
	x.stats.ackedReadings.Add(int64(readings))
	return nil
}

// The bounds of what a session leaves out: how often a block is sent, and how many
// blocks are remembered.
const (
	maxTries  = 5
	maxParked = 10_000
)

// overdue sends blocks again that were sent before others which got through: their
// own message or its reply was lost, or the hub cannot take them.
func (x *session) overdue(now time.Time, wait time.Duration) error {
	for _, f := range x.flight {
		t := x.tries[f.ID]
		if now.Sub(f.at) <= wait || f.n >= x.through && t.silent == 0 {
			continue
		}
		t.silent++
		x.tries[f.ID] = t
		if err := x.repeat(f, t.silent); err != nil {
			return err
		}
	}
	return nil
}

// repeat sends a block again, in its turn, if it is still to be sent, and leaves
// it out when it was sent too often: one block must not hold up the others.
func (x *session) repeat(f *flying, tried int) error {
	x.land(f)
	ps, err := x.opt.Buffer.PendingAfter(f.Seq-1, f.Seq, 1)
	if err != nil {
		return err
	}
	if len(ps) == 0 {
		return nil // the account brought what the reply should have, or the budget took it
	}
	if tried >= maxTries {
		x.log.Warn("a block is not stored although it was sent several times; it goes last", "block", f.ID.String(), "tries", tried)
		x.park(f.ID)
		if tried == maxTries {
			x.revisit, x.drained = true, false // once, when nothing else waits
		}
		return nil
	}
	x.stats.redelivered.Add(1)
	x.again = append(x.again, f.Pending)
	return nil
}

// park leaves a block out; it stays pending, and the next session begins anew.
func (x *session) park(id block.ID) {
	if len(x.parked) < maxParked {
		x.parked[id] = true
	}
	x.stats.parked.Add(1)
}

// lackingFor is after what time it is looked whether the schema of a block that was
// left out for want of it has come back with its source.
const lackingFor = time.Hour

// parkLacking leaves a block out whose schema is not here.
func (x *session) parkLacking(id block.ID) {
	x.park(id)
	if x.lacking.IsZero() {
		x.lacking = time.Now()
	}
}

// unpark gives what was left out another chance; tried is how often it counts as
// sent already.
func (x *session) unpark(tried int) {
	for id := range x.parked {
		x.tries[id] = tries{tried, tried}
	}
	clear(x.parked)
	x.rescan()
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
