package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/collectors/runbook"
	"github.com/siteprobe/siteprobe/collectors/scope"
)

// Site is what a message says of the site.
type Site struct {
	Tenant   string
	Name     string
	Location *time.Location // that times are shown in; nil: UTC
	Vars     runbook.Vars   // whom to call
}

// Options are what a Notifier needs.
type Options struct {
	Site     Site
	Scope    scope.Config
	Resolver scope.Resolver // nil: the system's
	Cards    *runbook.Cards
	Clock    Clock
	File     string // where what waits is kept; empty: nowhere
	Log      *slog.Logger
}

// Notifier tells a site's notices. It may be used concurrently.
type Notifier struct {
	opt   Options
	lanes []*lane
	dirty chan struct{} // something is to be kept

	mu sync.Mutex // of all desks
}

// lane is one notice: what it decides, and how it sends.
type lane struct {
	cfg    Config
	desk   *desk
	sender sender
	wake   chan struct{}

	failing error // the last try's, under the Notifier's mu
	since   time.Time
}

// sender is a way to tell. An error is or wraps a *Failure; it must hold no secret.
type sender interface {
	send(ctx context.Context, m *message) error
}

// New makes the notices of a site, with what still waits from before. The settings must
// be valid. The error names the notice that is wrong. A file that cannot be read is
// logged and set aside by the next one.
func New(cfgs []Config, opt Options) (*Notifier, error) {
	if opt.Site.Location == nil {
		opt.Site.Location = time.UTC
	}
	if opt.Cards == nil {
		opt.Cards, _ = runbook.Open("", "")
	}
	n := &Notifier{opt: opt, dirty: make(chan struct{}, 1)}
	for _, c := range cfgs {
		if err := c.Validate(); err != nil {
			return nil, fmt.Errorf("notice %s: %w", c.Name, err)
		}
		s, err := newSender(c, opt)
		if err != nil {
			return nil, fmt.Errorf("notice %s: %w", c.Name, err)
		}
		n.lanes = append(n.lanes, &lane{cfg: c, desk: newDesk(c), sender: s, wake: make(chan struct{}, 1)})
	}
	if err := n.load(); err != nil && opt.Log != nil {
		opt.Log.Warn("what notices waited from before is lost", "error", err)
	}
	return n, nil
}

func newSender(c Config, opt Options) (sender, error) {
	d, err := newDialer(c, opt.Scope, opt.Resolver)
	if err != nil {
		return nil, err
	}
	switch {
	case c.SMTP != nil:
		return &mailer{*c.SMTP, d}, nil
	case c.Syslog != nil:
		return &logger{*c.Syslog, d}, nil
	}
	return &poster{*c.Webhook, d}, nil
}

// Notify hears of a change of an incident. It only notes it down.
func (n *Notifier) Notify(c incident.Change) {
	if c.Incident.ID == "" || c.Incident.Key == "" {
		return
	}
	note := noteOf(c)
	note.date(n.opt.Clock)
	changed := false
	n.mu.Lock()
	for _, l := range n.lanes {
		if l.desk.take(note) {
			changed = true
			poke(l.wake)
		}
	}
	n.mu.Unlock()
	if changed {
		poke(n.dirty)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run sends until ctx is done, and returns when all that it started has ended and what
// waits is kept.
func (n *Notifier) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, l := range n.lanes {
		wg.Go(func() { n.run(ctx, l) })
	}
	n.keep(ctx)
	wg.Wait()
	n.save()
}

// keep writes down what has changed, once a second at most: storms are for memory, not
// for flash.
func (n *Notifier) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.dirty:
		}
		n.save()
		pause(ctx, time.Second, nil)
	}
}

// pause waits for d, or until ctx is done or something comes.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-wake:
	}
}

// longestSleep bounds how long a lane trusts its timer: timers stand still while the box
// is suspended, the boot clock does not.
const longestSleep = time.Minute

