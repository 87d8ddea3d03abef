package incident

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// Clock is the box's.
type Clock interface {
	Now() collectors.Stamp
	Offset() (ms int64, sure bool) // from stamps to Unix ms
	Boot() string
}

// Options are what an [Engine] is made of.
type Options struct {
	Clock  Clock
	Dir    string                          // where incidents are kept over a restart; empty: nowhere
	Zone   *time.Location                  // the site's
	Blame  func(why string) Evidence       // as Settings has it
	Wiring func() Wiring                   // asked now and then; may be nil
	Add    func(collectors.Batch)          // takes the events; may be nil
	Sink   func(edges []Edge, cs []Change) // is told of both, in order, by Run and Close; may be nil
	Log    *slog.Logger
}

// Engine is a [Fold] that runs: it lets time pass, hands on what comes up, and keeps
// what is open over a restart. All methods may be called at any time; none of them
// waits for the disk or for whom it tells, but Run and Close.
type Engine struct {
	opt  Options
	path string

	mu    sync.Mutex
	fold  *Fold
	plans []Maintenance
	kept  kept
	said  map[string]Window // windows that were told of
	fresh bool              // there is something to keep
	first bool              // it was not told yet that the daemon runs
	last  collectors.Stamp  // of the last batch

	flushing sync.Mutex
}

// NewEngine makes an engine of what was kept. What cannot be read is logged, and forgotten.
func NewEngine(o Options) *Engine {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	now, boot := o.Clock.Now(), o.Clock.Boot()
	e := &Engine{opt: o, said: map[string]Window{}, first: true}
	e.fold = NewFold(Settings{Boot: boot, Blame: o.Blame, Start: now})
	e.fold.silent, e.fold.wall = e.silent, e.wall
	if o.Dir != "" {
		e.path = filepath.Join(o.Dir, "incidents.json")
		var err error
		if e.kept, err = readState(e.path, boot, now, e.wall(now)); err != nil {
			o.Log.Warn("what was open", "error", err)
		}
		e.fold.Restore(e.kept.Incidents)
		for _, w := range e.kept.Told {
			e.said[w.ID] = w
		}
	}
	return e
}

// wall is a stamp as Unix ms, or 0 while the clock is not to be believed.
func (e *Engine) wall(at collectors.Stamp) int64 {
	offset, sure := e.opt.Clock.Offset()
	if !sure {
		return 0
	}
	return int64(at) + offset
}

func (e *Engine) time(at collectors.Stamp) time.Time {
	offset, _ := e.opt.Clock.Offset()
	return time.UnixMilli(int64(at) + offset)
}

// Apply puts a plan and windows in the place of those before.
func (e *Engine) Apply(p Plan, windows []Maintenance) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.plans = slices.Clone(windows)
	e.fold.Apply(p)
}

// Observe takes a batch on its way to the buffer.
func (e *Engine) Observe(b collectors.Batch) {
	if b.Source == Source {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fold.Observe(&b)
}

// Verdict takes what diagnosis says of the line, since when there is evidence, and the
// name under which that is kept.
func (e *Engine) Verdict(v diagnosis.Verdict, first collectors.Stamp, evidence string) {
	now := e.opt.Clock.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fold.Verdict(v, first, evidence, now)
}

// Link says whether the box's own link is up.
func (e *Engine) Link(up bool, at collectors.Stamp) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fold.Link(up, at)
}

// Unlooked says that nobody looks at the line any more: what was said of it holds no
// longer.
func (e *Engine) Unlooked() {
	now := e.opt.Clock.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fold.Unlooked(now)
}

