package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/statefile"
)

// FileName is that of what waits, in the data folder.
const FileName = "notices.json"

const (
	stateVersion = 1
	maxState     = 8 << 20 // bytes
)

// state is the file. Instants are kept as how long ago they were when it was written:
// the boot clock begins anew with every boot, and the wall clock may be wrong. The time
// in which the box was off does not count.
type state struct {
	Version int                  `json:"version"`
	Notices map[string]deskState `json:"notices"` // by name
}

type deskState struct {
	Pending []pendingState       `json:"pending"`
	Told    map[string]toldState `json:"told"`
	Sent    []int64              `json:"sent_ago_ms"`
	Lost    int                  `json:"lost,omitempty"`
}

type pendingState struct {
	Note   Note `json:"note"`
	Missed int  `json:"missed,omitempty"`
	Tries  int  `json:"tries,omitempty"`
}

type toldState struct {
	told
	Ago []int64 `json:"ago_ms"` // of told.At
}

// save writes the file. What cannot be written is logged: notices go on.
func (n *Notifier) save() {
	if n.opt.File == "" {
		return
	}
	data, err := n.state()
	if err == nil {
		err = statefile.Replace(n.opt.File, data)
	}
	if err != nil && n.opt.Log != nil {
		n.opt.Log.Warn("keeping what notices wait", "error", err)
	}
}

// state is what the file is to hold.
func (n *Notifier) state() ([]byte, error) {
	s := state{Version: stateVersion, Notices: map[string]deskState{}}
	n.mu.Lock()
	now := n.opt.Clock.Now()
	for _, l := range n.lanes {
		s.Notices[l.cfg.Name] = l.desk.state(now, n.opt.Clock)
	}
	n.mu.Unlock()
	return json.Marshal(s)
}

func agoOf(now collectors.Stamp, at []collectors.Stamp) (out []int64) {
	for _, a := range at {
		out = append(out, int64(now-a))
	}
	return out
}

func stampsOf(now collectors.Stamp, ago []int64, most int) (out []collectors.Stamp) {
	for _, a := range ago[max(0, len(ago)-most):] {
		if a = max(a, 0); len(out) > 0 { // in order, whoever wrote the file
			out = append(out, max(out[len(out)-1], now-collectors.Stamp(a)))
		} else {
			out = append(out, now-collectors.Stamp(a))
		}
	}
	return out
}

func (d *desk) state(now collectors.Stamp, c Clock) deskState {
	s := deskState{Told: map[string]toldState{}, Sent: agoOf(now, d.sent), Lost: d.lost}
	for _, p := range d.pending {
		p.Note.date(c)
		s.Pending = append(s.Pending, pendingState{p.Note, p.Missed, p.tries})
	}
	for k, t := range d.told {
		s.Told[k] = toldState{told: t, Ago: agoOf(now, t.At)}
	}
	return s
}

// load reads the file. Notices that the site file has no more are forgotten.
func (n *Notifier) load() error {
	if n.opt.File == "" {
		return nil
	}
	data, err := statefile.Read(n.opt.File, maxState)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		err = n.restore(data)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", FileName, err)
	}
	return nil
}

// restore takes up what a file holds.
func (n *Notifier) restore(data []byte) error {
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	if s.Version != stateVersion {
		return fmt.Errorf("it is of version %d, not %d", s.Version, stateVersion)
	}
	now := n.opt.Clock.Now()
	for _, l := range n.lanes {
		l.desk.restore(s.Notices[l.cfg.Name], now)
	}
	return nil
}

func (d *desk) restore(s deskState, now collectors.Stamp) {
	for k, t := range s.Told {
		t.told.At = stampsOf(now, t.Ago, perKey)
		if len(t.told.At) > 0 && k != "" {
			d.told[k] = t.told
		}
	}
	for _, p := range s.Pending {
		if p.Note.ID == "" || p.Note.Key == "" || d.find(p.Note.Key) >= 0 {
			continue
		}
		p.Note.bound()
		d.seq++
		d.pending = append(d.pending, &pending{Note: p.Note, Missed: max(p.Missed, 0), tries: max(p.Tries, 0), seq: d.seq})
	}
	d.sent = stampsOf(now, s.Sent, maxPerHour)
	d.lost = max(s.Lost, 0)
	d.bound()
}
