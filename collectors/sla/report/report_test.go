package report

import (
	"bytes"
	"flag"
	"fmt"
	"html"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/collectors/sla"
)

var keep = flag.String("html", "", "write the report of TestReport into this file, to look at it in a browser")

// story is a month of a site that does not exist.
type story struct {
	t       *testing.T
	start   time.Time
	records []sla.Record
}

func (s *story) at(day, hour, min int) time.Time {
	return s.start.AddDate(0, 0, day-1).Add(time.Duration(hour*60+min) * time.Minute)
}

func (s *story) add(at time.Time, e collectors.Event) {
	s.records = append(s.records, sla.Record{T: at.UnixMilli(), Event: e})
}

func (s *story) edge(source string, st incident.State, at time.Time, owner diagnosis.Owner, id string) {
	now := collectors.Stamp(at.Add(2 * time.Minute).UnixMilli())
	s.add(at.Add(2*time.Minute), incident.Edge{Source: source, State: st, At: now - 120_000, Owner: owner, Incident: id}.Event(now))
}

// fault is an incident from its beginning to its end.
func (s *story) fault(source, cause, summary string, owner diagnosis.Owner, from, to time.Time) {
	id := fmt.Sprintf("%s@%d", source, from.Unix())
	i := incident.Incident{ID: id, Key: source, Kind: incident.KindDevice, Cause: cause, Owner: owner, Severity: collectors.Error, Summary: summary, Source: source,
		Affected: []string{source}, Evidence: fmt.Sprintf("%064x", from.Unix()*7919), First: collectors.Stamp(from.UnixMilli()), Opened: collectors.Stamp(from.UnixMilli() + 120_000)}
	s.edge(source, incident.Down, from, owner, id)
	s.add(time.UnixMilli(int64(i.Opened)), incident.Change{What: incident.Open, At: i.Opened, Incident: i}.Event())
	if to.IsZero() {
		return
	}
	s.edge(source, incident.Up, to, "", "")
	i.Closed = collectors.Stamp(to.UnixMilli())
	s.add(to.Add(3*time.Minute), incident.Change{What: incident.Close, At: i.Closed + 180_000, Incident: i}.Event())
}

func (s *story) window(name string, scope []string, from, to time.Time) {
	w := incident.Window{ID: name, Name: name, Scope: scope, Start: from.UTC(), End: to.UTC(), Approved: from.Add(-50 * time.Hour).UTC(), By: "Facility Management"}
	for _, e := range w.Events() {
		s.add(from.Add(-24*time.Hour), e)
	}
}

// october is a month with a change of clocks and some of everything.
func october(t *testing.T, hostile string) Report {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s := &story{t: t, start: time.Date(2026, 10, 1, 0, 0, 0, 0, berlin)}
	all := []string{"line", "check/lte", "device/core-sw1", "check/intranet", "check/voip"}
	up := func(at time.Time) {
		for _, x := range all {
			s.edge(x, incident.Up, at, "", "")
		}
	}
	s.add(s.at(1, 0, 0).Add(-26*time.Hour), collectors.Event{Kind: incident.StartedEvent})
	up(s.at(1, 0, 0).Add(-25 * time.Hour))
	s.fault("line", "ISP_PATH", "The network of the internet provider is down; the line to it works. They have been told."+hostile, diagnosis.ISP, s.at(5, 9, 12), s.at(5, 10, 47))
	s.window("Core switch: new firmware"+hostile, []string{"device/core-sw1", "check/intranet"}, s.at(10, 12, 0), s.at(10, 16, 0))
	s.fault("device/core-sw1", "device_down", "core-sw1 does not answer.", diagnosis.MSP, s.at(10, 12, 20), s.at(10, 13, 5))
	s.fault("check/intranet", "check_down", "The service intranet is down."+hostile, diagnosis.Customer, s.at(14, 13, 5), s.at(14, 16, 40))
	s.add(s.at(17, 3, 0), collectors.Event{Kind: incident.StoppedEvent})
	s.add(s.at(18, 11, 0), collectors.Event{Kind: incident.StartedEvent})
	up(s.at(18, 11, 1))
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 9 {
		at := s.at(20, 8, 30*i+r.IntN(10))
		s.fault("check/voip", "flapping", "voip comes and goes: down more than 3 times in an hour.", diagnosis.Nobody, at, at.Add(time.Duration(2+r.IntN(7))*time.Minute))
	}
	s.fault("check/lte", "ACCESS_DOWN", "The second line is dead.", diagnosis.ISP, s.at(24, 20, 0), s.at(25, 14, 0))
	s.fault("line", "WAN_PORT_DOWN", "The gateway's port to the provider is down.", diagnosis.ISP, s.at(25, 1, 30), s.at(25, 3, 10))
	s.fault("device/core-sw1", "device_down", "core-sw1 does not answer.", diagnosis.MSP, s.at(29, 15, 20), s.at(29, 16, 0))
	s.edge("check/intranet", incident.Unknown, s.at(29, 15, 22), "", fmt.Sprintf("device/core-sw1@%d", s.at(29, 15, 20).Unix()))
	s.edge("check/intranet", incident.Up, s.at(29, 16, 3), "", "")
	a, err := sla.New(sla.Config{Name: "office" + hostile, Title: "Office IT of Acme Berlin" + hostile, Target: "99.5", Hours: sla.Hours{"mon-fri 07:00-19:00", "sat 09:00-14:00"}, Holidays: []string{"10-03"},
		Services: []sla.Service{{Name: "Internet" + hostile, Any: []string{"line", "check/lte"}, Target: "99.9"}, {Name: "Main line", Needs: []string{"line"}},
			{Name: "Intranet", Needs: []string{"device/core-sw1", "check/intranet"}}, {Name: "Telephones", Needs: []string{"check/voip"}}}}, berlin)
	if err != nil {
		t.Fatal(err)
	}
	h := sla.Read(s.records, nil, s.at(40, 0, 0).UnixMilli())
	from, to := a.PeriodOf(s.at(15, 0, 0))
	st := h.State(a, from, to, func(string) time.Duration { return time.Minute })
	return Report{Site: "acme-berlin" + hostile, Tenant: "northwind", ISP: "Telekom" + hostile, Circuit: "49-30-1234", Hotline: "+49 800 330 1000",
		Contacts: []Contact{{Name: "Front desk" + hostile, Phone: "+49 30 1234"}, {Name: "Ann Example", Email: "ann@acme.example"}},
		Made:     s.at(33, 9, 0), Version: "1.0", Config: strings.Repeat("c0ffee42", 8), Statements: []*sla.Statement{st}}
}

