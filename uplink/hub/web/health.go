package web

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/uplink/hub"
)

// silence is how long a box that says it is online may say nothing. It tells its
// state every half minute.
const silence = 5 * time.Minute

// note is a short remark with a tone; Title says more.
type note struct {
	Tone  tone
	Text  string
	Title string
}

// health is what the page says of a site at a glance.
type health struct {
	Tone     tone // the worst of what follows
	State    word
	Heard    time.Time // when the hub last had word of it, as far as is known
	Uplink   note
	Proof    []note // completeness
	Problems []note // what the box says is wrong
}

// judge makes a site's health of what was heard; sum may be nil.
func (w *Web) judge(x *hub.SiteInfo, sum *summary) *health {
	h := &health{Heard: w.heard(x, sum)}
	now := w.opt.Now()
	st := x.Status
	switch {
	case st == nil && h.Heard.IsZero():
		h.State = word{"never heard", warn}
	case st == nil:
		h.State = word{"no status", warn}
	case !st.Online:
		h.State = word{"offline", bad}
	case now.Sub(h.Heard) > silence:
		h.State = word{"silent", bad}
	default:
		h.State = word{"online", good}
	}
	h.Tone = h.State.Tone
	if st != nil && st.Online {
		h.Uplink = note{Tone: good, Text: plain(st.Uplink.State, 24), Title: words(st.Uplink.Error)}
		if st.Uplink.State != "connected" {
			h.Uplink.Tone = warn
		}
		if st.Uplink.State == "" {
			h.Uplink = note{}
		}
	}
	w.problems(h, x)
	h.Proof = w.completeness(sum)
	for _, n := range slices.Concat(h.Proof, h.Problems, []note{h.Uplink}) {
		h.Tone = worst(h.Tone, n.Tone)
	}
	return h
}

// problems lists what the box said is wrong, and what the hub has found out itself.
func (w *Web) problems(h *health, x *hub.SiteInfo) {
	st := x.Status
	add := func(t tone, text, title string) { h.Problems = append(h.Problems, note{t, text, title}) }
	if x.Cloned {
		add(warn, "cloned disk", "two boxes go on from one disk, or it was put back from a copy: enrol one of them under a name of its own")
	}
	if st == nil {
		return
	}
	if st.Verdict != nil && *st.Verdict != "" && *st.Verdict != string(diagnosis.OK) {
		add(warn, words(*st.Verdict), "the box's verdict about its line")
	}
	for i, x := range st.Incidents {
		if i == 5 {
			add(bad, fmt.Sprintf("and %s more incidents", count(len(st.Incidents)-i)), "")
			break
		}
		add(severity(x.Severity).Tone, words(x.Summary), "an open incident, "+words(x.Cause)+"; whose it is: "+words(x.Owner))
	}
	for i, t := range st.Trouble {
		if i == 5 {
			add(warn, fmt.Sprintf("and %s more", count(len(st.Trouble)-i)), "")
			break
		}
		add(warn, words(t.What), words(t.Hint))
	}
	if n := st.Devices.Total - st.Devices.Answering - st.Devices.Waiting; n > 0 {
		add(warn, count(n)+" not answering", "sources whose last poll gave no readings")
	}
	down := 0
	for _, s := range st.Devices.List {
		if s.Result == "down" {
			down++
		}
	}
	if down > 0 {
		add(bad, count(down)+" down", "checks that were carried out and found their service down")
	}
	if d := st.Buffer.DaysLeft; d != nil && *d < 3 && st.Buffer.PendingReadings > 0 {
		add(warn, "buffer full in "+days(*d), "then the box drops its oldest readings; it keeps summaries before")
	}
	if !st.Clock.Sure && st.Time != "" && len(st.Trouble) == 0 { // the box says it itself
		add(warn, "clock not sure", "the box's clock is not synchronised: times may be wrong")
	}
	if x.Seen.Unusable > 0 {
		add(warn, count(x.Seen.Unusable)+" blocks unusable", "they are stored, but this version of the hub cannot read them")
	}
}

// heard is when the hub last had word of a site. What a box's clock says counts
// unless it says the future. For a box that is gone the last message may be the
// broker's, repeated when the hub subscribed, so there the evidence is what the
// box sent itself.
func (w *Web) heard(x *hub.SiteInfo, sum *summary) time.Time {
	times := []time.Time{x.Newest}
	if x.Status != nil {
		times = append(times, clock(x.Status.Time))
	}
	if x.Status == nil || x.Status.Online {
		times = append(times, x.Seen.LastMessage)
	}
	if sum != nil {
		times = append(times, clock(sum.AsOf))
	}
	var last time.Time
	for _, t := range times {
		if t.After(last) && t.Before(w.opt.Now().Add(2*time.Minute)) {
			last = t
		}
	}
	return last
}

// completeness says in a few words what of a site's readings is where.
func (w *Web) completeness(s *summary) []note {
	if s == nil {
		return []note{{mute, "not checked yet", "there are many sites; the next look will have it"}}
	}
	var out []note
	if s.Lost > 0 {
		out = append(out, note{bad, plural(s.Lost, "batch", "batches") + " lost", "neither stored here, nor waiting at the box, nor known to be dropped"})
	}
	if s.DroppedBatches > 0 {
		t := mute
		if s.Recent > 0 {
			t = warn
		}
		var why []string
		for _, r := range slices.Sorted(maps.Keys(s.Reasons)) {
			why = append(why, words(r))
		}
		out = append(out, note{t, fmt.Sprintf("%s dropped (%s)", count(s.DroppedBatches), plain(strings.Join(why, ", "), 60)),
			"batches that the box let go of, and why"})
	}
	if s.Pending > 0 {
		out = append(out, note{mute, count(s.Pending) + " pending", "batches that wait at the box"})
	}
	if s.Downsampled > 0 {
		out = append(out, note{mute, count(s.Downsampled) + " as summaries", "stored as summaries of 15 minutes or an hour: there was no room at the box for all readings"})
	}
	switch {
	case !s.Proved:
		out = append(out, note{mute, "not proved", "the box has sent no account of what it collected (ack: broker)"})
	case s.Complete:
		out = append([]note{{good, "complete as of " + w.when(clock(s.AsOf)).Text, "everything that the box accounted for is stored"}}, out...)
	case s.Lost == 0 && s.DroppedBatches == 0:
		out = append([]note{{good, "nothing missing as of " + w.when(clock(s.AsOf)).Text, "everything that the box accounted for is stored here or waits there"}}, out...)
	}
	return out
}

func plural[T int | int64 | uint64](n T, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}