// run is one lane.
func (n *Notifier) run(ctx context.Context, l *lane) {
	for ctx.Err() == nil {
		n.mu.Lock()
		batch, wait := l.desk.next(n.opt.Clock.Now())
		lost := l.desk.lost
		n.mu.Unlock()
		if len(batch) == 0 {
			pause(ctx, min(wait, longestSleep), l.wake)
			continue
		}
		err := n.send(ctx, l, n.message(l, batch, lost))
		if ctx.Err() != nil && err != nil {
			return // it is not the target's fault
		}
		n.mu.Lock()
		n.settle(l, batch, lost, err)
		n.mu.Unlock()
		poke(n.dirty)
	}
}

func (n *Notifier) send(ctx context.Context, l *lane, m *message) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return l.sender.send(ctx, m)
}

// settle notes down how a sending went; it logs the first failure and the recovery.
func (n *Notifier) settle(l *lane, batch []item, lost int, err error) {
	now := n.opt.Clock.Now()
	log := n.opt.Log
	var f *Failure
	isFailure := errors.As(err, &f)
	if err == nil || isFailure && f.Sent {
		l.desk.went(batch, lost, now)
		if log != nil && l.failing != nil && err == nil {
			log.Info("a notice goes out again", "notice", l.cfg.Name)
		}
	} else {
		l.desk.failed(batch, isFailure && f.Refused, now)
	}
	if log != nil && err != nil && (l.failing == nil || l.failing.Error() != err.Error()) {
		log.Warn("a notice cannot be sent; it is tried again", "notice", l.cfg.Name, "error", err, "hint", HintOf(err), "waiting", len(l.desk.pending))
	}
	if err != nil && l.failing == nil {
		l.since = time.Now()
	}
	l.failing = err
}

// message makes what is sent.
func (n *Notifier) message(l *lane, batch []item, lost int) *message {
	offset, sure := n.opt.Clock.Offset()
	m := &message{Notice: l.cfg.Name, Site: n.opt.Site, At: time.UnixMilli(offset + int64(n.opt.Clock.Now())).UTC(), Sure: sure, Lost: lost, Cards: n.opt.Cards}
	if l.cfg.Language != "" {
		m.Cards = m.Cards.In(l.cfg.Language)
	}
	for i := range batch {
		batch[i].Note.date(n.opt.Clock)
	}
	m.Items = batch
	switch {
	case len(batch) == 0:
		m.What = whatTest
	case len(batch) > 1:
		m.What = whatDigest
	default:
		m.What = batch[0].What
	}
	return m
}

// Test sends a test through one notice.
func (n *Notifier) Test(ctx context.Context, name string) error {
	for _, l := range n.lanes {
		if l.cfg.Name == name {
			return n.send(ctx, l, n.message(l, nil, 0))
		}
	}
	return fmt.Errorf("there is no notice %q", name)
}

// Trouble is a notice that does not go out.
type Trouble struct {
	Notice  string
	Err     error
	Since   time.Time
	Waiting int
}

// Troubles lists the notices whose last try failed.
func (n *Notifier) Troubles() (out []Trouble) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.lanes {
		if l.failing != nil {
			out = append(out, Trouble{l.cfg.Name, l.failing, l.since, len(l.desk.pending)})
		}
	}
	return out
}

// What says in a few words where a notice goes: "mail to it@acme.example by 192.168.10.20:25".
func (c Config) What() string {
	host, port := c.target()
	at := collectors.Clip((&dialer{host: host, port: port}).address(), 80)
	switch {
	case c.SMTP != nil && len(c.SMTP.To) > 1:
		return fmt.Sprintf("mail to %s and %d more by %s", c.SMTP.To[0], len(c.SMTP.To)-1, at)
	case c.SMTP != nil:
		return fmt.Sprintf("mail to %s by %s", c.SMTP.To[0], at)
	case c.Syslog != nil:
		t := c.Syslog.Transport
		if t == "" {
			t = UDP
		}
		return "syslog over " + t + " to " + at
	}
	return "webhook at " + at
}

// Outcome says what it means that a test went out without an error.
func (c Config) Outcome() string {
	switch {
	case c.SMTP != nil:
		return "taken by the mail server"
	case c.Syslog != nil && (c.Syslog.Transport == "" || c.Syslog.Transport == UDP):
		return "sent; over UDP nobody confirms it: look into the log"
	case c.Syslog != nil:
		return "sent; look into the log"
	}
	return "taken"
}
