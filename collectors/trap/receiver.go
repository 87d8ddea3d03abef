package trap

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/receive"
)

// Source is the source of the events.
const Source = "trap"

// maxDatagram bounds what is read: notifications are short, and what waits for a
// commit is kept.
const maxDatagram = 16 << 10

// Options of New: what the site file does not say.
type Options struct {
	Socket  *receive.Socket // stays open when Run has ended
	Engine  *Engine
	Sources receive.Sources
	Buffer  receive.Buffer
	Clock   receive.Clock
	Names   Names         // nil: StandardNames
	Every   time.Duration // see receive.Options
	Log     *slog.Logger
}

// Receiver receives notifications while Run runs.
type Receiver struct {
	opt      Options
	names    atomic.Pointer[Names]
	secrets  [][]byte // communities
	security *security
	desk     *receive.Desk
	informs  *informs
	due      chan informKey // informs whose event has been committed

	mu    sync.Mutex
	stats Stats
}

// Stats counts since the start.
type Stats struct {
	receive.Stats
	Traps, Informs uint64            // that were believed; one that came again counts once
	Answered       uint64            // informs, each answer
	Refused        map[string]uint64 // not believed, by reason
}

// New makes a receiver. The error is of settings.
func New(cfg Config, opt Options) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	r := &Receiver{
		opt: opt, informs: newInforms(), due: make(chan informKey, maxInforms), stats: Stats{Refused: map[string]uint64{}},
		desk: receive.NewDesk(receive.Options{What: Source, Clock: opt.Clock, Sources: opt.Sources, Buffer: opt.Buffer, Every: opt.Every}),
	}
	for _, c := range cfg.Credentials {
		if c.Auth.Version != "3" {
			r.secrets = append(r.secrets, []byte(c.Auth.Community.Reveal()))
		}
	}
	r.Update(opt.Sources, opt.Names)
	var err error
	r.security, err = newSecurity(opt.Engine, cfg.Credentials)
	return r, err
}

// Update puts others in place of Options.Sources and Options.Names. Whatever is known
// and counted of what came before stays.
func (r *Receiver) Update(s receive.Sources, n Names) {
	if n == nil {
		n = StandardNames()
	}
	r.desk.Hear(s)
	r.names.Store(&n)
}

// Run receives until ctx is done; then what was received goes to the buffer. Informs
// that are not committed by then are not answered: their senders will send them again.
func (r *Receiver) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	desking, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop() // when nobody tells the desk anything any more
	wg.Go(func() { r.desk.Run(desking) })
	wg.Go(func() { r.answerDue(desking) })
	return r.opt.Socket.Serve(ctx, maxDatagram, r.handle, r.desk.Lost)
}

// Stats counts what came and what became of it.
func (r *Receiver) Stats() Stats {
	r.mu.Lock()
	s := r.stats
	s.Refused = maps.Clone(s.Refused)
	r.mu.Unlock()
	s.Stats = r.desk.Stats()
	return s
}

// handle takes one datagram.
func (r *Receiver) handle(d *receive.Datagram) {
	from := d.From.Addr()
	if !r.desk.Admit(from) {
		return
	}
	if d.Cut {
		r.desk.Drop(receive.TooLong, from, 1)
		return
	}
	m, err := readMessage(d.Data)
	switch {
	case err != nil:
	case m.version == version3:
		err = r.secured(d, &m.secured)
	default:
		err = r.plain(d, &m)
	}
	if err != nil {
		r.desk.Drop(receive.Malformed, from, 1)
	}
}

// plain takes a message of SNMPv1 or v2c. The error says that it is malformed.
func (r *Receiver) plain(d *receive.Datagram, m *message) error {
	n, err := readNotification(m.version, m.pdu)
	if err != nil {
		return err
	}
	known := false
	for _, c := range r.secrets {
		known = subtle.ConstantTimeCompare(c, m.community) == 1 || known
	}
	if !known {
		r.refuse(d, "wrong_community", "A notification with a community that no credential has.")
		return nil
	}
	if !n.inform {
		r.take(d, &n, true, nil)
		return nil
	}
	community, body := bytes.Clone(m.community), n.response()
	r.take(d, &n, true, func() []byte {
		return tlv(tagSequence, number(2, version2c), tlv(4, community), body)
	})
	return nil
}

