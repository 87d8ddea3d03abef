package sla

import (
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// Result is one service of an agreement over a period. Durations are in milliseconds,
// and Hours is the sum of Up, all of Down, Excluded and Unmeasured.
type Result struct {
	Service    string
	Sources    []string
	From, To   int64 // Unix ms
	Hours      int64 // the agreed hours, before anything is left out
	Up         int64
	Down       map[diagnosis.Owner]int64 // without those that have none
	Excluded   int64
	Unmeasured int64
	NotRunning int64 // of Unmeasured: the box did not measure
	Hidden     int64 // of Unmeasured: what is broken is in front of it
	Counted    int64 // of Down: that of owners who count
	Target     int64 // millionths; 0: none
	Resolution time.Duration
	Outages    []Outage
	Spans      []Stretch // the whole period in order, within the hours and outside
}

// Outage is a stretch in which a service was down without a break, as far as it lies
// within the period.
type Outage struct {
	From, To  int64             // Unix ms
	Agreed    int64             // ms of it within the agreed hours
	Owners    []diagnosis.Owner // in the order in which they were to blame
	Incidents []string          // their IDs
}

// Stretch is a while in which a service was the same.
type Stretch struct {
	From, To int64 // Unix ms
	Class    Class
	Owner    diagnosis.Owner // of a Down
	Incident string          // if one is known
	Agreed   bool            // within the hours
}

// Resolutions says how often a source is asked.
type Resolutions func(source string) time.Duration

// Compute works out all services of an agreement over [from, to), in Unix ms.
func (h *History) Compute(a *Agreement, from, to int64, every Resolutions) []Result {
	hours := a.agreed(from, to)
	var out []Result
	for i := range a.Services {
		s := &a.Services[i]
		r := Result{Service: s.Name, Sources: s.Sources(), From: from, To: to, Target: a.target, Down: map[diagnosis.Owner]int64{}}
		if t, err := parseTarget(s.Target); err == nil && t != 0 {
			r.Target = t
		}
		for _, x := range r.Sources {
			r.Resolution = max(r.Resolution, every(x))
		}
		r.fill(h.service(a, s), hours, a)
		out = append(out, r)
	}
	return out
}

// fill cuts a timeline along the period and the hours, and adds up.
func (r *Result) fill(t timeline, hours []interval, a *Agreement) {
	var down *Outage
	for i := -1; i < len(t); i++ {
		from, to, s := r.From, r.To, state{}
		if i >= 0 {
			from, s = max(r.From, t[i].at), t[i].state
		}
		if i+1 < len(t) {
			to = min(r.To, t[i+1].at)
		}
		if from >= to {
			continue
		}
		ms := r.cut(from, to, s, &hours)
		r.add(s, ms, a)
		if s.class != Down {
			down = nil
			continue
		}
		if down == nil {
			r.Outages = append(r.Outages, Outage{From: from})
			down = &r.Outages[len(r.Outages)-1]
		}
		down.more(to, ms, s)
	}
	r.Outages = slices.DeleteFunc(r.Outages, func(o Outage) bool { return o.Agreed == 0 })
}

// cut adds [from, to) to the spans, divided into what is within the hours and what is
// not, and returns how much is within. It takes off hours that are past.
func (r *Result) cut(from, to int64, s state, hours *[]interval) (within int64) {
	add := func(from, to int64, agreed bool) {
		if from < to {
			r.Spans = append(r.Spans, Stretch{from, to, s.class, s.owner, s.incident, agreed})
		}
	}
	at := from
	for len(*hours) > 0 && (*hours)[0].from < to {
		x := interval{max(at, (*hours)[0].from), min(to, (*hours)[0].to)}
		if x.from < x.to {
			add(at, x.from, false)
			add(x.from, x.to, true)
			within += x.to - x.from
			at = x.to
		}
		if (*hours)[0].to > to {
			break
		}
		*hours = (*hours)[1:]
	}
	add(at, to, false)
	return within
}

func (r *Result) add(s state, ms int64, a *Agreement) {
	if ms == 0 {
		return
	}
	r.Hours += ms
	switch s.class {
	case Up:
		r.Up += ms
	case Excluded:
		r.Excluded += ms
	case Down:
		r.Down[s.owner] += ms
		if a.counts[s.owner] {
			r.Counted += ms
		}
	case Unmeasured:
		r.Unmeasured += ms
		switch {
		case s.off:
			r.NotRunning += ms
		case s.incident != "":
			r.Hidden += ms
		}
	}
}

func (o *Outage) more(to, ms int64, s state) {
	o.To = to
	o.Agreed += ms
	if !slices.Contains(o.Owners, s.owner) {
		o.Owners = append(o.Owners, s.owner)
	}
	if s.incident != "" && !slices.Contains(o.Incidents, s.incident) {
		o.Incidents = append(o.Incidents, s.incident)
	}
}

// Agreed is the agreed service time in ms: the hours without what is excluded.
func (r *Result) Agreed() int64 { return r.Hours - r.Excluded }

// Measured is as much of it as was measured, in ms.
func (r *Result) Measured() int64 { return r.Agreed() - r.Unmeasured }

// Longest is the outage with the most agreed time; nil if there was none.
func (r *Result) Longest() (o *Outage) {
	for i := range r.Outages {
		if o == nil || r.Outages[i].Agreed > o.Agreed {
			o = &r.Outages[i]
		}
	}
	return o
}

// Ratio is a share of time, kept exact; Of 0 says that there is none.
type Ratio struct{ Part, Of int64 }

// Availability is the share of what was measured that was no counted downtime.
func (r *Result) Availability() Ratio { return Ratio{r.Measured() - r.Counted, r.Measured()} }

// AtLeast is what it would be if all that was not measured had been down.
func (r *Result) AtLeast() Ratio { return Ratio{r.Measured() - r.Counted, r.Agreed()} }

// AtMost is what it would be if all that was not measured had been up.
func (r *Result) AtMost() Ratio { return Ratio{r.Agreed() - r.Counted, r.Agreed()} }

// Millionths is the ratio rounded down; ok is false if there is none.
func (x Ratio) Millionths() (n int64, ok bool) {
	if x.Of <= 0 {
		return 0, false
	}
	return x.Part * 1_000_000 / x.Of, true
}

// meets tells whether it is at least so many millionths. A year in ms times a million
// is far below what an int64 holds.
func (x Ratio) meets(millionths int64) bool { return x.Part*1_000_000 >= millionths*x.Of }

// Verdict is what becomes of a target.
type Verdict string

// The verdicts; see the package comment.
const (
	Met      Verdict = "met"
	Missed   Verdict = "missed"
	Unproven Verdict = "unproven"
	NoTarget Verdict = ""
	NoData   Verdict = "not measured" // or nothing was agreed in this period
)

// Verdict judges the target.
func (r *Result) Verdict() Verdict {
	switch {
	case r.Measured() == 0:
		return NoData
	case r.Target == 0:
		return NoTarget
	case !r.Availability().meets(r.Target):
		return Missed
	case !r.AtLeast().meets(r.Target):
		return Unproven
	}
	return Met
}
