package diagnosis

import (
	"context"
	"log/slog"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// Looker looks at things. It is a [Prober].
type Looker interface {
	Run(ctx context.Context, base Baseline, each func(Report)) []Fact
	Light(ctx context.Context, base Baseline, turn int) []Fact
	Contract() Contract
}

// Change is a verdict that differs from the one before.
type Change struct {
	Verdict  Verdict
	First    collectors.Stamp // the first evidence for it
	Evidence string           // the name of the evidence that is being recorded; empty: none
}

// Options of NewRunner.
type Options struct {
	Config  Config
	Now     func() collectors.Stamp
	Emit    func(collectors.Batch) // takes each look, as a batch of the source [Source]; nil: nobody
	Changed func(Change)           // takes the first verdict and each change; nil: nobody. It must not block for long.
	Was     Change                 // the verdict in force, of a runner before this one; empty: none
	Store   *Store                 // keeps the baseline; nil: it is forgotten
	Records *Recorder              // keeps evidence; nil: there is none
	Log     *slog.Logger           // nil: silent
}

// Runner looks again and again, and says when what is broken changes.
//
// A verdict falls after three light looks that failed, in a burst that begins at once
// and lasts ten seconds at least, so that a blip is none; then everything is looked at.
// What light looks do not see is found by surveys, and believed when three agree. A
// verdict rises after eight quick looks that are well and a look at everything that
// finds nothing. Both are dated back to the first evidence. What fell three times
// within an hour, for the same reason, is flapping, and rises only after it was well for ten minutes.
type Runner struct {
	opt     Options
	look    Looker
	log     *slog.Logger
	trigger chan struct{}
	base    Baseline
	turn    int
	current state
	told    bool   // somebody knows the verdict in force
	falls   []fall // of the last hour
	series  *collectors.Schema

	shared shared
}

// The pace and the thresholds.
const (
	fallAfter  = 3
	blip       = 10 * time.Second
	riseAfter  = 8
	quick      = time.Second
	retest     = 3 * time.Second
	whileDown  = 10 * time.Second
	followUp   = time.Minute // between two looks at everything while something is broken
	flapWindow = time.Hour
	flapFalls  = 3
	flapHold   = 10 * time.Minute
)

// state is the verdict in force.
type state struct {
	verdict Verdict
	first   collectors.Stamp
	looked  collectors.Stamp // when everything was looked at last
}

// fall is when a verdict fell.
type fall struct {
	code Code
	at   collectors.Stamp
}

// NewRunner makes a runner. It does nothing yet.
func NewRunner(look Looker, opt Options) *Runner {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{opt: opt, look: look, log: opt.Log, trigger: make(chan struct{}, 1), series: schema()}
	r.current.verdict = Verdict{Code: OK, Owner: Nobody, Confidence: Unsure}
	if opt.Was.Verdict.Code != "" {
		r.current.verdict, r.current.first, r.told = opt.Was.Verdict, opt.Was.First, true
	}
	if opt.Store != nil {
		r.base = opt.Store.Baseline()
	}
	r.publish()
	return r
}

// Trigger asks for a look now, because something seems wrong: the sender has lost the
// broker, a carrier has changed. It never blocks.
func (r *Runner) Trigger() {
	select {
	case r.trigger <- struct{}{}:
	default:
	}
}

// Run looks until ctx is done.
func (r *Runner) Run(ctx context.Context) {
	if r.opt.Config.Heartbeat == 0 {
		<-ctx.Done()
		return
	}
	if !r.current.verdict.Bad() {
		r.survey(ctx)
	}
	for ctx.Err() == nil {
		if r.current.verdict.Bad() {
			r.down(ctx)
			continue
		}
		r.pause(ctx, r.opt.Config.Heartbeat)
		if ctx.Err() != nil {
			return
		}
		begun := r.opt.Now()
		switch {
		case !r.light(ctx):
			r.confirm(ctx, begun)
		case r.due(r.opt.Config.Survey), r.base.Good < acceptance && r.due(2*r.opt.Config.Heartbeat):
			r.survey(ctx)
		}
	}
}

func (r *Runner) due(every time.Duration) bool { return r.opt.Now() >= r.current.looked.Add(every) }

// pause waits for a time, or until somebody asks for a look.
func (r *Runner) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-r.trigger:
	}
}

// light looks at little and tells whether it is well. A look that ctx ended is well.
func (r *Runner) light(ctx context.Context) bool {
	r.turn++
	at := r.opt.Now()
	fs := r.look.Light(ctx, r.base, r.turn)
	if ctx.Err() != nil {
		return true
	}
	r.opt.Records.glance(at, fs)
	r.emit(at, fs, nil)
	return well(fs, r.base, r.look.Contract())
}

// confirm looks again, quickly, whether what failed at a time still does.
func (r *Runner) confirm(ctx context.Context, first collectors.Stamp) {
	for failures := 1; ; {
		if ctx.Err() != nil {
			return
		}
		if failures >= fallAfter && r.opt.Now() >= first.Add(blip) {
			break
		}
		wait(ctx, retest)
		if r.light(ctx) {
			return
		}
		failures++
	}
	fs, v, at := r.everything(ctx)
	if ctx.Err() == nil && v.Code != OK {
		r.change(v, first, at, fs)
	}
}

