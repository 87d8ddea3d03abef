package incident

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// Fold makes edges and incidents of what is observed. It is the pure core: no clock of
// its own, no I/O, no goroutine, and not safe for concurrent use; [Engine] is around it.
// All stamps are of one boot; time goes on by those that it is given.
type Fold struct {
	set     Settings
	now     collectors.Stamp
	sources map[string]*source
	order   []*source
	feeds   map[string]feed                // by the source of a batch
	open    map[string]*running            // by key
	left    map[string]*running            // by ID: of sources that are not known (yet)
	layouts map[*collectors.Schema]*layout // what there is to look at in batches
	link    bool                           // the box's own link is up
	dark    bool                           // carrier has said that it is not
	linkAt  collectors.Stamp               // since when
	verdict diagnosis.Verdict              // the last
	proof   string                         // the name of its evidence
	guess   bool                           // the verdict is ours: the link is down, and nobody else has said so
	settled time.Duration                  // see settling
	wiring  Wiring
	silent  func(*Incident) string // who holds back notices of it
	rules   []*compiled
	daemon  *compiled                    // of what is wrong with the daemon
	ports   map[string]*port             // by source
	conds   map[string]*condition        // by key
	judged  []*condition                 // all of them, in the order in which they came up
	wall    func(collectors.Stamp) int64 // Unix ms, 0 while it is not known; nil: it never is
	tidied  collectors.Stamp
	changed collectors.Stamp // when the version did
	version int              // of plan and wiring: layouts of an older one are worked out anew
	over    int              // sources that there is no room for

	edges   []Edge
	changes []Change
}

// feed is whom a batch tells of.
type feed struct {
	source *source
	means  int
}

// source is what is known of one.
type source struct {
	Watched
	means []means
	born  collectors.Stamp

	state  State
	since  collectors.Stamp
	why    string
	hidden string           // the ID of the incident that it is down or unknown by
	told   collectors.Stamp // when an edge was last made
	held   collectors.Stamp // since when a Down is held back, until a root is found; 0: none is

	cause  string // of its incident; empty: its kind
	text   string // the incident's summary; empty: made of the kind
	root   string // what the incident is about, if not the source itself
	own    *running
	downs  []collectors.Stamp  // in the flap window, the oldest first
	spoken [2]collectors.Stamp // the last two changes of its incidents
}

// NewFold returns one that knows of nothing yet.
func NewFold(set Settings) *Fold {
	f := &Fold{set: set, now: set.Start, sources: map[string]*source{}, feeds: map[string]feed{}, open: map[string]*running{},
		left: map[string]*running{}, layouts: map[*collectors.Schema]*layout{}, ports: map[string]*port{}, conds: map[string]*condition{}, link: true}
	f.daemon, _ = daemonRule.compile() // it has nothing that could not be compiled
	f.Apply(Plan{})
	return f
}

// Apply puts a plan in the place of the one before. What is known of sources that stay
// stays; incidents of those that leave are over.
func (f *Fold) Apply(p Plan) {
	was := f.sources
	f.sources, f.feeds, f.order, f.over = map[string]*source{}, map[string]feed{}, nil, 0
	f.enter(was, Watched{Source: Line, Name: "the line", Kind: KindLine, Owner: diagnosis.Nobody, Severity: collectors.Error})
	for _, w := range p.Sources {
		if len(f.order) >= maxSources {
			f.over++
			continue
		}
		f.enter(was, w)
	}
	for name, s := range was {
		if _, stays := f.sources[name]; !stays && s.Kind != KindPort {
			f.leave(s)
		}
	}
	f.rules, f.settled = p.Config.all(), cmp.Or(p.Config.Settle, settling)
	f.version, f.changed = f.version+1, f.now
	clear(f.layouts)
	f.keepPorts(was)
	f.keepConditions()
	f.watchAbsence()
	f.adopt()
}

// enter takes a source over from before, or anew.
func (f *Fold) enter(was map[string]*source, w Watched) {
	if _, twice := f.sources[w.Source]; twice {
		return
	}
	s, ok := was[w.Source]
	if !ok {
		s = &source{state: Unknown, why: WhyStart, since: f.now, born: f.now}
	}
	if len(w.Means) == 0 {
		w.Means = []string{w.Source}
	}
	if !ok || !slices.Equal(s.Means, w.Means) {
		s.means = make([]means, len(w.Means))
	}
	s.Watched = w
	f.sources[w.Source] = s
	f.order = append(f.order, s)
	for i, m := range w.Means {
		f.feeds[m] = feed{s, i}
	}
}

// leave ends what there is of a source that is watched no longer.
func (f *Fold) leave(s *source) {
	if s.state != Unknown {
		f.edge(s, Unknown, f.now, WhyNotCollected, "")
	}
	if s.own != nil {
		f.finish(s, f.now, "It is not watched any more.")
	}
}

// Wiring sets what topology knows.
func (f *Fold) Wiring(w Wiring) {
	if !reflect.DeepEqual(w.Uplinks, f.wiring.Uplinks) {
		f.version, f.changed = f.version+1, f.now
	}
	f.wiring = w
}

// Link says whether the box's own link is up.
func (f *Fold) Link(up bool, at collectors.Stamp) {
	f.advance(at)
	if up != f.link {
		f.link, f.linkAt = up, at
		if up && f.guess {
			f.guess, f.verdict = false, diagnosis.Verdict{Code: diagnosis.OK}
			f.settleLine(at)
		}
		f.settleAll()
	}
}

