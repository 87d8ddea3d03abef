package incident

import (
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// Kinds of events. Each one counts: none may be left out or joined with another.
const (
	OpenEvent   = "incident_open"
	UpdateEvent = "incident_update"
	CloseEvent  = "incident_close"
	EdgeEvent   = "service_state"
)

// maxAffected bounds the sources that one event names; the count is always whole.
const maxAffected = 8

// Event writes an edge; now is the batch's time.
func (e Edge) Event(now collectors.Stamp) collectors.Event {
	var ls labels
	ls.add("source", e.Source)
	ls.add("state", string(e.State))
	ls.ago("ago_ms", now, e.At)
	ls.add("owner", string(e.Owner))
	ls.add("incident", e.Incident)
	ls.add("why", e.Why)
	text := e.Source + " is " + string(e.State)
	return collectors.Event{Kind: EdgeEvent, Severity: collectors.Info, Text: collectors.Clip(text, collectors.MaxText), Labels: ls}
}

// EdgeOf reads an edge out of an event of a batch at now; ok is false for other events.
func EdgeOf(e *collectors.Event, now collectors.Stamp) (x Edge, ok bool) {
	if e.Kind != EdgeEvent {
		return x, false
	}
	r := read(e.Labels)
	x = Edge{Source: r["source"], State: State(r["state"]), At: r.stamp("ago_ms", now),
		Owner: diagnosis.Owner(r["owner"]), Incident: r["incident"], Why: r["why"]}
	return x, x.Source != "" && (x.State == Up || x.State == Down || x.State == Unknown)
}

// Event writes a change; its batch's time is c.At.
func (c Change) Event() collectors.Event {
	i := &c.Incident
	var ls labels
	ls.add("id", i.ID)
	ls.add("key", i.Key)
	ls.add("kind", string(i.Kind))
	ls.add("cause", i.Cause)
	ls.add("owner", string(i.Owner))
	ls.add("source", i.Source)
	ls.ago("ago_ms", c.At, i.First)
	ls.ago("opened_ago_ms", c.At, i.Opened)
	if c.What == Close {
		ls.ago("closed_ago_ms", c.At, i.Closed)
	}
	ls.add("affected", strconv.Itoa(len(i.Affected)))
	ls.add("sources", strings.Join(i.Affected[:min(len(i.Affected), maxAffected)], "|"))
	ls.add("runbook", i.Runbook)
	ls.add("evidence", i.Evidence)
	ls.add("silenced", i.Silenced)
	return collectors.Event{Kind: "incident_" + c.What, Severity: i.Severity, Text: collectors.Clip(i.Summary, collectors.MaxText), Labels: ls}
}

// ChangeOf reads a change out of an event of a batch at now; ok is false for other
// events. Of the sources affected it has those that the event names; count is how many
// there are.
func ChangeOf(e *collectors.Event, now collectors.Stamp) (c Change, count int, ok bool) {
	switch e.Kind {
	case OpenEvent, UpdateEvent, CloseEvent:
	default:
		return c, 0, false
	}
	r := read(e.Labels)
	c = Change{What: strings.TrimPrefix(e.Kind, "incident_"), At: now, Incident: Incident{
		ID: r["id"], Key: r["key"], Kind: Kind(r["kind"]), Cause: r["cause"], Owner: diagnosis.Owner(r["owner"]),
		Severity: e.Severity, Summary: e.Text, Source: r["source"], Runbook: r["runbook"], Evidence: r["evidence"], Silenced: r["silenced"],
		First: r.stamp("ago_ms", now), Opened: r.stamp("opened_ago_ms", now),
	}}
	if s := r["sources"]; s != "" {
		c.Incident.Affected = strings.Split(s, "|")
	}
	if c.What == Close {
		c.Incident.Closed = r.stamp("closed_ago_ms", now)
	}
	count, _ = strconv.Atoi(r["affected"]) // 0 when somebody wrote something else
	return c, max(count, len(c.Incident.Affected)), c.Incident.ID != ""
}

// labels are those of an event that is being written.
type labels []collectors.Label

func (l *labels) add(name, value string) {
	if value != "" {
		*l = append(*l, collectors.Label{Name: name, Value: collectors.Clip(value, collectors.MaxText)})
	}
}

func (l *labels) ago(name string, now, then collectors.Stamp) {
	l.add(name, strconv.FormatInt(int64(now-then), 10))
}

// values are the labels of an event that is read.
type values map[string]string

func read(ls []collectors.Label) values {
	v := make(values, len(ls))
	for _, l := range ls {
		v[l.Name] = l.Value
	}
	return v
}

// stamp reads how long before now something was; what cannot be read is now.
func (v values) stamp(name string, now collectors.Stamp) collectors.Stamp {
	ago, err := strconv.ParseInt(v[name], 10, 64)
	if err != nil || ago < 0 {
		return now
	}
	return now - collectors.Stamp(ago)
}
