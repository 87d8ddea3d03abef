package incident

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// running is an incident that is not over for good. One that was not told of yet has
// Opened 0; it is gone without a word if it is over before.
type running struct {
	Incident
	over    collectors.Stamp // of the evidence that it is; 0: it is not
	changed collectors.Stamp // when it was last told of
	dirty   bool             // there is something to tell
	updates int
}

func (r *running) copy() Incident {
	i := r.Incident
	i.Affected = slices.Clone(i.Affected)
	return i
}

func byOpening(a, b Incident) int {
	return cmp.Or(cmp.Compare(a.Opened, b.Opened), cmp.Compare(a.Key, b.Key))
}

func (s *source) incidentID() string {
	if s.own == nil {
		return ""
	}
	return s.own.ID
}

// ensure gives a source that is down its incident, and brings that up to date.
func (f *Fold) ensure(s *source, first collectors.Stamp) {
	if s.Quiet {
		return
	}
	r := s.own
	if r == nil {
		r = &running{Incident: Incident{ID: f.id(s.Source), Key: s.Source, Source: cmp.Or(s.root, s.Source), First: first, Affected: []string{cmp.Or(s.root, s.Source)}}}
		s.own, f.open[r.Key] = r, r
	}
	r.over = 0
	f.describe(s)
	f.attend(s)
}

// describe writes what is known of a source into its incident.
func (f *Fold) describe(s *source) {
	r := s.own
	was := r.Incident
	r.Kind, r.Cause, r.Owner, r.Severity = s.Kind, cmp.Or(s.cause, string(s.Kind)), s.Owner, s.Severity
	if r.Owner == "" {
		r.Owner = diagnosis.Nobody
	}
	r.Summary = cmp.Or(s.text, summary(s))
	switch {
	case s.Source == Line:
		r.Cause, r.Owner, r.Summary = string(f.verdict.Code), f.verdict.Owner, f.verdict.Sentence
		if r.Summary == "" {
			r.Summary = "The line is down: " + string(f.verdict.Code) + "."
		}
		if f.proof != "" {
			r.Evidence = f.proof
		}
	case s.flaps(f.now):
		r.Kind, r.Cause = KindFlapping, string(KindFlapping)
	}
	if s.flaps(f.now) {
		r.Kind = KindFlapping
		r.Summary = fmt.Sprintf("%s comes and goes: down more than %d times in an hour.", s.title(), flapMost)
	}
	r.Runbook = r.Cause
	if was.Kind != r.Kind || was.Cause != r.Cause || was.Owner != r.Owner || was.Severity != r.Severity || was.Evidence != r.Evidence {
		r.dirty = true
	}
}

func (s *source) title() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Source
}

func summary(s *source) string {
	switch s.Kind {
	case KindDevice:
		return s.title() + " does not answer."
	case KindCheck:
		return "The service " + s.title() + " is down."
	case KindPort:
		return "The port " + s.title() + " is down."
	case KindHeartbeat:
		return "No sign of life from " + s.title() + "."
	}
	return s.title() + " is down."
}

// flaps tells whether a source has gone down too often of late.
func (s *source) flaps(now collectors.Stamp) bool {
	if len(s.downs) > flapMost && now-s.downs[0] <= stamps(flapWindow) {
		return true
	}
	// Once it does, it does until it has been stable.
	return s.own != nil && s.own.Kind == KindFlapping && len(s.downs) > 0 && now-s.downs[len(s.downs)-1] < stamps(stable)
}