// Verdict takes what diagnosis says of the line; first is the first evidence for it,
// and proof the name under which that is kept.
func (f *Fold) Verdict(v diagnosis.Verdict, first collectors.Stamp, proof string, now collectors.Stamp) {
	f.advance(now)
	f.guess, f.verdict, f.proof = false, v, collectors.Clip(proof, collectors.MaxText)
	f.settleLine(min(first, f.now))
	f.settleAll()
}

// Unlooked forgets the verdict: nobody looks at the line any more.
func (f *Fold) Unlooked(now collectors.Stamp) {
	f.advance(now)
	f.verdict = diagnosis.Verdict{}
	s := f.sources[Line]
	if s.state != Unknown {
		f.edge(s, Unknown, f.now, WhyNotCollected, "")
	}
	if s.own != nil && s.own.over == 0 {
		s.own.over = f.now
	}
	f.settleAll()
}

// Observe takes a batch. It looks at no more than it needs.
func (f *Fold) Observe(b *collectors.Batch) {
	x, ok := f.feeds[b.Source]
	if !ok && b.Source != Host {
		return
	}
	f.advance(b.At)
	place := -1
	if b.Schema != nil && len(b.Values) == len(b.Schema.Series) {
		l := f.layoutOf(b.Schema, x.source)
		place = l.success
		defer f.look(l, b) // after the device's own state
	}
	if !ok {
		f.carrier(b)
		return
	}
	m := &x.source.means[x.means]
	if backsOff(b) {
		m.seen = max(m.seen, b.At)
		return
	}
	e := judge(b, place, f.set.Blame)
	if e == Nothing {
		return
	}
	m.add(e, b.At, x.source.interval())
	f.settle(x.source)
}

// carrier learns from the box's own readings that none of its ports has a link, where
// nobody has said so before.
func (f *Fold) carrier(b *collectors.Batch) {
	if b.Schema == nil || len(b.Values) != len(b.Schema.Series) || b.Source != Host {
		return
	}
	ports, links := 0, 0
	for i := range b.Values {
		if b.Schema.Series[i].Metric == "node_network_carrier" && !b.Values[i].Missing() {
			ports++
			if n, _ := b.Values[i].Float(b.Schema.Series[i].Kind); n != 0 {
				links++
			}
		}
	}
	switch {
	case ports > 0 && links == 0 && f.link:
		f.Link(false, b.At)
		f.dark = true
	case links > 0 && f.dark:
		f.Link(true, b.At)
		f.dark = false
	}
}

// Tick lets time pass.
func (f *Fold) Tick(now collectors.Stamp) {
	f.advance(now)
	f.settleAll()
	for _, s := range f.order {
		f.attend(s)
		if s.told != 0 && f.now-s.told >= stamps(checkpoints) {
			f.tell(s)
		}
	}
	f.tickConditions()
	f.tidy()
	f.abandon()
}

// Take returns what has come up since the last time, in order. An incident that was
// opened meanwhile is told as it is now, with all that has turned out to be behind it.
func (f *Fold) Take() (edges []Edge, changes []Change) {
	edges, changes = f.edges, f.changes
	f.edges, f.changes = nil, nil
	for i := range changes {
		r := f.find(changes[i].Incident.ID)
		if changes[i].What == Open && r != nil {
			changes[i].Incident, r.dirty = r.copy(), false
		}
	}
	return edges, changes
}

// Open returns the incidents that are open and were told of, in order of their opening.
func (f *Fold) Open() (out []Incident) {
	for _, r := range f.open {
		if r.Opened != 0 {
			out = append(out, r.copy())
		}
	}
	for _, r := range f.left {
		out = append(out, r.copy())
	}
	slices.SortFunc(out, byOpening)
	return out
}

// State returns a source's, and since when.
func (f *Fold) State(name string) (State, collectors.Stamp) {
	if s, ok := f.sources[name]; ok {
		return s.state, s.since
	}
	return Unknown, 0
}

func (f *Fold) advance(at collectors.Stamp) { f.now = max(f.now, at) }

func (f *Fold) settleAll() {
	if !f.link && f.now-f.linkAt >= stamps(linkGrace) && !f.verdict.Bad() {
		f.guess, f.proof = true, ""
		f.verdict = diagnosis.Verdict{Code: diagnosis.LinkDown, Owner: diagnosis.Customer, Confidence: diagnosis.Probable,
			Sentence: "The box's own network port has no link."}
		f.settleLine(f.linkAt)
	}
	for _, s := range f.order {
		if s.Source != Line {
			f.settle(s)
		}
	}
}

// edge makes one; a source's edges never go back before the one before.
func (f *Fold) edge(s *source, to State, at collectors.Stamp, why, incident string) {
	s.since = min(max(at, s.since), f.now)
	s.state, s.why, s.hidden = to, why, incident
	f.tell(s)
}

// tell says how a source is and since when; more than once is a checkpoint.
func (f *Fold) tell(s *source) {
	e := Edge{Source: s.Source, State: s.state, At: s.since, Incident: s.hidden, Why: s.why}
	if s.state == Down {
		e.Owner = f.ownerOf(s)
	}
	s.told = f.now
	f.edges = append(f.edges, e)
}

// ownerOf is whose a source's being down is: that of its incident.
func (f *Fold) ownerOf(s *source) diagnosis.Owner {
	if h := f.sources[s.Host]; h != nil && h.state == Down && s.own == nil {
		return f.ownerOf(h)
	}
	if s.own != nil && s.own.Owner != "" {
		return s.own.Owner
	}
	if s.Owner == "" {
		return diagnosis.Nobody
	}
	return s.Owner
}

// id names an incident: by what it is about, and when.
func (f *Fold) id(key string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", f.set.Boot, key, f.now))
	return collectors.Clip(key, collectors.MaxName) + "@" + hex.EncodeToString(sum[:4])
}
