package sla

import (
	"testing"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
)

// TestWhatIncidentsSay: polls of a device become edges, and those become minutes. The
// boot clock's stamps are ten million ms behind wall time.
func TestWhatIncidentsSay(t *testing.T) {
	const minute, wall = 60_000, 10_000_000
	f := incident.NewFold(incident.Settings{Boot: "b"})
	f.Apply(incident.Plan{Sources: []incident.Watched{{Source: "device/sw", Kind: incident.KindDevice, Owner: diagnosis.MSP}}})
	schema := &collectors.Schema{Source: "device/sw", Series: []collectors.Series{{Metric: "sysUpTime", Kind: collectors.Gauge}}}
	records := []Record{{T: wall, Event: collectors.Event{Kind: incident.StartedEvent}}}
	for m := collectors.Stamp(0); m < 200; m++ {
		at := m*minute + 1000
		b := collectors.Batch{Source: "device/sw", At: at, Schema: schema, Values: []collectors.Value{collectors.GaugeValue(1)}}
		if m >= 30 && m < 50 || m == 70 { // one poll that is lost is no downtime
			b.Schema, b.Values = nil, nil
			b.Outcome = collectors.Outcome{Result: collectors.Failed, Why: "no answer"}
		}
		f.Observe(&b)
		f.Tick(at + 30_000)
		edges, changes := f.Take()
		for _, e := range edges {
			records = append(records, Record{T: int64(at) + 30_000 + wall, Event: e.Event(at + 30_000)})
		}
		for _, c := range changes {
			records = append(records, Record{T: int64(c.At) + wall, Event: c.Event()})
		}
	}
	a := agree(t, Config{Target: "99", Services: []Service{{Name: "s", Needs: []string{"device/sw"}}}})
	s := Read(records, nil, wall+200*minute).State(a, time.UnixMilli(wall+1000), time.UnixMilli(wall+200*minute), every)
	r := &s.Services[0]
	if r.Down[diagnosis.MSP] != 20*minute || r.Counted != 20*minute || r.Unmeasured != 0 || len(r.Outages) != 1 || r.Outages[0].From != wall+30*minute+1000 {
		t.Errorf("%+v", r)
	}
	if len(s.Incidents) != 1 || s.Incidents[0].Down != 20*minute || s.Incidents[0].Closed != wall+50*minute+1000 || s.Incidents[0].Owner != diagnosis.MSP {
		t.Errorf("%+v", s.Incidents)
	}
}
