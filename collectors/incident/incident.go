// Package incident makes of thousands of readings the few things that somebody has to
// do something about: incidents, each with a cause, an owner, what it affects, and a
// state that goes open -> update -> close once.
//
// # Edges
//
// Under incidents lie [Edge]s: a source (a device, a check, the line) went up, down, or
// nobody knows. An edge counts once it has held for as long as damping asks for, and is
// dated back to the first evidence. Service levels are computed from edges alone.
//
// # What is watched
//
// A [Plan] says which sources there are, what tells of them, and who stands behind whom;
// [Wiring] adds what topology knows. Without any configuration the devices of the site
// file, checks, ports that lead to other infrastructure, the line and the box itself are
// incidents when they fail; what is marked Quiet (a PC, a printer) never is. Rules make
// incidents of readings: those of the site file, and [Builtin] ones, which hardly ever
// lie.
//
// # Damping
//
// A source is down after two failed polls, at least ten seconds apart, and up after two
// good ones. What the box itself was in the way of (a slot that was skipped, a check
// that is not permitted) is no evidence; without any a source becomes unknown. A source
// that goes down more than three times in an hour is one incident that is flapping, and
// nobody hears of a source more than twice an hour.
//
// # One root
//
// When a source fails, its parents decide what that means. Where all of them are down it
// is unknown, and one of those that their incident affects; where one of them has
// answered since, it is down by itself; until that is known it is held back, one poll of
// its parents at most. If a parent turns out dead later all the same, the child's
// incident is closed as part of the parent's, and nobody is told. A service is down with
// the device that it runs on, of the device's incident. While the box's own link or
// gateway is down nothing is known of any device.
//
// # Maintenance and silences
//
// Both hold back notices: incidents stay what they are, with what silences them. Windows
// are events, too ([Window.Events]): one that was approved before its start does not
// count for the service level.
//
// # As events
//
// Incidents and edges are kept and sent as events of the source [Source], with the labels that
// [Change.Event] and [Edge.Event] write and [ChangeOf] and [EdgeOf] read. Whoever reads
// the events in order has everything: an incident's latest change says all of it.
//
// Times within the box are stamps of its boot clock. An event says of what came before
// it how long before ("ago_ms"), so that a wrong wall clock, once corrected, is corrected
// there, too.
package incident

import (
	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// Source is the source of all events of this package.
const Source = "incident"

// Kind is what an incident is about: a fixed word, which chooses the runbook.
type Kind string

// The kinds.
const (
	KindDevice    Kind = "device_down"
	KindCheck     Kind = "check_down"
	KindPort      Kind = "port_down"
	KindLine      Kind = "line_down" // between this site and the MSP or the internet; the cause is the verdict
	KindThreshold Kind = "threshold" // a rule's
	KindAbsence   Kind = "absence"   // a rule's: a reading that should come does not
	KindHeartbeat Kind = "heartbeat_missed"
	KindSelf      Kind = "self" // the box
	KindFlapping  Kind = "flapping"
)

// Incident is one thing that somebody has to do something about. It is a value: an
// update is another one of the same ID.
type Incident struct {
	ID       string // unique for ever: the key and when it was opened
	Key      string // what it is about; an incident that comes again has it again
	Kind     Kind
	Cause    string // a verdict's code, a rule's name, or the kind
	Owner    diagnosis.Owner
	Severity collectors.Severity
	Summary  string   // one sentence for a person
	Source   string   // the root: "device/core-sw1", "check/mail", "line"
	Affected []string // all sources that it concerns, the root first; those behind it are unknown, not down
	Runbook  string   // the card's name
	Evidence string   // the name under which evidence of it is kept (siteprobe evidence), if there is any
	Silenced string   // who or what holds back notices: a silence's ID or a window's name; empty: nothing

	First  collectors.Stamp // first evidence
	Opened collectors.Stamp // when it was known
	Closed collectors.Stamp // of the evidence that it is over; 0: open
}

// What happened to an incident.
const (
	Open   = "open"
	Update = "update"
	Close  = "close"
)

// Change is an incident that was opened, has changed, or is over.
type Change struct {
	What     string // Open, Update or Close
	At       collectors.Stamp
	Incident Incident
}

// State of a source.
type State string

// The states. Only what is known to be up counts as up.
const (
	Up      State = "up"
	Down    State = "down"
	Unknown State = "unknown" // nobody measured, or what is behind it is what is broken
)

// Edge is a change of a source's state.
type Edge struct {
	Source   string
	State    State
	At       collectors.Stamp // since when: the first evidence
	Owner    diagnosis.Owner  // of a Down
	Incident string           // the ID of a Down's, and of an Unknown's if an incident hides it
	Why      string           // of an Unknown: "start", "stopped", "link", "parent", "not collected"
}
