package incident

import (
	"slices"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// Host is the source of the box's own readings (package host).
const Host = "host"

// layout is what there is to look at in the batches of one schema. It is worked out
// once: most readings are nobody's incident, and cost nothing.
type layout struct {
	version int
	used    collectors.Stamp
	success int // the place of probe_success; -1: there is none
	looks   []look
	coming  []coming
}

// look is one value that somebody looks at.
type look struct {
	at, other int // other: the place of the series that it is held against; -1: none
	admin     bool
	port      *port
	cond      *condition
}

// coming is where what a rule of absence waits for may come.
type coming struct {
	cond *condition
	at   int // -1: anywhere
}

const unusedLayout = 30 * minutes // then it is forgotten

const minutes = collectors.Stamp(60_000)

func (f *Fold) layoutOf(sc *collectors.Schema, s *source) *layout {
	l := f.layouts[sc]
	if l == nil || l.version != f.version {
		l = f.lay(sc, s)
		f.layouts[sc] = l
	}
	l.used = f.now
	return l
}

// lay works a layout out.
func (f *Fold) lay(sc *collectors.Schema, s *source) *layout {
	l := &layout{version: f.version, success: -1}
	wanted := f.wantedPorts(s)
	rules := f.rulesOf(s)
	about := map[string][]*compiled{} // by metric, of which there are fewer than series
	for i := range sc.Series {
		about[sc.Series[i].Metric] = nil
	}
	for metric := range about {
		for _, r := range rules {
			if r.metric != nil && r.metric.MatchString(metric) {
				about[metric] = append(about[metric], r)
			}
		}
	}
	for i := range sc.Series {
		x := &sc.Series[i]
		switch x.Metric {
		case "probe_success":
			l.success = i
		case "ifOperStatus", "ifAdminStatus":
			if p := f.portOf(s, x, wanted); p != nil {
				l.looks = append(l.looks, look{at: i, other: -1, port: p, admin: x.Metric == "ifAdminStatus"})
			}
		}
		for _, r := range about[x.Metric] {
			if r.matches(x) {
				f.layRule(l, r, s, sc, i)
			}
		}
	}
	for _, r := range rules { // what waits for any reading is not served by a ping
		if c := f.conds[keyOf(r, sourceOf(s), absent)]; r.metric == nil && c != nil && l.success < 0 {
			l.coming = append(l.coming, coming{c, -1})
		}
	}
	return l
}

// layRule notes that a rule looks at a series.
func (f *Fold) layRule(l *layout, r *compiled, s *source, sc *collectors.Schema, i int) {
	x := &sc.Series[i]
	if r.absence {
		if c := f.conds[keyOf(r, sourceOf(s), absent)]; c != nil {
			l.coming = append(l.coming, coming{c, i})
		}
		return
	}
	other := -1
	if want := r.Of + r.Minus; want != "" {
		if other = sibling(sc, x, want); other < 0 {
			return
		}
	}
	if c := f.conditionOf(r, s, x); c != nil {
		l.looks = append(l.looks, look{at: i, other: other, cond: c})
	}
}

// sibling finds the series of another metric with the same labels.
func sibling(sc *collectors.Schema, x *collectors.Series, metric string) int {
	return slices.IndexFunc(sc.Series, func(y collectors.Series) bool { return y.Metric == metric && slices.Equal(y.Labels, x.Labels) })
}

// look looks at the values of a batch.
func (f *Fold) look(l *layout, b *collectors.Batch) {
	for i := range l.looks {
		x := &l.looks[i]
		v := b.Values[x.at]
		n, ok := v.Float(b.Schema.Series[x.at].Kind)
		if !ok {
			continue
		}
		switch {
		case x.port != nil && x.admin:
			x.port.admin = int64(n)
		case x.port != nil:
			f.seePort(x.port, int64(n), b.At)
		default:
			if n, ok = f.figure(x, b, n); ok {
				f.weigh(x.cond, n, &b.Schema.Series[x.at], b.At)
			}
		}
	}
	for _, x := range l.coming {
		if x.at < 0 || !b.Values[x.at].Missing() {
			x.cond.seen = b.At
		}
	}
}

// figure is what a rule looks at: the value, or what it comes to with another one.
func (f *Fold) figure(x *look, b *collectors.Batch, n float64) (float64, bool) {
	r := x.cond.rule
	if r.Ends {
		if f.wall == nil {
			return 0, false
		}
		now := f.wall(b.At)
		return n - float64(now)/1000, now != 0
	}
	if x.other < 0 {
		return n, true
	}
	m, ok := b.Values[x.other].Float(b.Schema.Series[x.other].Kind)
	switch {
	case !ok:
		return 0, false
	case r.Minus != "":
		return n - m, true
	case m <= 0:
		return 0, false
	}
	return n / m, true
}

// tidy forgets layouts that no batch had for long: a device's schema changes with its
// ports.
func (f *Fold) tidy() {
	if f.now-f.tidied < minutes {
		return
	}
	f.tidied = f.now
	for sc, l := range f.layouts {
		if f.now-l.used > unusedLayout {
			delete(f.layouts, sc)
		}
	}
	if f.now-f.changed > unusedLayout {
		f.dropPorts()
	}
}

// nameOf is a device's or check's own name.
func nameOf(source string) string {
	_, name, ok := strings.Cut(source, "/")
	if !ok {
		return source
	}
	return name
}