// attend does what is due for a source's incident.
func (f *Fold) attend(s *source) {
	r := s.own
	if r == nil {
		return
	}
	if r.Kind == KindFlapping && r.over == 0 && !s.flaps(f.now) {
		f.describe(s) // it is down for good
	}
	if f.silent != nil {
		if by := f.silent(&r.Incident); by != r.Silenced {
			r.Silenced = by
			r.dirty = r.dirty || by == "" // whoever was not told is told now
		}
	}
	switch {
	case r.over != 0 && f.now-r.over >= stamps(f.settled) && (len(s.downs) < 2 || f.now-max(r.over, s.downs[len(s.downs)-1]) >= stamps(stable)):
		if r.Opened == 0 || len(s.downs) < 2 || f.may(s) {
			f.finish(s, r.over, "")
		}
	case r.over != 0:
	case r.Opened == 0:
		if f.may(s) || s.state == Down && f.now-s.since >= stamps(longDown) {
			r.Opened, r.dirty = f.now, false
			f.change(s, Open)
		}
	case r.dirty && f.updatable(s):
		r.dirty = false
		r.updates++
		f.change(s, Update)
	}
}

// may tells whether a source's incidents may be told of: twice an hour.
func (f *Fold) may(s *source) bool {
	return s.spoken[0] == 0 || f.now-s.spoken[0] >= stamps(flapWindow)
}

func (f *Fold) updatable(s *source) bool {
	if s.own.updates == 0 && s.own.Kind != KindFlapping {
		return f.now-s.own.changed >= stamps(updateFirst)
	}
	return f.now-s.own.changed >= stamps(updateEvery) && f.may(s)
}

// change tells of a source's incident.
func (f *Fold) change(s *source, what string) {
	s.spoken = [2]collectors.Stamp{s.spoken[1], f.now}
	f.say(s.own, what)
}

func (f *Fold) say(r *running, what string) {
	r.changed = f.now
	f.changes = append(f.changes, Change{What: what, At: f.now, Incident: r.copy()})
}

// finish ends a source's incident; why is put behind what was wrong.
func (f *Fold) finish(s *source, at collectors.Stamp, why string) {
	r := s.own
	s.own = nil
	delete(f.open, r.Key)
	if r.Opened == 0 {
		return
	}
	r.Closed = max(at, r.First)
	if why != "" {
		r.Summary = collectors.Clip(r.Summary+" "+why, collectors.MaxText)
	}
	s.spoken = [2]collectors.Stamp{s.spoken[1], f.now}
	f.say(r, Close)
}

// merge ends a source's incident because it is part of another one, and nobody needs to
// be told.
func (f *Fold) merge(s *source, root string) {
	s.own.Silenced = collectors.Clip("merged into "+root, collectors.MaxText)
	f.finish(s, f.now, "It is part of "+root+".")
}

// affect adds a source to those that an incident concerns.
func (f *Fold) affect(id, name string) {
	if id == "" {
		return
	}
	if r := f.find(id); r != nil && len(r.Affected) < maxAffecting && !slices.Contains(r.Affected, name) {
		r.Affected = append(r.Affected, name)
		r.dirty = true
	}
}

// find finds an incident that runs by its ID.
func (f *Fold) find(id string) *running {
	for _, r := range f.open {
		if r.ID == id {
			return r
		}
	}
	return f.left[id]
}

// Restore takes incidents over that were open before a restart, their stamps as of this
// boot. It comes before the first plan.
func (f *Fold) Restore(open []Incident) {
	for i := range open {
		f.left[open[i].ID] = &running{Incident: open[i], changed: f.now}
	}
}

// abandon ends restored incidents of what nobody watches any more.
func (f *Fold) abandon() {
	if f.now-f.set.Start < stamps(forgotten) {
		return
	}
	for id, r := range f.left {
		delete(f.left, id)
		r.Closed = f.now
		r.Summary = collectors.Clip(r.Summary+" It is not watched any more.", collectors.MaxText)
		f.say(r, Close)
	}
}

// adopt gives restored incidents to their sources.
func (f *Fold) adopt() {
	for id, r := range f.left {
		s := f.sources[r.Key]
		if c := f.conds[r.Key]; c != nil {
			s, c.state = &c.source, Down
		}
		if s == nil || s.own != nil {
			continue
		}
		delete(f.left, id)
		s.own, f.open[r.Key] = r, r
		s.hidden = r.ID
	}
}
