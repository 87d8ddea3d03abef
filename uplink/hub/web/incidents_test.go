package web

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
	"github.com/siteprobe/siteprobe/uplink/wire"
)

// change is an event about an incident, some time ago.
func (w *world) change(what string, ago time.Duration, i incident.Incident) collectors.Batch {
	at := collectors.Stamp(w.now.Add(-ago).UnixMilli())
	c := incident.Change{What: what, At: at, Incident: i}
	return collectors.Batch{Source: incident.Source, At: at, Events: []collectors.Event{c.Event()}}
}

func (w *world) stamp(ago time.Duration) collectors.Stamp {
	return collectors.Stamp(w.now.Add(-ago).UnixMilli())
}

func TestIncidents(t *testing.T) {
	w := newWorld(t)
	core := incident.Incident{ID: "core@1", Key: "device/core", Kind: incident.KindDevice, Cause: "device_down", Owner: diagnosis.Customer, Severity: collectors.Error,
		Summary: "core <b>does not answer</b>.", Source: "device/core", Affected: []string{"device/core", "device/nvr"}, First: w.stamp(20 * time.Minute), Opened: w.stamp(18 * time.Minute)}
	line := incident.Incident{ID: "line@1", Key: "line", Kind: incident.KindLine, Cause: "ISP_PATH", Owner: diagnosis.ISP, Severity: collectors.Error,
		Summary: "The provider's network is down.", Source: "line", Affected: []string{"line"}, First: w.stamp(5 * time.Hour), Opened: w.stamp(5 * time.Hour)}
	over := line
	over.Closed = w.stamp(3 * time.Hour)
	w.send(berlin, block.Events, w.change(incident.Open, 5*time.Hour, line), w.change(incident.Close, 3*time.Hour, over),
		w.change(incident.Open, 18*time.Minute, core), w.change(incident.Update, 10*time.Minute, core))

	page := w.page("/site/northwind/acme-berlin")
	for _, want := range []string{"core <b>does not answer</b>.", "ISP_PATH", "customer", "2 h", "20 min"} {
		if !strings.Contains(strings.ReplaceAll(page, narrow, " "), want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
	_, body := w.get("/api/v1/sites/northwind/acme-berlin/incidents")
	var got []incidentJSON
	w.must(json.Unmarshal([]byte(body), &got))
	if len(got) != 2 || got[0].ID != "core@1" || got[0].Closed != nil || got[0].Affected != 2 || got[0].Since != stamp(w.now.Add(-20*time.Minute)) ||
		got[1].Closed == nil || *got[1].Closed != stamp(w.now.Add(-3*time.Hour)) {
		t.Errorf("%s", body)
	}
	if code, _ := w.get("/api/v1/sites/northwind/nowhere/incidents"); code != 404 {
		t.Errorf("a site that there is not: %d", code)
	}
}

func TestOpenIncidents(t *testing.T) {
	w := newWorld(t)
	if page := w.page("/incidents"); !strings.Contains(page, "Nothing is open") {
		t.Error(page)
	}
	w.say(berlin, wire.Status{Time: w.ago(0), Online: true, Incidents: []wire.Incident{
		{ID: "a", Cause: "device_down", Owner: "customer", Severity: "warning", Summary: "nvr does not answer.", Source: "device/nvr", Affected: 1, Since: w.ago(time.Hour)},
		{ID: "b", Cause: "ISP_PATH", Owner: "isp", Severity: "error", Summary: "The provider's network is down.", Source: "line", Affected: 3, Since: w.ago(2 * time.Hour)},
	}})
	page := w.page("/incidents")
	if i, j := strings.Index(page, "ISP_PATH"), strings.Index(page, "nvr does not answer"); i < 0 || j < i {
		t.Errorf("the worst is to come first:\n%s", page)
	}
	if page := w.page("/incidents?owner=isp"); strings.Contains(page, "nvr") || !strings.Contains(page, "ISP_PATH") {
		t.Errorf("only the provider's:\n%s", page)
	}
	if page := w.page("/incidents?q=nowhere"); !strings.Contains(page, "None like that among 2") {
		t.Error(page)
	}
	if code, _ := w.get("/incidents?owner=<x>"); code != 400 {
		t.Errorf("an owner that there is not: %d", code)
	}
	if _, body := w.get("/metrics"); !strings.Contains(body, `siteprobe_hub_incidents_open{tenant="northwind",site="acme-berlin"} 2`) {
		t.Error(body)
	}
	if page := w.page("/"); !strings.Contains(page, "2 open incidents") {
		t.Error(page)
	}
}