// survey looks at everything and, where something is wrong, twice again.
func (r *Runner) survey(ctx context.Context) {
	fs, v, at := r.everything(ctx)
	if ctx.Err() != nil {
		return
	}
	if v.Code == r.current.verdict.Code {
		r.current.verdict = v
		r.learn(fs, v)
		r.tell(Change{v, at, ""})
		return
	}
	if !v.Bad() { // it only stands out, or is over
		r.change(v, at, at, fs)
		r.learn(fs, v)
		return
	}
	first := at
	for range fallAfter - 1 {
		wait(ctx, retest)
		again, w, now := r.everything(ctx)
		if ctx.Err() != nil {
			return
		}
		if w.Code != v.Code {
			return
		}
		fs, v, at = again, w, now
	}
	r.learn(fs, v) // while the site is being accepted this may be how it is meant to be
	if v = Judge(fs, r.base, r.look.Contract()); v.Code != r.current.verdict.Code {
		r.change(v, first, at, fs)
	}
}

// down waits for what is broken to be over, and follows its cause.
func (r *Runner) down(ctx context.Context) {
	r.pause(ctx, whileDown)
	if ctx.Err() != nil {
		return
	}
	first := r.opt.Now()
	if r.light(ctx) && r.steady(ctx) {
		fs, v, at := r.everything(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case !v.Bad():
			r.change(v, first, at, fs)
			r.learn(fs, v)
		default:
			r.follow(fs, v, at)
			r.pause(ctx, 2*whileDown) // light looks do not see it: not all the time
		}
		return
	}
	if ctx.Err() == nil && r.due(followUp) {
		if fs, v, at := r.everything(ctx); ctx.Err() == nil && v.Bad() {
			r.follow(fs, v, at)
		}
	}
}

// steady wants quick looks that are all well: eight, and more of what flaps.
func (r *Runner) steady(ctx context.Context) bool {
	good, since := 1, r.opt.Now()
	hold := time.Duration(0)
	if r.flaps() {
		hold = flapHold
	}
	for good < riseAfter || r.opt.Now() < since.Add(hold) {
		step := quick
		if good >= riseAfter {
			step = whileDown
		}
		wait(ctx, step)
		if ctx.Err() != nil || !r.light(ctx) {
			return false
		}
		good++
	}
	return true
}

// follow takes another cause of the same outage: at once where it is certain.
func (r *Runner) follow(fs []Fact, v Verdict, at collectors.Stamp) {
	if v.Code != r.current.verdict.Code && v.Confidence == Certain {
		r.change(v, r.current.first, at, fs)
		return
	}
	r.opt.Records.add(During, at, fs, r.base, r.look.Contract(), v)
}

// everything looks at all stages and judges.
func (r *Runner) everything(ctx context.Context) ([]Fact, Verdict, collectors.Stamp) {
	at := r.opt.Now()
	took := map[Stage]time.Duration{}
	fs := r.look.Run(ctx, r.base, func(x Report) { took[x.Stage] = x.Took })
	v := Judge(fs, r.base, r.look.Contract())
	if ctx.Err() == nil {
		r.current.looked = at
		r.emitVerdict(at, fs, took, v)
	}
	return fs, v, at
}

// change makes a verdict the one in force.
func (r *Runner) change(v Verdict, first, at collectors.Stamp, fs []Fact) {
	was := r.current.verdict
	if v.Bad() && !was.Bad() {
		r.fell(v.Code, first)
		r.opt.Records.begin(v, first)
	}
	kind := During
	if !v.Bad() {
		kind = After
	}
	r.opt.Records.add(kind, at, fs, r.base, r.look.Contract(), v)
	name := r.opt.Records.name()
	if !v.Bad() {
		r.opt.Records.end()
	}
	r.current.verdict, r.current.first = v, first
	r.publish()
	r.log.Info("the line", "verdict", string(v.Code), "owner", string(v.Owner), "confidence", string(v.Confidence), "was", string(was.Code), "why", v.Sentence)
	if v.Code != was.Code || v.Owner != was.Owner {
		r.told = false
	}
	r.tell(Change{v, first, name})
}

// tell tells a verdict, unless it is known.
func (r *Runner) tell(c Change) {
	if !r.told && r.opt.Changed != nil {
		r.opt.Changed(c)
	}
	r.told = true
}

// fell remembers falls of the last hour.
func (r *Runner) fell(code Code, at collectors.Stamp) {
	recent := r.falls[:0]
	for _, f := range r.falls {
		if f.at.Add(flapWindow) > at {
			recent = append(recent, f)
		}
	}
	r.falls = append(recent, fall{code, at})
	r.falls = r.falls[max(0, len(r.falls)-20):]
}

// flaps tells whether the verdict in force fell again and again.
func (r *Runner) flaps() bool {
	n := 0
	for _, f := range r.falls {
		if f.code == r.current.verdict.Code {
			n++
		}
	}
	return n >= flapFalls
}

// learn keeps what is usual.
func (r *Runner) learn(fs []Fact, v Verdict) {
	r.base = r.base.Learn(fs, v)
	r.publish()
	if r.opt.Store != nil {
		if err := r.opt.Store.Keep(r.base); err != nil {
			r.log.Warn("keeping what is usual at this site", "error", err)
		}
	}
}
