package report

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/sla"
)

// What is listed at most; the rest is summed up.
const (
	maxOutages   = 40
	maxIncidents = 200
	maxWindows   = 100
)

// view is what the template shows: texts that need no more than to be escaped.
type view struct {
	Style  template.CSS
	Policy string

	Title, Site, Tenant, Line, Made, Version, Config string
	Contacts                                         []string
	Agreements                                       []agreement
	Keys                                             []key
}

// key is one entry of the legend.
type key struct{ Class, Text string }

type agreement struct {
	Title, Name, Period, Verdict, Class string
	Hours, Zone, Holidays, Counts, Free string
	Caption                             string
	Owners                              []string
	Services                            []service
	Incidents                           []incidentView
	MoreIncidents                       string
	Windows                             []windowView
	MoreWindows                         string
	Unsure                              int
	Hash                                string
}

type service struct {
	Name, Sources, Target, Availability, AtLeast, AtMost string
	Verdict, Class, Explained                            string
	Down                                                 []string // by owner, in the order of Owners
	Excluded, Unmeasured, Longest                        string
	Count                                                int
	Bars                                                 bars
	Outages                                              []outage
	MoreOutages                                          string
	Resolution, Sum, Bounds, Gaps                        string
}

type outage struct{ From, To, Down, Owners, Incidents string }

type incidentView struct{ ID, From, To, Cause, Owner, Summary, Down, Services, Evidence string }

type windowView struct{ Name, From, To, Approved, Scope string }

// clean makes a name that came from elsewhere fit to be shown: without control
// characters, and without those that turn around what stands beside them.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, collectors.Printable(strings.ToValidUTF8(s, "?")))
}

func cleaned(ss []string) string {
	out := make([]string, 0, len(ss))
	for _, s := range ss {
		out = append(out, clean(s))
	}
	return strings.Join(out, ", ")
}

// ownerWords are the owners for a reader.
func ownerWords(o diagnosis.Owner) string {
	switch o {
	case diagnosis.ISP:
		return "ISP"
	case diagnosis.MSP:
		return "MSP"
	case diagnosis.Customer:
		return "customer"
	}
	return "undetermined"
}

func viewOf(r *Report) *view {
	v := &view{Title: "Service level report", Site: clean(r.Site), Tenant: clean(r.Tenant), Version: clean(r.Version), Config: clean(r.Config)}
	loc := time.UTC
	if len(r.Statements) > 0 {
		loc = r.Statements[0].Agreement.Location()
	}
	v.Made = r.Made.In(loc).Format("2 January 2006, 15:04 MST")
	var line []string
	for _, x := range [][2]string{{"", r.ISP}, {"circuit ", r.Circuit}, {"hotline ", r.Hotline}} {
		if x[1] != "" {
			line = append(line, x[0]+clean(x[1]))
		}
	}
	v.Line = strings.Join(line, ", ")
	for _, c := range r.Contacts {
		v.Contacts = append(v.Contacts, strings.TrimRight(clean(c.Name)+" "+strings.TrimSpace(clean(c.Phone)+" "+clean(c.Email)), " "))
	}
	for _, s := range r.Statements {
		v.Agreements = append(v.Agreements, agreementOf(s))
	}
	v.Keys = []key{{"up", "up"}, {"isp", "down: ISP"}, {"msp", "down: MSP"}, {"undetermined", "down: undetermined"}, {"customer", "down: customer"},
		{"excluded", "excluded"}, {"unmeasured", "not measured"}}
	return v
}

func agreementOf(s *sla.Statement) agreement {
	a := s.Agreement
	out := agreement{Title: clean(a.Title), Name: clean(a.Name), Period: sla.PeriodWords(s.From, s.To), Hours: a.HoursWords(), Zone: a.Location().String(),
		Holidays: cleaned(a.Holidays), Caption: caption(s.From, s.To), Unsure: s.Unsure, Hash: s.Hash}
	var counts, free []string
	for _, o := range sla.Owners() {
		out.Owners = append(out.Owners, ownerWords(o))
		if a.Counted(o) {
			counts = append(counts, ownerWords(o))
		} else {
			free = append(free, ownerWords(o))
		}
	}
	out.Counts, out.Free = strings.Join(counts, ", "), strings.Join(free, ", ")
	for i := range s.Services {
		out.Services = append(out.Services, serviceOf(&s.Services[i], a))
	}
	out.Verdict, out.Class = total(s)
	for i := range s.Incidents {
		if i == maxIncidents {
			out.MoreIncidents = fmt.Sprintf("and %d more; siteprobe sla --json lists them all", len(s.Incidents)-i)
			break
		}
		out.Incidents = append(out.Incidents, incidentOf(&s.Incidents[i], a.Location()))
	}
	for i := range s.Windows {
		if i == maxWindows {
			out.MoreWindows = fmt.Sprintf("and %d more; siteprobe sla --json lists them all", len(s.Windows)-i)
			break
		}
		out.Windows = append(out.Windows, windowOf(&s.Windows[i], a.Location()))
	}
	return out
}

// total is the agreement in one sentence.
func total(s *sla.Statement) (text, class string) {
	n := map[sla.Verdict]int{}
	for i := range s.Services {
		n[s.Services[i].Verdict()]++
	}
	all := len(s.Services)
	switch {
	case n[sla.NoTarget] == all:
		return "No target was agreed.", "open"
	case n[sla.NoData] == all:
		return "Nothing was measured.", "open"
	case n[sla.Missed] > 0:
		return fmt.Sprintf("%d of %s missed the target.", n[sla.Missed], services(all)), "missed"
	case n[sla.Met] == all && all == 1:
		return "The service met its target.", "met"
	case n[sla.Met] == all:
		return fmt.Sprintf("All %s met their targets.", services(all)), "met"
	}
	return fmt.Sprintf("No target was missed; %d of %s met it beyond doubt.", n[sla.Met], services(all)), "open"
}

