package incident

import (
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/schedule"
)

// means is what one way of asking a source has told.
type means struct {
	run   int              // polls in a row: good ones, or bad ones below zero
	first collectors.Stamp // of the run
	last  collectors.Stamp // of the run, that was counted
	seen  collectors.Stamp // that anything was heard, or that it is known to back off
	good  collectors.Stamp // the last good one
}

// add counts a poll. What comes close after one that was counted is part of the same.
func (m *means) add(e Evidence, at collectors.Stamp, every time.Duration) {
	if at < m.seen {
		return // of another order than it happened: the newer one stands
	}
	m.seen = at
	sign := 1
	if e == Bad {
		sign = -1
	} else {
		m.good = at
	}
	switch {
	case m.run*sign <= 0:
		m.run, m.first, m.last = sign, at, at
	case at-m.last >= collectors.Stamp(every.Milliseconds()/2):
		m.run, m.last = m.run+sign, at
	}
}

// forget lets bad polls of a time in which something was in the way not count.
func (m *means) forget() {
	if m.run < 0 {
		m.run = 0
	}
}

// findings is what all means of a source come to.
type findings struct {
	good  int              // polls in a row of the best means
	bad   int              // polls in a row that every means has failed
	first collectors.Stamp // since when
	last  collectors.Stamp
}

// find joins the means: good is what one of them says, bad what all say that have
// anything to say.
func (s *source) find(now collectors.Stamp) (f findings) {
	bad := 0
	for i := range s.means {
		m := &s.means[i]
		fresh := now-m.seen <= stamps(s.patience())
		switch {
		case m.run > 0 && fresh:
			if f.good == 0 || m.first < f.first {
				f.first = m.first
			}
			f.good = max(f.good, m.run)
		case m.run < 0 && fresh:
			bad++
			if f.bad == 0 || -m.run < f.bad {
				f.bad = -m.run
			}
			if f.good == 0 {
				f.first, f.last = max(f.first, m.first), max(f.last, m.last)
			}
		case m.seen == 0 && now-s.born < stamps(s.patience()):
			return findings{good: f.good, first: f.first} // it has not had its turn yet
		}
	}
	if f.good > 0 {
		f.bad = 0
	}
	return f
}

// lastGood is when any means last had an answer.
func (s *source) lastGood() (at collectors.Stamp) {
	for i := range s.means {
		at = max(at, s.means[i].good)
	}
	return at
}

// lastSeen is when anything was last heard of the source.
func (s *source) lastSeen() (at collectors.Stamp) {
	for i := range s.means {
		at = max(at, s.means[i].seen)
	}
	return at
}

// judge is what a batch says of the source that it is of. place is that of
// probe_success, or -1.
func judge(b *collectors.Batch, place int, blame func(string) Evidence) Evidence {
	device := strings.HasPrefix(b.Source, "device/")
	switch b.Outcome.Result {
	case collectors.Skipped:
		return Nothing
	case collectors.Failed:
		if !device {
			return Nothing // a check that could not be carried out
		}
		if blame == nil {
			return Bad
		}
		return blame(b.Outcome.Why)
	}
	if place < 0 || place >= len(b.Values) {
		if device && len(b.Values) > 0 {
			return Good
		}
		return Nothing
	}
	v := b.Values[place]
	if v.Missing() {
		return Nothing
	}
	if n, _ := v.Float(b.Schema.Series[place].Kind); n == 0 {
		return Bad
	}
	return Good
}

// backsOff tells whether a slot was skipped because its source fails: nothing has
// changed since.
func backsOff(b *collectors.Batch) bool {
	return b.Outcome.Result == collectors.Skipped && strings.HasPrefix(b.Outcome.Why, schedule.WhyBackoff)
}

func stamps(d time.Duration) collectors.Stamp { return collectors.Stamp(d.Milliseconds()) }