// Run lets time pass until ctx is done.
func (e *Engine) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		if n%60 == 0 && e.opt.Wiring != nil {
			w := e.opt.Wiring()
			e.mu.Lock()
			e.fold.Wiring(w)
			e.mu.Unlock()
		}
		e.step(e.opt.Clock.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Close says that nothing is measured any more, and keeps what is open.
func (e *Engine) Close() error {
	now := e.opt.Clock.Now()
	e.step(now)
	e.flushing.Lock()
	defer e.flushing.Unlock()
	e.hand(now, []func(collectors.Stamp) collectors.Event{plain(StoppedEvent, "siteprobe stops: nothing is measured until it starts.")}, nil, nil)
	return e.keep(now)
}

func plain(kind, text string) func(collectors.Stamp) collectors.Event {
	return func(collectors.Stamp) collectors.Event {
		return collectors.Event{Kind: kind, Severity: collectors.Info, Text: text}
	}
}

// step lets time pass to now, and hands on what has come up.
func (e *Engine) step(now collectors.Stamp) {
	e.flushing.Lock()
	defer e.flushing.Unlock()
	var events []func(collectors.Stamp) collectors.Event
	e.mu.Lock()
	if e.first {
		events, e.first = append(events, plain(StartedEvent, "siteprobe runs.")), false
	}
	for _, x := range e.windows(now) {
		e.fresh = true
		events = append(events, func(collectors.Stamp) collectors.Event { return x })
	}
	e.fold.Tick(now)
	edges, changes := e.fold.Take()
	fresh := e.fresh || len(changes) > 0
	e.fresh = false
	e.mu.Unlock()
	for i := range edges {
		events = append(events, edges[i].Event)
	}
	for i := range changes {
		c := &changes[i]
		events = append(events, func(at collectors.Stamp) collectors.Event {
			c.At = at
			return c.Event()
		})
	}
	e.hand(now, events, edges, changes)
	if !fresh {
		return
	}
	if err := e.keep(now); err != nil {
		e.opt.Log.Error("incidents", "error", err)
		e.mu.Lock()
		e.fresh = true // once more
		e.mu.Unlock()
	}
}

// hand hands on events, edges and changes.
func (e *Engine) hand(now collectors.Stamp, events []func(collectors.Stamp) collectors.Event, edges []Edge, changes []Change) {
	now = max(now, e.last+1)
	for _, b := range batches(now, events) {
		e.last = b.At
		if e.opt.Add != nil {
			e.opt.Add(b)
		}
	}
	if e.opt.Sink != nil && len(edges)+len(changes) > 0 {
		e.opt.Sink(edges, changes)
	}
}

// keep writes what is open.
func (e *Engine) keep(now collectors.Stamp) error {
	if e.path == "" {
		return nil
	}
	e.mu.Lock()
	k := e.kept
	k.Incidents, k.Boot, k.Saved, k.Wall = e.fold.Open(), e.opt.Clock.Boot(), now, e.wall(now)
	k.Silences, k.Windows = slices.Clone(k.Silences), slices.Clone(k.Windows)
	k.Told = slices.SortedFunc(maps.Values(e.said), func(a, b Window) int { return strings.Compare(a.ID, b.ID) })
	e.mu.Unlock()
	return k.write(e.path)
}

// Incidents returns those that are open, in order of their opening.
func (e *Engine) Incidents() []Incident {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fold.Open()
}

// windows works out which windows there are now, and returns the events of those that
// are new or have changed.
func (e *Engine) windows(now collectors.Stamp) (out []collectors.Event) {
	t := e.time(now)
	e.kept.tidy(t)
	was := e.said
	e.said = map[string]Window{}
	for _, w := range e.all(t) {
		if _, twice := e.said[w.ID]; twice {
			continue // the site file was checked; what is told is bounded all the same
		}
		e.said[w.ID] = w
		if before, ok := was[w.ID]; !ok || !before.End.Equal(w.End) || !slices.Equal(before.Scope, w.Scope) || !before.Approved.Equal(w.Approved) {
			full := w
			full.Scope = e.widened(w.Scope)
			out = append(out, full.Events()...)
		}
	}
	for id, w := range was {
		if _, still := e.said[id]; !still && w.End.After(t) { // called off, or ended before its time
			w.End = t
			if w.Start.After(t) {
				w.End = w.Start
			}
			out = append(out, w.Events()...)
		}
	}
	return out
}

// all are the windows of the site file and those said at the box.
func (e *Engine) all(t time.Time) (out []Window) {
	for _, m := range e.plans {
		out = append(out, m.Windows(t, e.opt.Zone)...)
	}
	for _, w := range e.kept.Windows {
		if w.End.After(t) {
			out = append(out, w)
		}
	}
	return out
}

// widened adds the services that run on the devices of a scope.
func (e *Engine) widened(scope []string) []string {
	if len(scope) == 0 {
		return nil
	}
	out := slices.Clone(scope)
	for _, s := range e.fold.order {
		if s.Host != "" && s.Kind != KindPort && slices.Contains(scope, s.Host) && !slices.Contains(out, s.Source) {
			out = append(out, s.Source)
		}
	}
	return out
}

// silent says what holds back notices of an incident.
func (e *Engine) silent(i *Incident) string {
	host := ""
	if s := e.fold.sources[i.Key]; s != nil {
		if host = s.Host; s.Kind == KindPort {
			host = s.Parents[0]
		}
	}
	t := e.time(e.fold.now)
	for _, s := range e.kept.Silences {
		if s.Until.After(t) && (covers(s.Scope, i.Source, host) || slices.Contains(s.Scope, i.ID)) {
			return "silence " + s.ID
		}
	}
	for _, w := range e.said {
		if !t.Before(w.Start) && t.Before(w.End) && covers(w.Scope, i.Source, host) {
			return "maintenance " + w.Name
		}
	}
	return ""
}

// Silences and Maintenance return what is said at the box and, of maintenance, what the
// site file has within a day.
func (e *Engine) Silences() []Silence {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept.tidy(e.time(e.opt.Clock.Now()))
	return slices.Clone(e.kept.Silences)
}

// Maintenance returns the windows of now and of the next day, the earliest first, and
// all that were said at the box.
func (e *Engine) Maintenance() []Window {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.time(e.opt.Clock.Now())
	e.kept.tidy(t)
	out := e.all(t)
	slices.SortFunc(out, func(a, b Window) int { return a.Start.Compare(b.Start) })
	return out
}

var errFull = errors.New("there are too many already; end some of them")

// Silence adds one, and returns its ID.
func (e *Engine) Silence(s Silence) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.time(e.opt.Clock.Now())
	e.kept.tidy(t)
	switch {
	case !s.Until.After(t) || s.Until.Sub(t) > maxSilence:
		return "", errors.New("a silence lasts 30 days at most")
	case len(e.kept.Silences) >= maxWindows:
		return "", errFull
	}
	if err := e.known(s.Scope); err != nil {
		return "", err
	}
	s.ID = e.newID("s", func(id string) bool {
		return slices.ContainsFunc(e.kept.Silences, func(x Silence) bool { return x.ID == id })
	})
	s.Why, s.By = collectors.Clip(s.Why, 100), collectors.Clip(s.By, 64)
	e.kept.Silences, e.fresh = append(e.kept.Silences, s), true
	return s.ID, nil
}

