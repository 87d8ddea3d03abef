package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/statefile"
)

const (
	stateVersion = 1
	maxState     = 8 << 20 // bytes of the file
	maxOpen      = 5000    // incidents that are kept over a restart
)

// kept is what is kept over a restart.
type kept struct {
	Version   int              `json:"version"`
	Boot      string           `json:"boot"`
	Saved     collectors.Stamp `json:"saved"`
	Wall      int64            `json:"wall"` // Unix ms, of Saved; 0: not known
	Incidents []Incident       `json:"incidents"`
	Silences  []Silence        `json:"silences"`
	Windows   []Window         `json:"windows"` // said at the box
	Told      []Window         `json:"told"`    // that there is an event of: one that is gone after a restart is called off
}

// readState reads what was kept. Where the box was started anew since, stamps are moved
// to this boot's clock: by how long it was off, as far as that is known.
func readState(path, boot string, now collectors.Stamp, wall int64) (k kept, err error) {
	b, err := statefile.Read(path, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err == nil && (k.Version != stateVersion || len(k.Incidents) > maxOpen) {
		err = errors.New("it is another version's")
	}
	if err != nil {
		return kept{}, fmt.Errorf("reading the open incidents: %w", err)
	}
	shift := collectors.Stamp(0)
	if k.Boot != boot {
		shift = now - k.Saved
		if k.Wall != 0 && wall > k.Wall {
			shift -= collectors.Stamp(wall - k.Wall)
		}
	}
	k.Incidents = slices.DeleteFunc(k.Incidents, func(i Incident) bool {
		return i.ID == "" || i.Key == "" || i.Severity > collectors.Error || i.Closed != 0
	})
	for i := range k.Incidents {
		x := &k.Incidents[i]
		x.First, x.Opened = min(x.First+shift, now), min(x.Opened+shift, now)
	}
	return k, nil
}

func (k *kept) write(path string) error {
	k.Version = stateVersion
	k.Incidents = k.Incidents[:min(len(k.Incidents), maxOpen)]
	b, err := json.Marshal(k)
	if err == nil {
		err = statefile.Replace(path, b)
	}
	if err != nil {
		return fmt.Errorf("keeping the open incidents: %w", err)
	}
	return nil
}

// tidy drops what is over.
func (k *kept) tidy(now time.Time) {
	k.Silences = slices.DeleteFunc(k.Silences, func(s Silence) bool { return !s.Until.After(now) })
	k.Windows = slices.DeleteFunc(k.Windows, func(w Window) bool { return !w.End.After(now) })
	k.Told = slices.DeleteFunc(k.Told, func(w Window) bool { return !w.End.After(now) })
}