func services(n int) string {
	if n == 1 {
		return "1 service"
	}
	return fmt.Sprintf("%d services", n)
}

func serviceOf(r *sla.Result, a *sla.Agreement) service {
	s := service{Name: clean(r.Service), Sources: cleaned(r.Sources), Target: "none", Availability: percent(r.Availability()), AtLeast: percent(r.AtLeast()), AtMost: percent(r.AtMost()),
		Excluded: sla.Words(r.Excluded), Unmeasured: sla.Words(r.Unmeasured), Longest: "-", Count: len(r.Outages),
		Resolution: sla.Words(r.Resolution.Milliseconds()), Bars: barsOf(r, a.Location())}
	if r.Target != 0 {
		s.Target = sla.Percent(r.Target) + " %"
	}
	if o := r.Longest(); o != nil {
		s.Longest = sla.Words(o.Agreed)
	}
	s.Verdict, s.Class, s.Explained = verdict(r)
	for _, o := range sla.Owners() {
		s.Down = append(s.Down, sla.Words(r.Down[o]))
	}
	var more int64
	for i, o := range r.Outages {
		if i >= maxOutages {
			more += o.Agreed
			s.MoreOutages = fmt.Sprintf("and %d more, %s together; siteprobe sla --json lists them all", i+1-maxOutages, sla.Words(more))
			continue
		}
		var owners []string
		for _, x := range o.Owners {
			owners = append(owners, ownerWords(x))
		}
		s.Outages = append(s.Outages, outage{instant(o.From, a.Location()), instant(o.To, a.Location()), sla.Words(o.Agreed), strings.Join(owners, ", "), cleaned(o.Incidents)})
	}
	s.Sum, s.Bounds, s.Gaps = arithmetic(r)
	return s
}

func percent(x sla.Ratio) string {
	if x.Of <= 0 {
		return "-"
	}
	return x.Percent() + " %"
}

func verdict(r *sla.Result) (word, class, explained string) {
	switch r.Verdict() {
	case sla.Met:
		return "met", "met", "Also if all that was not measured had been down."
	case sla.Missed:
		return "missed", "missed", "By what was measured."
	case sla.Unproven:
		return "unproven", "open", "What was measured meets the target; too much was not measured to tell."
	case sla.NoData:
		return "not measured", "open", "Nothing was measured within the agreed hours."
	}
	return "no target", "open", ""
}

// arithmetic is the sum in words. What is nothing is not talked about.
func arithmetic(r *sla.Result) (sum, bounds, gaps string) {
	w := sla.Words
	sum = w(r.Hours) + " were agreed"
	if r.Excluded > 0 {
		sum += fmt.Sprintf(", less %s excluded: %s of agreed service time", w(r.Excluded), w(r.Agreed()))
	}
	if r.Unmeasured > 0 {
		sum += fmt.Sprintf(", of which %s was not measured and %s was", w(r.Unmeasured), w(r.Measured()))
	}
	down := int64(0)
	for _, d := range r.Down {
		down += d
	}
	switch {
	case down == 0:
		sum += ". The service was never down."
	case down == r.Counted:
		sum += fmt.Sprintf(". The service was down for %s, and all of it counts.", w(down))
	default:
		sum += fmt.Sprintf(". The service was down for %s, of which %s counts.", w(down), w(r.Counted))
	}
	if r.Measured() > 0 {
		sum += fmt.Sprintf(" (%s - %s) / %s = %s.", w(r.Measured()), w(r.Counted), w(r.Measured()), percent(r.Availability()))
	}
	if r.Unmeasured == 0 {
		return sum, "", ""
	}
	if r.Agreed() > 0 {
		bounds = fmt.Sprintf("Had all that was not measured been down, it would be %s; had all of it been up, %s.", percent(r.AtLeast()), percent(r.AtMost()))
	}
	var why []string
	for _, x := range []struct {
		ms   int64
		what string
	}{{r.NotRunning, "the box did not run"}, {r.Hidden, "something in front of it was broken itself"}, {r.Unmeasured - r.NotRunning - r.Hidden, "its state was not known yet, or not any more"}} {
		if x.ms > 0 {
			why = append(why, fmt.Sprintf("%s for %s", x.what, w(x.ms)))
		}
	}
	return sum, bounds, "Why not measured: " + strings.Join(why, "; ") + "."
}

func incidentOf(x *sla.Share, loc *time.Location) incidentView {
	v := incidentView{ID: clean(x.ID), From: instant(x.First, loc), To: "open", Cause: clean(x.Cause), Owner: ownerWords(x.Owner), Summary: clean(x.Summary),
		Down: sla.Words(x.Down), Services: cleaned(x.Services), Evidence: clean(x.Evidence)}
	if x.Closed != 0 {
		v.To = instant(x.Closed, loc)
	}
	return v
}

func windowOf(x *sla.Window, loc *time.Location) windowView {
	v := windowView{Name: clean(x.Name), From: instant(x.From, loc), To: instant(x.To, loc), Approved: instant(x.Approved.UnixMilli(), loc), Scope: cleaned(x.Scope)}
	if x.By != "" {
		v.Approved += ", " + clean(x.By)
	}
	if v.Scope == "" {
		v.Scope = "the whole site"
	}
	return v
}

// instant writes a moment with the zone's name, which tells an hour from the same one
// again.
func instant(ms int64, loc *time.Location) string {
	return time.UnixMilli(ms).In(loc).Format("2 Jan 2006 15:04:05 MST")
}