// AddWindow adds maintenance, and returns its ID. It is approved now.
func (e *Engine) AddWindow(w Window) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.time(e.opt.Clock.Now())
	e.kept.tidy(t)
	switch {
	case !w.End.After(t) || !w.End.After(w.Start):
		return "", errors.New("a window ends after it has started, and in the future")
	case w.End.Sub(w.Start) > maxWindow:
		return "", fmt.Errorf("a window lasts %d days at most", int(maxWindow.Hours()/24))
	case len(e.kept.Windows) >= maxWindows:
		return "", errFull
	}
	if err := e.known(w.Scope); err != nil {
		return "", err
	}
	w.ID = e.newID("m", func(id string) bool {
		return slices.ContainsFunc(e.kept.Windows, func(x Window) bool { return x.ID == id })
	})
	w.Approved, w.Name, w.By = t.UTC(), collectors.Clip(w.Name, 64), collectors.Clip(w.By, 64)
	e.kept.Windows, e.fresh = append(e.kept.Windows, w), true
	return w.ID, nil
}

// known tells whether all of a scope is something that is watched.
func (e *Engine) known(scope []string) error {
	for _, s := range scope {
		if e.fold.sources[s] == nil && e.fold.find(s) == nil && s != Host {
			return fmt.Errorf("nothing that is watched is called %q", collectors.Clip(strings.TrimPrefix(s, "device/"), 80))
		}
	}
	return nil
}

// Self says what is wrong with the daemon itself, by a word for it; an empty sentence:
// nothing is.
func (e *Engine) Self(word, sentence string) {
	now := e.opt.Clock.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fold.Self(word, sentence, now)
}

// Overflow says, in a sentence, that there is more than is watched; empty: there is not.
func (e *Engine) Overflow() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fold.over == 0 {
		return ""
	}
	return "There is more than incidents are made of: some sources, ports or readings are left out."
}

// newID gives a short one that is unique at this box: by the wall clock, so that it is
// not that of one that was.
func (e *Engine) newID(prefix string, taken func(string) bool) string {
	for n := e.time(e.opt.Clock.Now()).Unix(); ; n++ {
		if id := prefix + strconv.FormatInt(n, 36); !taken(id) {
			return id
		}
	}
}

// End ends a silence, or a window that was said at the box.
func (e *Engine) End(id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.kept.Silences) + len(e.kept.Windows)
	e.kept.Silences = slices.DeleteFunc(e.kept.Silences, func(s Silence) bool { return s.ID == id })
	e.kept.Windows = slices.DeleteFunc(e.kept.Windows, func(w Window) bool { return w.ID == id })
	if n == len(e.kept.Silences)+len(e.kept.Windows) {
		return fmt.Errorf("nothing at this box has the ID %q; what the site file has is ended there", collectors.Clip(id, 64))
	}
	e.fresh = true
	return nil
}
