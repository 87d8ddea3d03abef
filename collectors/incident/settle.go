package incident

import (
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// settle brings a source's state in line with what is known of it now.
func (f *Fold) settle(s *source) {
	x := s.find(f.now)
	if x.good > 0 {
		f.rise(s, x)
		return
	}
	why, by := f.veil(s)
	if why == "" && s.state == Unknown && (s.why == WhyLink || s.why == WhyParent) {
		// What was in the way is gone. What failed meanwhile says nothing.
		s.why, s.hidden = WhyNotCollected, ""
		for i := range s.means {
			s.means[i].forget()
		}
		return
	}
	switch {
	case why != "" && (x.bad > 0 || s.state == Down):
		f.hide(s, x, why, by)
	case x.bad >= polls && x.last-x.first >= stamps(shortest) && s.state != Down:
		f.fall(s, x)
	case x.bad == 0 && s.state != Unknown && f.now-s.lastSeen() > stamps(s.patience()):
		f.edge(s, Unknown, s.lastSeen(), WhyNotCollected, s.incidentID())
	case s.state == Down && s.own == nil:
		f.own(s, x)
	case s.state == Down:
		if h := f.sources[s.Host]; h != nil && h.state == Down && f.together(s, h) {
			root := h.hidden
			f.merge(s, root)
			s.hidden = root
			f.affect(root, s.Source)
		}
	}
	if x.bad == 0 && s.state != Down {
		s.held = 0
	}
}

// rise is for a source that answers.
func (f *Fold) rise(s *source, x findings) {
	s.held = 0
	need := 1
	if s.state == Down || s.own != nil {
		need = polls
	}
	if s.state == Up || x.good < need {
		return
	}
	f.edge(s, Up, x.first, "", "")
	if s.own != nil {
		s.own.over = s.since
	}
}

// hide is for a source that does not answer, while something is in the way that
// explains it: it is unknown, and belongs to the incident of what is in the way.
func (f *Fold) hide(s *source, x findings, why, by string) {
	s.held = 0
	if s.state == Unknown && s.why == why && s.hidden == by {
		return
	}
	at := x.first
	if s.state == Down || x.bad == 0 {
		at = f.now
	}
	if s.own != nil && s.state == Down && f.together(s, f.bearer(by)) {
		f.merge(s, by)
	}
	if s.state == Unknown {
		s.why, s.hidden = why, by // no edge: it was not known before either
	} else {
		f.edge(s, Unknown, at, why, by)
	}
	f.affect(by, s.Source)
}

// bearer is the source whose incident has an ID; nil: none.
func (f *Fold) bearer(id string) *source {
	if r := f.find(id); r != nil {
		return f.sources[r.Source]
	}
	return nil
}

// together tells whether a source went down no earlier than its root, as far as the
// pace of polling shows. What has been down for long has a cause of its own.
func (f *Fold) together(s, root *source) bool {
	if root == nil {
		return false
	}
	return root.since-s.since <= stamps(2*max(s.interval(), root.interval())+margin)
}

// fall is for a source that is down by its own evidence. It is held back until its
// parents are known to live, or have had the time to show that they do not.
func (f *Fold) fall(s *source, x findings) {
	if h := f.sources[s.Host]; h != nil && h.state == Down {
		f.edge(s, Down, x.first, "", h.hidden)
		f.affect(h.hidden, s.Source)
		return
	}
	if s.held == 0 {
		s.held = f.now
	}
	if !f.alone(s, x) {
		return
	}
	s.held = 0
	f.down(s, x.first)
}

// down makes a source's being down its own.
func (f *Fold) down(s *source, first collectors.Stamp) {
	f.tally(s)
	f.ensure(s, max(first, s.since))
	f.edge(s, Down, first, "", s.incidentID())
}

// tally counts how often a source goes down.
func (f *Fold) tally(s *source) {
	s.downs = append(s.downs, f.now)
	for len(s.downs) > flapMost+1 || f.now-s.downs[0] > stamps(flapWindow) {
		s.downs = s.downs[1:]
	}
}

// own is for a service that was down with its host, which lives again while the service
// does not, by fresh evidence.
func (f *Fold) own(s *source, x findings) {
	h := f.sources[s.Host]
	if h == nil {
		if x.bad >= polls {
			f.ensure(s, s.since)
			s.hidden = s.incidentID()
		}
		return
	}
	if h.state == Down {
		s.held = 0
		return
	}
	if s.held == 0 {
		s.held = f.now
		for i := range s.means {
			s.means[i].forget()
		}
		return
	}
	if x.bad >= polls {
		s.held = 0
		f.ensure(s, x.first)
		s.hidden = s.incidentID()
	}
}

// veil is what keeps the box from knowing of a source, and the ID of the incident that
// that is.
func (f *Fold) veil(s *source) (why, incident string) {
	if !f.link || hides(f.verdict.Code) {
		return WhyLink, f.sources[Line].incidentID()
	}
	if h := f.sources[s.Host]; h != nil && h.Source != Line && h.state == Unknown && (h.why == WhyParent || h.why == WhyLink) {
		return h.why, h.hidden
	}
	for _, group := range [][]string{s.Watched.Parents, f.wiring.Parents[s.Source]} {
		if by, dead := f.dead(group); dead {
			return WhyParent, by
		}
	}
	return "", ""
}

// hides tells whether a verdict means that nothing can be said of any device.
func hides(c diagnosis.Code) bool {
	switch c {
	case diagnosis.LinkDown, diagnosis.NoLease, diagnosis.DupIP, diagnosis.GatewayDown:
		return true
	}
	return false
}

// dead tells whether all parents that are watched are down, and by which incident.
func (f *Fold) dead(parents []string) (incident string, dead bool) {
	for _, name := range parents {
		p := f.sources[name]
		if p == nil {
			continue
		}
		if p.state != Down && (p.state != Unknown || p.why != WhyParent) {
			return "", false
		}
		incident, dead = p.hidden, true
	}
	return incident, dead
}

// alone tells whether a source's parents have nothing to do with its being down: of
// each group one has answered since, or they have had their time.
func (f *Fold) alone(s *source, x findings) bool {
	if f.now < stamps(bootTime) {
		return false
	}
	if (s.Host == Line || s.Gateway) && f.now-s.held < stamps(verdictTime) {
		return false // it takes diagnosis so long to say that the line is down
	}
	if f.now-s.held >= stamps(3*s.interval()+margin) {
		return true // whatever the others wait for
	}
	for _, group := range [][]string{s.Watched.Parents, f.wiring.Parents[s.Source], {s.Host}} {
		lives, watched, wait := false, false, stamps(margin)
		for _, name := range group {
			p := f.sources[name]
			if p == nil || p.Source == Line {
				continue
			}
			watched = true
			lives = lives || p.lastGood() >= x.first+stamps(margin)
			wait = max(wait, stamps(p.interval()+margin))
			if p.held != 0 {
				wait = max(wait, f.now-s.held+1) // it is about to fall itself, or waits for its own parents
			}
		}
		if watched && !lives && f.now-s.held < wait {
			return false
		}
	}
	return true
}

// settleLine brings the line's state in line with the verdict, which is damped already.
func (f *Fold) settleLine(first collectors.Stamp) {
	s, v := f.sources[Line], f.verdict
	if v.Code == "" {
		return
	}
	if !v.Bad() {
		if s.state != Up {
			f.edge(s, Up, first, "", "")
		}
		if s.own != nil && s.own.over == 0 {
			s.own.over = max(first, s.own.First)
		}
		return
	}
	s.Kind, s.Owner = KindLine, v.Owner
	if v.Code == diagnosis.SelfFault {
		s.Kind = KindSelf
	}
	if s.state != Down {
		f.down(s, first)
		return
	}
	f.ensure(s, first)
}
