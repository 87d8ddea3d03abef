package sla

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"
)

// Statement is what an agreement came to over a period, with all that it rests on.
type Statement struct {
	Agreement *Agreement
	From, To  time.Time
	Services  []Result
	Incidents []Share  // those that have to do with it, in order of their first evidence
	Windows   []Window // those that excluded something that it needs
	Unsure    int      // events whose times no confirmed clock says
	// Hash is the SHA-256 of what was counted: the agreement, the period, the states of
	// all sources within it, and the windows. It does not change when more is recorded
	// later that says the same, or when what is older than the period is forgotten.
	Hash string
}

// Share is an incident and what it cost.
type Share struct {
	Incident
	Down     int64    // ms within the agreed hours in which a service was down by it, several at once counted once
	Services []string // that were down by it
}

// State makes the statement of an agreement over [from, to).
func (h *History) State(a *Agreement, from, to time.Time, every Resolutions) *Statement {
	f, t := from.UnixMilli(), to.UnixMilli()
	s := &Statement{Agreement: a, From: from.In(a.loc), To: to.In(a.loc), Services: h.Compute(a, f, t, every), Unsure: h.Unsure}
	sources := s.sources()
	for _, w := range h.Windows {
		if w.From < t && w.To > f && slices.ContainsFunc(sources, w.covers) {
			s.Windows = append(s.Windows, w)
		}
	}
	down := s.down()
	for _, i := range h.Incidents {
		if x := down.share(i); x.Down > 0 || i.First < t && (i.Closed == 0 || i.Closed > f) && slices.Contains(sources, i.Source) {
			s.Incidents = append(s.Incidents, x)
		}
	}
	s.Hash = h.hash(s, sources)
	return s
}

// sources are all that the agreement is made of, each once.
func (s *Statement) sources() (out []string) {
	for i := range s.Services {
		out = append(out, s.Services[i].Sources...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// downs are what incidents cost, by their IDs.
type downs map[string]*cost

type cost struct {
	down     []interval // within the hours
	services []string
}

func (s *Statement) down() downs {
	out := downs{}
	for k := range s.Services {
		name := s.Services[k].Service
		for _, p := range s.Services[k].Spans {
			if p.Class != Down || !p.Agreed || p.Incident == "" {
				continue
			}
			c := out[p.Incident]
			if c == nil {
				c = &cost{}
				out[p.Incident] = c
			}
			c.down = append(c.down, interval{p.From, p.To})
			if n := len(c.services); n == 0 || c.services[n-1] != name {
				c.services = append(c.services, name)
			}
		}
	}
	return out
}

func (d downs) share(i Incident) Share {
	x := Share{Incident: i}
	if c := d[i.ID]; c != nil {
		x.Services = c.services
		for _, s := range ordered(c.down) {
			x.Down += s.to - s.from
		}
	}
	return x
}

// Missed tells whether any service missed its target.
func (s *Statement) Missed() bool {
	return slices.ContainsFunc(s.Services, func(r Result) bool { return r.Verdict() == Missed })
}

// hash writes what was counted as lines of fields that are parted by tabs.
func (h *History) hash(s *Statement, sources []string) string {
	sum := sha256.New()
	w := bufio.NewWriter(sum)
	agreement, _ := json.Marshal(s.Agreement.Config) // texts alone: it has no error
	fmt.Fprintf(w, "siteprobe sla 1\t%d\t%d\t%s\t%s\n", s.From.UnixMilli(), s.To.UnixMilli(), s.Agreement.loc, agreement)
	from, to := s.From.UnixMilli(), s.To.UnixMilli()
	for _, name := range sources {
		t := h.source(name)
		for i := range t {
			end := to
			if i+1 < len(t) {
				end = min(to, t[i+1].at)
			}
			if at := max(from, t[i].at); at < end {
				fmt.Fprintf(w, "%q\t%d\t%d\t%s\t%s\t%q\t%t\n", name, at, end, t[i].class, t[i].owner, t[i].incident, t[i].off)
			}
		}
	}
	for _, x := range s.Windows {
		fmt.Fprintf(w, "%q\t%d\t%d\t%d\t%q\n", x.ID, x.From, x.To, x.Approved.UnixMilli(), strings.Join(x.Scope, "|"))
	}
	return finish(w, sum)
}

func finish(w *bufio.Writer, sum hash.Hash) string {
	_ = w.Flush() // a hash takes everything
	return hex.EncodeToString(sum.Sum(nil))
}
