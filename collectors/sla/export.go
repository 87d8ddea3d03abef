package sla

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// WriteCSV writes a line for each service, durations in seconds.
func WriteCSV(w io.Writer, all []*Statement) error {
	c := csv.NewWriter(w)
	head := []string{"agreement", "service", "from", "to", "timezone", "target_percent", "availability_percent", "at_least_percent", "at_most_percent",
		"verdict", "hours_seconds", "agreed_seconds", "up_seconds"}
	for _, o := range Owners() {
		head = append(head, "down_"+string(o)+"_seconds")
	}
	head = append(head, "counted_seconds", "excluded_seconds", "unmeasured_seconds", "outages", "longest_seconds", "resolution_seconds", "sha256")
	if err := c.Write(head); err != nil {
		return err
	}
	for _, s := range all {
		for i := range s.Services {
			if err := c.Write(s.row(&s.Services[i])); err != nil {
				return err
			}
		}
	}
	c.Flush()
	return c.Error()
}

func (s *Statement) row(r *Result) []string {
	target, longest := "", int64(0)
	if r.Target != 0 {
		target = Percent(r.Target)
	}
	if o := r.Longest(); o != nil {
		longest = o.Agreed
	}
	row := []string{cell(s.Agreement.Name), cell(r.Service), s.From.Format(time.RFC3339), s.To.Format(time.RFC3339), s.Agreement.loc.String(), target,
		number(r.Availability()), number(r.AtLeast()), number(r.AtMost()), string(r.Verdict()), seconds(r.Hours), seconds(r.Agreed()), seconds(r.Up)}
	for _, o := range Owners() {
		row = append(row, seconds(r.Down[o]))
	}
	return append(row, seconds(r.Counted), seconds(r.Excluded), seconds(r.Unmeasured), strconv.Itoa(len(r.Outages)), seconds(longest),
		seconds(r.Resolution.Milliseconds()), s.Hash)
}

// cell keeps a spreadsheet from taking a name for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

func seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64) }

func number(x Ratio) string {
	if x.Of <= 0 {
		return ""
	}
	return x.Percent()
}

// The JSON form of a statement. Scripts rely on its keys.
type (
	statementJSON struct {
		Agreement string         `json:"agreement"`
		Title     string         `json:"title"`
		From      time.Time      `json:"from"`
		To        time.Time      `json:"to"`
		Timezone  string         `json:"timezone"`
		Hours     Hours          `json:"hours"`
		Holidays  []string       `json:"holidays"`
		Counts    []string       `json:"counts"`
		Services  []serviceJSON  `json:"services"`
		Incidents []incidentJSON `json:"incidents"`
		Windows   []windowJSON   `json:"windows"`
		Unsure    int            `json:"clock_unsure_events"`
		Hash      string         `json:"sha256"`
	}
	serviceJSON struct {
		Name         string                      `json:"name"`
		Sources      []string                    `json:"sources"`
		Target       json.Number                 `json:"target_percent,omitempty"`
		Availability json.Number                 `json:"availability_percent,omitempty"` // none where nothing was measured
		AtLeast      json.Number                 `json:"at_least_percent,omitempty"`
		AtMost       json.Number                 `json:"at_most_percent,omitempty"`
		Verdict      Verdict                     `json:"verdict"`
		Seconds      map[string]float64          `json:"seconds"` // hours, agreed, up, counted, excluded, unmeasured, not_running, hidden
		Down         map[diagnosis.Owner]float64 `json:"down_seconds"`
		Resolution   float64                     `json:"resolution_seconds"`
		Outages      []outageJSON                `json:"outages"`
	}
	outageJSON struct {
		From      time.Time         `json:"from"`
		To        time.Time         `json:"to"`
		Agreed    float64           `json:"agreed_seconds"`
		Owners    []diagnosis.Owner `json:"owners"`
		Incidents []string          `json:"incidents"`
	}
	incidentJSON struct {
		ID       string          `json:"id"`
		Cause    string          `json:"cause"`
		Owner    diagnosis.Owner `json:"owner"`
		Summary  string          `json:"summary"`
		From     time.Time       `json:"from"`
		Opened   time.Time       `json:"opened"`
		Closed   *time.Time      `json:"closed"` // null: open
		Down     float64         `json:"down_seconds"`
		Services []string        `json:"services"`
		Evidence string          `json:"evidence,omitempty"`
	}
	windowJSON struct {
		ID       string    `json:"id"`
		Name     string    `json:"name"`
		From     time.Time `json:"from"`
		To       time.Time `json:"to"`
		Approved time.Time `json:"approved"`
		By       string    `json:"by,omitempty"`
		Sources  []string  `json:"sources"` // empty: the whole site
	}
)

// WriteJSON writes an array of statements, durations in seconds.
func WriteJSON(w io.Writer, all []*Statement) error {
	out := make([]statementJSON, 0, len(all))
	for _, s := range all {
		out = append(out, s.json())
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(out)
}

func (s *Statement) json() statementJSON {
	a := s.Agreement
	at := func(ms int64) time.Time { return time.UnixMilli(ms).In(a.loc) }
	out := statementJSON{Agreement: a.Name, Title: a.Title, From: s.From, To: s.To, Timezone: a.loc.String(), Hours: a.Hours, Holidays: some(a.Holidays),
		Counts: a.Counts, Services: []serviceJSON{}, Incidents: []incidentJSON{}, Windows: []windowJSON{}, Unsure: s.Unsure, Hash: s.Hash}
	if len(out.Hours) == 0 {
		out.Hours = Hours{always}
	}
	for i := range s.Services {
		out.Services = append(out.Services, s.Services[i].json(at))
	}
	for _, x := range s.Incidents {
		i := incidentJSON{ID: x.ID, Cause: x.Cause, Owner: x.Owner, Summary: x.Summary, From: at(x.First), Opened: at(x.Opened),
			Down: float64(x.Down) / 1000, Services: some(x.Services), Evidence: x.Evidence}
		if x.Closed != 0 {
			t := at(x.Closed)
			i.Closed = &t
		}
		out.Incidents = append(out.Incidents, i)
	}
	for _, x := range s.Windows {
		out.Windows = append(out.Windows, windowJSON{x.ID, x.Name, at(x.From), at(x.To), x.Approved.In(a.loc), x.By, some(x.Scope)})
	}
	return out
}

func (r *Result) json(at func(int64) time.Time) serviceJSON {
	sec := func(ms int64) float64 { return float64(ms) / 1000 }
	out := serviceJSON{Name: r.Service, Sources: r.Sources, Verdict: r.Verdict(), Resolution: r.Resolution.Seconds(), Down: map[diagnosis.Owner]float64{}, Outages: []outageJSON{},
		Availability: json.Number(number(r.Availability())), AtLeast: json.Number(number(r.AtLeast())), AtMost: json.Number(number(r.AtMost())),
		Seconds: map[string]float64{"hours": sec(r.Hours), "agreed": sec(r.Agreed()), "up": sec(r.Up), "counted": sec(r.Counted), "excluded": sec(r.Excluded),
			"unmeasured": sec(r.Unmeasured), "not_running": sec(r.NotRunning), "hidden": sec(r.Hidden)}}
	if r.Target != 0 {
		out.Target = json.Number(Percent(r.Target))
	}
	for _, o := range Owners() {
		out.Down[o] = sec(r.Down[o])
	}
	for _, o := range r.Outages {
		out.Outages = append(out.Outages, outageJSON{at(o.From), at(o.To), sec(o.Agreed), o.Owners, some(o.Incidents)})
	}
	return out
}

func some(s []string) []string { return append([]string{}, s...) }
