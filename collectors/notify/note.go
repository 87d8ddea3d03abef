package notify

import (
	"slices"
	"strings"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/incident"
)

// maxAffected bounds the sources that a message names; the count is always whole.
const maxAffected = 20

// Note is an incident as a message tells it, and as it is kept until then.
type Note struct {
	ID       string              `json:"id"`
	Key      string              `json:"key"`
	Kind     incident.Kind       `json:"kind"`
	Cause    string              `json:"cause"`
	Owner    diagnosis.Owner     `json:"owner"`
	Severity collectors.Severity `json:"severity"`
	Summary  string              `json:"summary"`
	Source   string              `json:"source"`
	Affected []string            `json:"affected"` // the first of them
	Count    int                 `json:"count"`    // of all affected
	Runbook  string              `json:"runbook"`
	Evidence string              `json:"evidence"`
	Over     bool                `json:"over"`

	// Times by the wall clock as it was known when they were last worked out; not Sure
	// while nothing vouched for it.
	First  time.Time `json:"first"`
	Closed time.Time `json:"closed,omitzero"`
	Sure   bool      `json:"sure"`

	silenced bool
	live     bool // the stamps below are of this boot
	first    collectors.Stamp
	closed   collectors.Stamp
}

// noteOf takes from a change what is told of it, within bounds.
func noteOf(c incident.Change) Note {
	i := &c.Incident
	n := Note{ID: i.ID, Key: i.Key, Kind: i.Kind, Cause: i.Cause, Owner: i.Owner, Severity: i.Severity, Summary: i.Summary, Source: i.Source,
		Affected: slices.Clone(i.Affected[:min(len(i.Affected), maxAffected)]), Count: len(i.Affected), Runbook: i.Runbook, Evidence: i.Evidence,
		Over: c.What == incident.Close, silenced: i.Silenced != "", live: true, first: i.First, closed: i.Closed}
	n.bound()
	return n
}

// bound cuts what is too long, and what is no text.
func (n *Note) bound() {
	for _, s := range []*string{&n.ID, &n.Key, (*string)(&n.Kind), &n.Cause, (*string)(&n.Owner), &n.Summary, &n.Source, &n.Runbook, &n.Evidence} {
		*s = collectors.Clip(*s, collectors.MaxText)
	}
	n.Affected = n.Affected[:min(len(n.Affected), maxAffected)]
	for i := range n.Affected {
		n.Affected[i] = collectors.Clip(n.Affected[i], collectors.MaxText)
	}
	n.Count = max(n.Count, len(n.Affected))
	n.Severity = min(n.Severity, collectors.Error)
}

// Clock is the box's clock; *host.Clock is one.
type Clock interface {
	Now() collectors.Stamp
	// Offset returns the wall time in milliseconds since 1970 less that of the boot
	// clock, and whether it can be relied on.
	Offset() (ms int64, sure bool)
}

// date works the times out, by the clock as it is known now: it may have been corrected.
func (n *Note) date(c Clock) {
	if !n.live {
		return
	}
	offset, sure := c.Offset()
	n.First, n.Sure = time.UnixMilli(offset+int64(n.first)).UTC(), sure
	if n.Over {
		n.Closed = time.UnixMilli(offset + int64(n.closed)).UTC()
	}
}

// nameOf is the source without the word before it: core-sw1 of device/core-sw1. A
// source of one word, such as the line, has no name.
func nameOf(source string) string {
	_, name, _ := strings.Cut(source, "/")
	return name
}