// secured takes a message of SNMPv3.
func (r *Receiver) secured(d *receive.Datagram, m *secured) error {
	o, err := r.security.open(m, d.Data)
	var why *refusal
	switch {
	case errors.As(err, &why):
		r.unbelieved(d, &o, why)
		return nil
	case err != nil:
		return err
	}
	n, err := readNotification(version3, o.pdu)
	if err != nil {
		return err
	}
	switch {
	case n.inform && !o.ours:
		// For informs the receiver is authoritative: its sender takes us for somebody else.
		r.unbelieved(d, &o, errEngine)
	case n.inform:
		o.keep(&n)
		r.take(d, &n, o.flags&flagAuth == 0, func() []byte {
			out, err := r.security.answer(&o, &n)
			if err != nil {
				r.opt.Log.Warn("an inform cannot be answered", "from", d.From, "error", err)
			}
			return out
		})
	default:
		r.take(d, &n, o.flags&flagAuth == 0, nil)
	}
	return nil
}

// keep makes what an answer needs independent of the datagram.
func (o *opened) keep(n *notification) {
	o.scopedPDU.engine, o.context, o.user = bytes.Clone(o.scopedPDU.engine), bytes.Clone(o.context), bytes.Clone(o.user)
	n.varbinds = bytes.Clone(n.varbinds)
}

// unbelieved reports to the sender why, if it wants to know, counts what it refuses, and
// notes what is more than a sender that has yet to learn what time the box has. Who only
// asks who the box is is not refused.
func (r *Receiver) unbelieved(d *receive.Datagram, o *opened, why *refusal) {
	if o.flags&flagReportable != 0 {
		told := why
		if !o.ours {
			told = errEngine
		}
		if out := r.security.report(o, told); out != nil {
			_ = r.opt.Socket.Answer(d, out) // it asks again
		}
		switch {
		case o.asks():
			return
		case o.ours && why == errWindow: // it is authentic, and now knows the time
			r.countRefused(why.why)
			return
		}
	}
	text := map[*refusal]string{
		errUser: "of a user that no credential has", errLevel: "that is less secure than its user's credential says",
		errDigest: "whose signature is wrong", errDecrypted: "that cannot be decrypted: are priv_protocol and priv_password right?",
		errWindow: "that is old, or sent again by somebody else, or its sender has lost count of its boots", errEngine: "to another engine than this box, or to none",
	}[why]
	r.refuse(d, why.why, "An SNMPv3 notification "+text+".")
}

// refuse counts what is not believed, and tells it as a matter of security: once for
// each sender and window, with its number.
func (r *Receiver) refuse(d *receive.Datagram, why, text string) {
	r.countRefused(why)
	r.desk.Tell(receive.Note{From: d.From.Addr(), Kind: "trap_refused", Key: why, Severity: collectors.Warning, Text: text,
		Labels: []collectors.Label{{Name: "reason", Value: why}, {Name: "security", Value: "true"}, {Name: "hint", Value: "true"}}})
}

func (r *Receiver) countRefused(why string) {
	r.mu.Lock()
	r.stats.Refused[why]++
	r.mu.Unlock()
}

// take notes a notification that is believed. answer makes the answer to an inform,
// which is sent once the note is committed; it is nil for a trap.
func (r *Receiver) take(d *receive.Datagram, n *notification, hint bool, answer func() []byte) {
	note := describe(n, *r.names.Load(), d.From.Addr(), hint)
	if answer == nil {
		r.count(&r.stats.Traps)
		r.desk.Tell(note)
		return
	}
	k, to := r.informs.key(d.From, n), *d
	to.Data = nil
	known, committed, taken := r.informs.again(r.opt.Clock.Now(), k, to, answer)
	switch {
	case !taken:
		r.desk.Drop(receive.NotKept, d.From.Addr(), 1)
	case committed:
		r.send(&to, answer())
	case !known:
		note.Labels = append(note.Labels, collectors.Label{Name: "inform", Value: "true"})
		note.Done = func(kept bool) {
			if !kept { // it comes again, and is new then
				r.informs.forget(k)
				return
			}
			r.informs.commit(k)
			select {
			case r.due <- k:
			default: // it comes again, and is answered then
			}
		}
		if !r.desk.Tell(note) {
			r.informs.forget(k)
			return
		}
		r.count(&r.stats.Informs)
	}
}

// answerDue answers informs as their events are committed.
func (r *Receiver) answerDue(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case k := <-r.due:
			if x, ok := r.informs.get(k); ok {
				r.send(&x.to, x.answer())
			}
		}
	}
}

func (r *Receiver) send(to *receive.Datagram, out []byte) {
	if len(out) == 0 {
		return
	}
	if err := r.opt.Socket.Answer(to, out); err != nil {
		r.opt.Log.Debug("answering an inform", "to", to.From, "error", err) // it comes again
		return
	}
	r.count(&r.stats.Answered)
}

func (r *Receiver) count(n *uint64) {
	r.mu.Lock()
	*n++
	r.mu.Unlock()
}
