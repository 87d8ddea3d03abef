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
