package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

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
	feeds   map[string]feed        // by the source of a batch
	open    map[string]*running    // by key
	left    map[string]*running    // by ID: of sources that are not known (yet)
	places  map[string]placeOf     // where probe_success is, by the source of a batch
	link    bool                   // the box's own link is up
	linkAt  collectors.Stamp       // since when
	verdict diagnosis.Verdict      // the last
	parents map[string][]string    // by topology, of sources
	silent  func(*Incident) string // who holds back notices of it
	over    int                    // sources that there is no room for

	edges   []Edge
	changes []Change
}

// feed is whom a batch tells of.
type feed struct {
	source *source
	means  int
}

type placeOf struct {
	schema *collectors.Schema
	at     int
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

	own    *running
	downs  []collectors.Stamp  // in the flap window, the oldest first
	spoken [2]collectors.Stamp // the last two changes of its incidents
}

// NewFold returns one that knows of nothing yet.
func NewFold(set Settings) *Fold {
	f := &Fold{set: set, now: set.Start, sources: map[string]*source{}, feeds: map[string]feed{}, open: map[string]*running{},
		left: map[string]*running{}, places: map[string]placeOf{}, link: true}
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
		if _, stays := f.sources[name]; !stays {
			f.leave(s)
		}
	}
	for source := range f.places {
		if _, ok := f.feeds[source]; !ok {
			delete(f.places, source)
		}
	}
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

// Parents sets who stands behind whom by topology: of each source those before it, all
// of which must be down.
func (f *Fold) Parents(p map[string][]string) { f.parents = p }

// Link says whether the box's own link is up.
func (f *Fold) Link(up bool, at collectors.Stamp) {
	f.advance(at)
	if up != f.link {
		f.link, f.linkAt = up, at
		f.settleAll()
	}
}

// Verdict takes what diagnosis says of the line; first is the first evidence for it.
func (f *Fold) Verdict(v diagnosis.Verdict, first, now collectors.Stamp) {
	f.advance(now)
	f.verdict = v
	f.settleLine(min(first, f.now))
	f.settleAll()
}

// Observe takes a batch. It looks at no more than it needs.
func (f *Fold) Observe(b *collectors.Batch) {
	x, ok := f.feeds[b.Source]
	if !ok {
		return
	}
	m := &x.source.means[x.means]
	if backsOff(b) {
		m.seen = max(m.seen, b.At)
		f.advance(b.At)
		return
	}
	place := -1
	if b.Schema != nil {
		p := f.places[b.Source]
		if p.schema != b.Schema {
			p = placeOf{b.Schema, success(b.Schema)}
			f.places[b.Source] = p
		}
		place = p.at
	}
	e := judge(b, place, f.set.Blame)
	f.advance(b.At)
	if e == Nothing {
		return
	}
	m.add(e, b.At, x.source.interval())
	f.settle(x.source)
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
	f.abandon()
}

// Take returns what has come up since the last time, in order.
func (f *Fold) Take() (edges []Edge, changes []Change) {
	edges, changes = f.edges, f.changes
	f.edges, f.changes = nil, nil
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