func TestReport(t *testing.T) {
	r := october(t, "")
	var b bytes.Buffer
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	if *keep != "" {
		if err := os.WriteFile(*keep, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	html := html.UnescapeString(b.String())
	for _, want := range []string{"October 2026", "acme-berlin", "Front desk +49 30 1234", "Telekom, circuit 49-30-1234, hotline +49 800 330 1000", "Facility Management",
		"Sun 25 Oct", "core-sw1 does not answer.", r.Statements[0].Hash, r.Statements[0].Incidents[0].Evidence, `class="isp"`, `class="up faint"`, "@page"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q", want)
		}
	}
	if n := strings.Count(html, `class="bars"`); n != 4 {
		t.Errorf("%d drawings", n)
	}
	if strings.Contains(html, "ZgotmplZ") {
		t.Error("the template took something of ours for dangerous")
	}
}

// TestNothingFromOutside: the file has no script, refers to nothing else, and says so to
// the browser.
func TestNothingFromOutside(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, october(t, "")); err != nil {
		t.Fatal(err)
	}
	html := strings.ToLower(b.String())
	for _, bad := range []string{"<script", "<img", "<link", "<iframe", "<object", "href=", "src=", "@import", "http:", "https:", " style=", "onload", "javascript:"} {
		if strings.Contains(html, bad) {
			t.Errorf("it has %s", bad)
		}
	}
	if !strings.Contains(b.String(), `content="default-src &#39;none&#39;; style-src &#39;sha256-`) {
		t.Error("no policy")
	}
	i, j := strings.Index(b.String(), "<style>"), strings.Index(b.String(), "</style>")
	if got := b.String()[i+len("<style>") : j]; got != style {
		t.Error("the style sheet is not the one that the policy allows")
	}
}

// TestHostileNames: what comes from devices, events and the site file is text.
func TestHostileNames(t *testing.T) {
	for _, x := range []string{
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "'><svg/onload=alert(1)>", "</style><script>alert(1)</script>", "</title><script>alert(1)</script>",
		"{{.Style}}", "javascript:alert(1)", "<!--", "-->", "]]>", "&lt;b&gt;", "\x00\x1b[31m\x7f", "\u202egnp.exe", "\u2028", "<a href=//evil.example>", "\xff\xfe", "`${alert(1)}`", strings.Repeat("W", 50),
	} {
		var b bytes.Buffer
		if err := Write(&b, october(t, x)); err != nil {
			t.Fatalf("%q: %v", x, err)
		}
		html := b.String()
		// Tags are those of the template: as many as without it.
		for _, tag := range []string{"<script", "<img", "<svg/", "<a ", "<!--", "\x00", "\x1b", "\u202e", "\u2028"} {
			if strings.Contains(html, tag) {
				t.Errorf("%q: there is %q", x, tag)
			}
		}
		if n := strings.Count(html, "</style>") + strings.Count(html, "</title>"); n != 2 {
			t.Errorf("%q: %d ends", x, n)
		}
	}
}

// TestBounded: a year of a service that flaps all the time makes a report of a size that
// can be sent.
func TestBounded(t *testing.T) {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s := &story{t: t, start: time.Date(2026, 1, 1, 0, 0, 0, 0, loc)}
	for i := range 20_000 {
		at := s.start.Add(time.Duration(i*26) * time.Minute)
		s.fault("line", "flapping", "It comes and goes.", diagnosis.ISP, at, at.Add(10*time.Minute))
	}
	a, err := sla.New(sla.Config{Name: "x", Period: sla.Year, Services: []sla.Service{{Name: "s", Needs: []string{"line"}}}}, loc)
	if err != nil {
		t.Fatal(err)
	}
	from, to := a.PeriodOf(s.start)
	st := sla.Read(s.records, nil, to.UnixMilli()).State(a, from, to, func(string) time.Duration { return time.Minute })
	var b bytes.Buffer
	if err := Write(&b, Report{Site: "x", Statements: []*sla.Statement{st}}); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 1<<20 {
		t.Errorf("%d octets", b.Len())
	}
	if n := strings.Count(b.String(), `class="name"`); n != 12 {
		t.Errorf("%d rows", n)
	}
}
