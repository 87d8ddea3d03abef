package wire

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Status is a box's state, the same on its command line, on its status topic and
// on the hub's page. What is not built yet is null or empty.
type Status struct {
	Site      string     `json:"site"`
	Version   string     `json:"version"`
	Time      string     `json:"time"` // RFC 3339
	Started   string     `json:"started"`
	Online    bool       `json:"online"` // false in the will: the broker says it when the box is gone
	Uplink    Uplink     `json:"uplink"`
	Buffer    Buffer     `json:"buffer"`
	Devices   Devices    `json:"devices"`
	Clock     Clock      `json:"clock"`
	Receivers []Receiver `json:"receivers,omitempty"`
	Verdict   *string    `json:"verdict"`
	Incidents []Incident `json:"incidents"` // those that are open, the worst first
	Trouble   []Trouble  `json:"trouble"`   // what is wrong on the box itself, with what to do
}

// Incident is one that is open.
type Incident struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Cause    string `json:"cause"`
	Owner    string `json:"owner"`    // who has to act: customer, isp, msp, undetermined
	Severity string `json:"severity"` // error, warning, info
	Summary  string `json:"summary"`  // one sentence
	Source   string `json:"source"`   // the root
	Affected int    `json:"affected"` // sources, the root among them
	Since    string `json:"since"`    // RFC 3339: the first evidence
	Silenced string `json:"silenced,omitempty"`
}

// Uplink is the state of the way to the MSP.
type Uplink struct {
	State  string `json:"state"` // "connected", "connecting", "waiting", "not storing", "off"
	Since  string `json:"since"`
	Server string `json:"server"`
	Error  string `json:"error,omitempty"` // of the last attempt, with a hint
	Ack    string `json:"ack"`
	Proved bool   `json:"proved"` // false under ack: broker: nothing shows that readings were stored
}

// Buffer is what waits.
type Buffer struct {
	PendingReadings int64    `json:"pending_readings"`
	PendingBytes    int64    `json:"pending_bytes"`
	Oldest          *string  `json:"oldest"`    // RFC 3339
	DaysLeft        *float64 `json:"days_left"` // of outage, until anything is dropped
	Left            *Left    `json:"days_left_by_tier"`
	UsedBytes       int64    `json:"used_bytes"`
	BudgetBytes     int64    `json:"budget_bytes"`
	Dropped         int64    `json:"dropped_readings"`
}

// Left is for how many days of outage there is room, from now on and at the present
// rate, by how fine the readings are then kept.
type Left struct {
	Raw     float64 `json:"raw"`
	Quarter float64 `json:"15m"`
	Hour    float64 `json:"1h"`
}

// Devices counts devices and those whose last poll gave readings.
type Devices struct {
	Total     int           `json:"total"`
	Answering int           `json:"answering"`
	Waiting   int           `json:"waiting"` // not polled yet since the start
	Found     int           `json:"found"`   // candidates that a credential opens and nobody has adopted
	List      []SourceState `json:"list,omitempty"`
}

// SourceState is the last outcome of one source.
type SourceState struct {
	Source string `json:"source"`
	Result string `json:"result"`
	Why    string `json:"why,omitempty"`
	At     string `json:"at"`
}

// Clock is the box's clock.
type Clock struct {
	Sure bool `json:"sure"`
}

// Receiver is what receives traps or syslog, and how much since the start.
type Receiver struct {
	Name     string `json:"name"`
	Listen   string `json:"listen"`
	Messages uint64 `json:"messages"`
	Events   uint64 `json:"events"`
	Dropped  uint64 `json:"dropped"`
}

// Trouble is one thing that is wrong.
type Trouble struct {
	What string `json:"what"`
	Hint string `json:"hint,omitempty"`
}

// maxListed bounds the sources named in a status message, so that it stays one
// message; those not answering come first.
const maxListed = 200

// maxOpen bounds the incidents named in a status message, likewise.
const maxOpen = 50

// EncodeStatus writes a status as JSON, of at most one message.
func EncodeStatus(s *Status) ([]byte, error) {
	c := *s
	c.Devices.List = c.Devices.List[:min(len(c.Devices.List), maxListed)]
	c.Incidents = c.Incidents[:min(len(c.Incidents), maxOpen)]
	b, err := json.Marshal(&c)
	if err == nil && len(b) > MaxMessage {
		c.Devices.List = nil
		b, err = json.Marshal(&c)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding a status: %w", err)
	}
	return b, nil
}

// DecodeStatus reads a status that may come from anybody.
func DecodeStatus(b []byte) (*Status, error) {
	if len(b) > MaxMessage {
		return nil, errors.New("status is too large")
	}
	var s Status
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, errors.New("status is not the JSON of one")
	}
	return &s, nil
}
