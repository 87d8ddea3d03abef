package discovery

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"github.com/siteprobe/siteprobe/collectors"
)

// validName is what a device may be called, as the site file has it.
var validName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// tidy keeps a book within its bounds and throws out what cannot be: the file may have
// been written by anyone, and devices may say anything.
func (b *Book) tidy() {
	b.Version = registryVersion
	ids := map[string]bool{}
	b.Devices = slices.DeleteFunc(b.Devices, func(d Device) bool {
		bad := !d.Address.IsValid() || !validName.MatchString(d.ID) || ids[d.ID] || d.Polled() && !validName.MatchString(d.Name)
		ids[d.ID] = true
		return bad
	})
	for i := range b.Devices {
		b.Devices[i].tidy()
	}
	b.nameApart()
	if len(b.Devices) > MaxDevices { // candidates that were not seen for the longest time go
		slices.SortStableFunc(b.Devices, func(x, y Device) int {
			return cmp.Or(rank(&x)-rank(&y), y.LastSeen.Compare(x.LastSeen))
		})
		b.Devices = b.Devices[:MaxDevices]
	}
	b.tidyTries()
	for i := range b.Untold {
		e := &b.Untold[i]
		e.Kind, e.Text, e.Severity = collectors.Clip(e.Kind, collectors.MaxName), clip(e.Text, collectors.MaxText), min(e.Severity, collectors.Error)
		e.Labels = e.Labels[:min(len(e.Labels), collectors.MaxLabels)]
		for k := range e.Labels {
			l := &e.Labels[k]
			l.Name, l.Value = cmp.Or(collectors.Clip(l.Name, collectors.MaxName), "label"), clip(l.Value, collectors.MaxText)
		}
	}
	b.Untold = slices.DeleteFunc(b.Untold, func(e collectors.Event) bool { return e.Kind == "" })
	if p := b.Sweep; p != nil {
		p.Sightings = p.Sightings[:min(len(p.Sightings), maxSightings)]
		p.Sightings = slices.DeleteFunc(p.Sightings, func(s Sighting) bool { return !s.Address.IsValid() })
		p.Queue = p.Queue[:min(len(p.Queue), maxNeighbours)]
		p.Pending = p.Pending[:min(len(p.Pending), maxSightings)]
		for i := range p.Sightings {
			p.Sightings[i].tidy()
			p.Sightings[i].Link = clip(p.Sightings[i].Link, 32)
		}
	}
}

// nameApart gives a device that is adopted another name where its own is taken: by one
// that has come into the site file.
func (b *Book) nameApart() {
	names := map[string]bool{}
	for _, state := range []State{Listed, Adopted} {
		for i := range b.Devices {
			d := &b.Devices[i]
			if d.State != state {
				continue
			}
			if names[d.Name] && state == Adopted {
				d.Name = unique(d.Name, func(s string) bool { return names[s] || b.used(s, d) })
			}
			names[d.Name] = true
		}
	}
}

// rank orders devices by how much is lost with them.
func rank(d *Device) int {
	switch {
	case d.Polled():
		return 0
	case d.SNMP:
		return 1
	}
	return 2
}

func (d *Device) tidy() {
	switch d.State {
	case Adopted, Listed:
	default:
		d.State, d.Name = Candidate, ""
	}
	d.Others = d.Others[:min(len(d.Others), maxOthers)]
	d.Link, d.Credential = clip(d.Link, 32), clip(d.Credential, 64)
	if collectors.ValidLabels(d.Labels) != nil || d.State != Adopted {
		d.Labels = nil
	}
	d.Missed = min(max(d.Missed, 0), 1<<20)
	d.Facts.tidy()
}

// tidy cuts texts, and cleans them of what drives a terminal.
func (f *Facts) tidy() {
	for _, s := range []*string{&f.SysName, &f.SysObjectID, &f.SysDescr, &f.Profile, &f.Class, &f.Vendor, &f.Model, &f.Serial,
		&f.Firmware, &f.Location, &f.EngineID, &f.MAC} {
		*s = clip(*s, collectors.MaxText)
	}
	f.Modules = f.Modules[:min(len(f.Modules), MaxModules)]
	for i := range f.Modules {
		m := &f.Modules[i]
		for _, s := range []*string{&m.Class, &m.Name, &m.Descr, &m.Vendor, &m.Model, &m.Serial, &m.Hardware, &m.Firmware, &m.Software} {
			*s = clip(*s, collectors.MaxText)
		}
	}
}

// Try is how often credentials were tried at a device that none of them opened.
type Try struct {
	Day    string `json:"day"`    // UTC, as 2026-11-26
	Failed int    `json:"failed"` // on that day
	Next   int    `json:"next"`   // where in the list of credentials to go on
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// left is how many more credentials may be tried at a device today.
func (b *Book) left(device string, most int, now time.Time) int {
	t := b.Tries[device]
	if t.Day != day(now) {
		return most
	}
	return max(0, most-t.Failed)
}

// failed notes a credential that did not open a device.
func (b *Book) failed(device string, now time.Time) {
	t := b.Tries[device]
	if t.Day != day(now) {
		t.Day, t.Failed = day(now), 0
	}
	t.Failed++
	t.Next++
	if b.Tries == nil {
		b.Tries = map[string]Try{}
	}
	b.Tries[device] = t
}

// tidyTries forgets what is bad or oldest where there is too much.
func (b *Book) tidyTries() {
	for k, t := range b.Tries {
		if _, err := time.Parse(time.DateOnly, t.Day); err != nil || len(k) > 128 || t.Failed < 0 || t.Next < 0 {
			delete(b.Tries, k)
		}
	}
	if len(b.Tries) <= maxTries {
		return
	}
	var days []string
	for _, t := range b.Tries {
		days = append(days, t.Day)
	}
	slices.Sort(days)
	limit := days[len(days)-maxTries]
	for k, t := range b.Tries {
		if t.Day < limit || len(b.Tries) > maxTries && t.Day == limit {
			delete(b.Tries, k)
		}
	}
}
