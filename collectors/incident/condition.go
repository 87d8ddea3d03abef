package incident

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// condition is a rule and one series that it is about. It has an incident like a source
// has, but no edges: a full disk is no outage.
type condition struct {
	source
	rule   *compiled
	device string           // the source that it is of
	seen   collectors.Stamp // the last reading
	since  collectors.Stamp // the first of those in a row that are beyond the bound; 0: the last is not
	clear  collectors.Stamp // the first of those in a row that are well within it
}

// selfRules begins the names of rules about the box itself.
const selfRules = "self_"

// absent is which reading a rule of absence is about.
const absent = "absent"

// gone is how long a reading does not come until its incident is over: what it was about
// is not there any more.
const gone = 24 * 60 * minutes

// rulesOf are the rules that are about a source; nil stands for the box.
func (f *Fold) rulesOf(s *source) (out []*compiled) {
	w := &Watched{Source: Host}
	if s != nil {
		w = &s.Watched
	}
	for _, r := range f.rules {
		self := strings.HasPrefix(r.Name, selfRules) || s == nil && r.device != nil // device: host
		if self == (s == nil) && r.concerns(w, nameOf(w.Source)) {
			out = append(out, r)
		}
	}
	return out
}

// conditionOf is that of a rule and a series; nil where there is no room.
func (f *Fold) conditionOf(r *compiled, s *source, x *collectors.Series) *condition {
	var which []string
	for _, l := range x.Labels {
		if l.Name != "check" && (l.Name != "device" || s == nil) && !strings.HasSuffix(l.Name, "Alias") {
			which = append(which, l.Value)
		}
	}
	return f.condition(r, s, sourceOf(s), x.Metric+"/"+strings.Join(which, ","))
}

// keyOf is the key of a condition's incident.
func keyOf(r *compiled, of, which string) string {
	key := "rule/" + r.Name + "/" + nameOf(of) + "/" + which
	if len(key) > collectors.MaxName {
		sum := sha256.Sum256([]byte(key))
		key = collectors.Clip(key, collectors.MaxName-9) + "~" + hex.EncodeToString(sum[:4])
	}
	return key
}

// sourceOf is a source's name; nil stands for the box.
func sourceOf(s *source) string {
	if s == nil {
		return Host
	}
	return s.Source
}

func (f *Fold) condition(r *compiled, s *source, of, which string) *condition {
	key := keyOf(r, of, which)
	if c := f.conds[key]; c != nil {
		c.rule = r
		return c
	}
	if len(f.judged) >= maxSeries {
		f.over++
		return nil
	}
	kind, owner := KindThreshold, diagnosis.Owner(r.Owner)
	switch {
	case r.absence:
		kind = KindAbsence
	case s == nil:
		kind = KindSelf
	}
	c := &condition{rule: r, device: of}
	c.Watched = Watched{Source: key, Kind: kind, Severity: r.severity(), Host: of}
	c.root, c.cause = of, r.Name
	if s != nil {
		owner = cmp.Or(owner, s.Owner)
	}
	c.Owner = cmp.Or(owner, diagnosis.MSP)
	c.state, c.seen, c.born = Up, f.now, f.now
	f.conds[key] = c
	f.judged = append(f.judged, c)
	f.adopt()
	return c
}

// weigh takes a reading.
func (f *Fold) weigh(c *condition, v float64, x *collectors.Series, at collectors.Stamp) {
	if at < c.seen && c.seen != c.born {
		return
	}
	c.seen = at
	beyond, clear := c.rule.beyond(v)
	if !beyond {
		c.since = 0
	} else if c.since == 0 {
		c.since = at
	}
	if !clear {
		c.clear = 0
	} else if c.clear == 0 {
		c.clear = at
	}
	switch {
	case beyond && at-c.since >= stamps(c.rule.For):
		c.text = c.rule.sentence(nameOf(c.device), x, v)
		if c.state != Down || c.own == nil || c.own.over != 0 {
			f.arise(c, c.since)
		} else {
			c.own.Summary = c.text
		}
	case c.clear != 0 && c.state == Down && at-c.clear >= stamps(c.rule.ForClear):
		f.subside(c, c.clear)
	}
}

