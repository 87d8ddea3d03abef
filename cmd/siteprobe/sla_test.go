package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
)

// past is a buffer that a box has left behind.
type past struct {
	t    *testing.T
	st   *store.Store
	n    uint64
	boot byte
	off  int64 // the wall clock's offset, which the box takes for right
	sure bool
}

// put keeps one batch of events at a moment of that boot.
func (p *past) put(source string, at collectors.Stamp, events ...collectors.Event) {
	p.t.Helper()
	err := p.st.Update(func(tx *store.Tx) error {
		sec := block.Section{First: p.n, Batches: []collectors.Batch{{Source: source, At: at, Events: events}}}
		p.n++
		b, err := p.st.Codec().Encode(block.Head{Probe: "t/s", Epoch: uint64(p.boot), Boot: [16]byte{p.boot}, Offset: p.off, Sure: p.sure, Class: block.Events}, []block.Section{sec})
		if err != nil {
			return err
		}
		id, err := tx.Probe("t/s")
		if err != nil {
			return err
		}
		if err := tx.PutEpoch(id, store.Epoch{ID: uint64(p.boot), N: uint64(p.boot), Boot: [16]byte{p.boot}}); err != nil {
			return err
		}
		if err := tx.PutBlock(id, b, false); err != nil {
			return err
		}
		return tx.CorrectTimes(id)
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *past) edge(source string, s incident.State, at, told collectors.Stamp, owner diagnosis.Owner, id string) {
	p.t.Helper()
	p.put(incident.Source, told, incident.Edge{Source: source, State: s, At: at, Owner: owner, Incident: id}.Event(told))
}

const minute = collectors.Stamp(60_000)

// leave makes a site file and the buffer of a November: a box whose clock is two hours
// slow until the 4th, a line that is down twice, a device during maintenance, and a
// box that is off for a while.
func leave(t *testing.T) (site string) {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(filepath.Join(dir, "buffer.db"), store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2025, 10, 31, 23, 0, 0, 0, time.UTC) // midnight in Berlin
	p := &past{t: t, st: st, boot: 1, off: start.UnixMilli() - 2*3600_000 - int64(10*minute)}
	at := func(day, hour, min int) collectors.Stamp {
		return collectors.Stamp((day-1)*1440+hour*60+min)*minute + 10*minute
	}
	p.put(incident.Source, 5*minute, collectors.Event{Kind: incident.StartedEvent})
	for _, s := range []string{"device/sw", "check/web", "line"} {
		p.edge(s, incident.Up, 6*minute, 7*minute, "", "")
	}
	p.edge("line", incident.Down, at(3, 9, 0), at(3, 9, 3), diagnosis.ISP, "line@1")
	p.put(incident.Source, at(3, 9, 3), incident.Change{What: incident.Open, At: at(3, 9, 3), Incident: incident.Incident{ID: "line@1", Key: "line", Kind: incident.KindLine,
		Cause: "ISP_PATH", Owner: diagnosis.ISP, Source: "line", Summary: "The provider's network is down.", Evidence: strings.Repeat("ab", 32), First: at(3, 9, 0), Opened: at(3, 9, 3)}}.Event())
	p.edge("line", incident.Up, at(3, 9, 30), at(3, 9, 33), "", "")
	p.sure, p.off = true, p.off+2*3600_000
	p.put(store.EventSource, at(4, 0, 0), store.NewClockEvent([16]byte{1}, p.off))
	w := incident.Window{ID: "w", Name: "firmware", Scope: []string{"device/sw"}, Start: start.Add(5*24*time.Hour + 12*time.Hour), By: "Ann"}
	w.End, w.Approved = w.Start.Add(time.Hour), w.Start.Add(-48*time.Hour)
	p.put(incident.Source, at(5, 0, 0), w.Events()...)
	p.edge("device/sw", incident.Down, at(6, 12, 15), at(6, 12, 17), diagnosis.MSP, "sw@1")
	p.edge("device/sw", incident.Up, at(6, 13, 20), at(6, 13, 22), "", "") // 20 minutes too late
	p.edge("line", incident.Down, at(8, 10, 0), at(8, 10, 2), diagnosis.ISP, "line@2")
	p.edge("line", incident.Up, at(8, 14, 0), at(8, 14, 2), "", "") // a Saturday
	p.put(incident.Source, at(11, 10, 0), collectors.Event{Kind: incident.StoppedEvent})
	p.put(incident.Source, at(11, 10, 30), collectors.Event{Kind: incident.StartedEvent})
	for _, s := range []string{"device/sw", "check/web", "line"} {
		p.edge(s, incident.Up, at(11, 10, 31), at(11, 10, 32), "", "")
	}
	p.put(incident.Source, at(31, 0, 0), collectors.Event{Kind: "x"})
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	text := `
site: {id: s, tenant: t, timezone: Europe/Berlin, internet: none, wan: {isp: Telekom}, contacts: [{name: "Front <desk>", phone: "+49 30"}]}
scope: {managed: [127.0.0.1]}
devices: [{name: sw, address: 127.0.0.1, ping: true}]
checks: [{name: web, interval: 5m, tcp: {address: "127.0.0.1:80"}}]
agreements:
  - name: office
    target: 99.7
    hours: [mon-fri 08:00-18:00]
    holidays: [2025-11-28]
    services:
      - {name: Internet, needs: [line], target: 99}
      - {name: Web, needs: [device/sw, check/web], target: 99.9}
      - {name: Either, any: [line, check/web]}
  - {name: always, target: 99.9, services: [{name: Internet, needs: [line]}]}
buffer: {path: ` + filepath.Join(dir, "buffer.db") + "}\n"
	site = filepath.Join(dir, "site.yaml")
	if err := os.WriteFile(site, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return site
}

func TestServiceLevels(t *testing.T) {
	site := leave(t)
	code, out, errs := command("sla", "-c", site, "--month", "2025-11", "--agreement", "office", "--json")
	if code != badNews || !strings.Contains(errs, "target is missed") {
		t.Errorf("exit %d, %s", code, errs)
	}
	var got []struct {
		SHA256   string
		Services []struct {
			Name         string
			Availability json.Number `json:"availability_percent"`
			AtLeast      json.Number `json:"at_least_percent"`
			Verdict      string
			Seconds      map[string]float64
			Down         map[string]float64 `json:"down_seconds"`
			Resolution   float64            `json:"resolution_seconds"`
			Outages      []struct {
				From   time.Time
				Agreed float64 `json:"agreed_seconds"`
			}
		}
		Incidents []struct {
			ID   string
			Down float64 `json:"down_seconds"`
		}
		Windows []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got) != 1 || len(got[0].Services) != 3 || len(got[0].SHA256) != 64 {
		t.Fatal(err, out)
	}
	const days = 19 * 10 * 3600 // of 20 with hours one is a holiday
	line, web, either := got[0].Services[0], got[0].Services[1], got[0].Services[2]
	// The clock of the first days is corrected by two hours: else the line would have
	// been down from 7 to 7:30. Saturday does not count.
	if line.Seconds["agreed"] != days || line.Down["isp"] != 1800 || line.Seconds["unmeasured"] != 31*60 || line.Seconds["not_running"] != 1800 || len(line.Outages) != 1 ||
		!line.Outages[0].From.Equal(time.Date(2025, 11, 3, 8, 0, 0, 0, time.UTC)) || line.Verdict != "met" || line.Resolution != 30 {
		t.Errorf("%+v", line)
	}
	if web.Seconds["excluded"] != 3600 || web.Seconds["agreed"] != days-3600 || web.Down["msp"] != 1200 || web.Verdict != "missed" || web.Resolution != 300 {
		t.Errorf("%+v", web)
	}
	if either.Down["isp"] != 0 || either.Availability != "100.00" || either.Verdict != "met" {
		t.Errorf("%+v", either)
	}
	if i := got[0].Incidents; len(i) != 1 || i[0].ID != "line@1" || i[0].Down != 1800 || len(got[0].Windows) != 1 {
		t.Errorf("%+v %+v", i, got[0].Windows)
	}
}

// command runs one command line.
func command(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	root := newRoot(siteFile)
	root.SetArgs(args)
	root.SetOut(&o)
	root.SetErr(&e)
	err := root.Execute()
	var x *exit
	switch {
	case errors.As(err, &x):
		code = x.code
	case err != nil:
		code = usage
	}
	if err != nil {
		fmt.Fprintln(&e, err)
	}
	return code, o.String(), e.String()
}

// TestServiceLevelForms: what a person, a spreadsheet and a printer get.
func TestServiceLevelForms(t *testing.T) {
	site := leave(t)
	code, out, errs := command("sla", "-c", site, "--month", "2025-11")
	for _, want := range []string{"office: November 2025, mon-fri 08:00-18:00 (Europe/Berlin)", "99.7361 %", "met", "missed", "30 min", "20 min", "1 h ", "31 min",
		"not counted against the target: downtime of customer", "always: November 2025, 24x7"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s%s", want, out, errs)
		}
	}
	if code != badNews {
		t.Errorf("exit %d", code)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	_, out, _ = command("sla", "-c", site, "--month", "2025-11", "--csv", "--html", file)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 5 || rows[1][1] != "Internet" || rows[1][2] != "2025-11-01T00:00:00+01:00" {
		t.Error(rows, err)
	}
	html, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(html), "Front &lt;desk&gt;") || strings.Contains(string(html), "<desk>") || !strings.Contains(string(html), strings.Repeat("ab", 32)) {
		t.Errorf("a report of %d bytes (%v)", len(html), err)
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--from 2025-11-04 --to 2025-11-05 --agreement office", 0, "office: 4 November 2025, "},
		{"--from 2025-10-01 --to 2025-11-01 --agreement office", unknown, "nothing of office was measured"},
		{"--month 2025-13", usage, "a month is written as"},
		{"--month 2999-01", usage, "not even begun"},
		{"--agreement gold", usage, "there are: office, always"},
		{"--to 2025-11-04", usage, "--from"},
		{"--from yesterday", usage, "--from: a time is written"},
		{"--csv --json", usage, "csv json"},
	} {
		code, out, errs := command(append([]string{"sla", "-c", site}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: exit %d\n%s%s", c.args, code, out, errs)
		}
	}
}