// daemonRule is what is wrong with the daemon: it has told so for some time.
var daemonRule = Rule{Name: "self_fault", Is: []float64{1}, For: 2 * time.Minute, ForClear: time.Minute, Severity: "error", Owner: string(diagnosis.MSP)}

// Self takes what is wrong with the daemon, by a word; an empty sentence: nothing is. It
// is to be called every now and then.
func (f *Fold) Self(word, sentence string, now collectors.Stamp) {
	f.advance(now)
	r := *f.daemon
	r.Summary = strings.NewReplacer("{", "(", "}", ")").Replace(sentence)
	c := f.conds[keyOf(&r, Host, word)]
	if c == nil && sentence == "" {
		return
	}
	if c = f.condition(&r, nil, Host, word); c == nil {
		return
	}
	n := 0.
	if sentence != "" {
		n = 1
	}
	f.weigh(c, n, &collectors.Series{Metric: word}, now)
}

// arise begins a condition's incident.
func (f *Fold) arise(c *condition, since collectors.Stamp) {
	if c.state != Down {
		f.tally(&c.source)
	}
	c.state, c.since = Down, since
	c.source.since = since
	f.ensure(&c.source, since)
}

func (f *Fold) subside(c *condition, at collectors.Stamp) {
	c.state = Up
	c.source.since = at
	if c.own != nil {
		c.own.over = max(at, c.own.First)
	}
}

// watchAbsence has conditions for the rules of absence: of each device that they are
// about.
func (f *Fold) watchAbsence() {
	for _, s := range f.order {
		if s.Kind != KindDevice {
			continue
		}
		for _, r := range f.rulesOf(s) {
			if r.absence && (r.metric != nil || s.SNMP) {
				if c := f.condition(r, s, s.Source, absent); c != nil {
					c.text = r.sentence(nameOf(s.Source), &collectors.Series{Metric: cmp.Or(r.Metric, "readings")}, 0)
				}
			}
		}
	}
}

// tickConditions lets time pass for conditions.
func (f *Fold) tickConditions() {
	for _, c := range f.judged {
		s := f.sources[c.device]
		if c.rule.absence && s != nil {
			// Only of a device that is there: what is down says nothing anyway.
			from := max(c.seen, s.since)
			switch {
			case s.state != Up:
			case f.now-from >= stamps(c.rule.For) && c.state != Down:
				f.arise(c, from)
			case c.state == Down && c.seen > c.source.since:
				f.subside(c, c.seen)
			}
		}
		if c.own == nil {
			continue
		}
		if !c.rule.absence && c.state == Down && f.now-c.seen > gone && (s == nil || s.state == Up) {
			c.state = Up
			f.finish(&c.source, f.now, "It gives no such reading any more.")
			continue
		}
		f.attend(&c.source)
	}
}

// keepConditions ends those of rules and sources that are not there any more.
func (f *Fold) keepConditions() {
	rules := map[string]*compiled{f.daemon.Name: f.daemon}
	for _, r := range f.rules {
		rules[r.Name] = r
	}
	kept := f.judged[:0:0]
	for _, c := range f.judged {
		s := f.sources[c.device]
		r := rules[c.rule.Name]
		stays := r != nil && (c.device == Host || s != nil && r.concerns(&s.Watched, nameOf(s.Source)))
		if stays {
			if r != f.daemon {
				c.rule = r
			}
			kept = append(kept, c)
			continue
		}
		delete(f.conds, c.Source)
		if c.own != nil {
			f.finish(&c.source, f.now, "It is not watched any more.")
		}
	}
	f.judged = kept
}
