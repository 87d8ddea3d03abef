package discovery

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// Taken tells whether a name is used by a device that the registry does not know: one
// of the site file.
type Taken func(name string) bool

// Find gives the devices that a person may mean by a text: a name, a sysName, an
// address or an ID.
func (b *Book) Find(text string) (out []*Device) {
	addr, _ := netip.ParseAddr(text)
	for i := range b.Devices {
		if d := &b.Devices[i]; d.ID == text || d.Name != "" && d.Name == text || addr.IsValid() && slices.Contains(d.addresses(), addr) {
			out = append(out, d)
		}
	}
	if len(out) > 0 {
		return out
	}
	for i := range b.Devices {
		if d := &b.Devices[i]; d.State == Candidate && d.SysName != "" && (d.SysName == text || sanitised(d.SysName) == text) {
			out = append(out, d)
		}
	}
	return out
}

// one is Find where exactly one is wanted.
func (b *Book) one(text string) (*Device, error) {
	found := b.Find(text)
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no device %q is known; siteprobe discover looks for devices, siteprobe inventory shows them", clip(text, 64))
	case 1:
		return found[0], nil
	}
	by := "address"
	var addresses, ids []string
	for _, d := range found {
		if slices.Contains(addresses, d.Address.String()) {
			by = "ID"
		}
		addresses, ids = append(addresses, d.Address.String()), append(ids, d.ID+" ("+clip(d.Title(), 64)+")")
	}
	if by == "ID" {
		addresses = ids
	}
	return nil, fmt.Errorf("%q are %d devices; name one by its %s: %s", clip(text, 64), len(found), by, strings.Join(addresses, ", "))
}

// Adopt has a candidate polled from now on, under the name as or, where that is empty,
// its sysName made fit to be one. It returns the device.
func (b *Book) Adopt(text, as string, taken Taken) (*Device, error) {
	d, err := b.one(text)
	if err != nil {
		return nil, err
	}
	switch d.State {
	case Listed:
		return nil, fmt.Errorf("%s is in the site file already", d.Title())
	case Adopted:
		if as == "" || as == d.Name {
			return d, nil
		}
	}
	name := as
	switch {
	case as == "":
		name = b.nameFor(d, taken)
	case !validName.MatchString(as):
		return nil, fmt.Errorf("the name %q is not 1 to 64 letters, digits, dots, - and _", clip(as, 64))
	case b.used(as, d) || taken(as):
		return nil, fmt.Errorf("there is a device %q already", as)
	}
	d.State, d.Name = Adopted, name
	return d, nil
}

// Adoptable tells whether a device waits to be adopted: a candidate that is there and
// that a credential opens.
func (d *Device) Adoptable() bool {
	return d.State == Candidate && d.SNMP && d.Credential != "" && !d.Gone
}

// Label gives an adopted device labels, such as its contract or its number in a CMDB,
// beside those that it has; an empty value takes one away.
func (d *Device) Label(labels map[string]string) error {
	all := maps.Clone(d.Labels)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, labels)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	if err := collectors.ValidLabels(all); err != nil {
		return err
	}
	d.Labels = all
	return nil
}

// Follow has an adopted device polled at the address where it was found.
func (b *Book) Follow(text string) (*Device, error) {
	d, err := b.one(text)
	switch {
	case err != nil:
		return nil, err
	case d.State == Listed:
		return nil, fmt.Errorf("%s is in the site file: change its address there", d.Title())
	case d.State != Adopted:
		return nil, fmt.Errorf("%s is not adopted: siteprobe adopt %s", d.Title(), d.Address)
	case !d.Found.IsValid():
		return nil, fmt.Errorf("%s was found at no other address than %s", d.Title(), d.Address)
	}
	d.Address, d.Found = d.Found, netip.Addr{}
	return d, nil
}

// Forget takes a device out of the registry: an adopted one is no longer polled. One
// that is still there is a candidate again after the next sweep.
func (b *Book) Forget(text string) (Device, error) {
	d, err := b.one(text)
	if err != nil {
		return Device{}, err
	}
	if d.State == Listed {
		return Device{}, fmt.Errorf("%s is in the site file: take it out there", d.Title())
	}
	out := *d
	b.Devices = slices.DeleteFunc(b.Devices, func(x Device) bool { return x.ID == out.ID })
	return out, nil
}

// Policy says what becomes of candidates. In the site file a word may stand alone:
// ask, or auto, which takes all that answer SNMP with a credential.
type Policy struct {
	Mode    string   `yaml:"mode"`    // Ask (unless set) or Auto
	Classes []string `yaml:"classes"` // auto takes these only, such as switch, ups
	Vendors []string `yaml:"vendors"` // auto takes these only, as profiles name them
	Follow  bool     `yaml:"follow"`  // an adopted device that has moved is polled at its new address
}

// The modes of a policy.
const (
	Ask  = "ask"
	Auto = "auto"
)

// Validate reports the first setting that cannot work.
func (p Policy) Validate() error {
	switch p.Mode {
	case "", Ask, Auto:
	default:
		return fmt.Errorf("mode: %q is neither %s nor %s", clip(p.Mode, 32), Ask, Auto)
	}
	if p.Mode == Ask && len(p.Classes)+len(p.Vendors) > 0 {
		return errors.New("mode: ask takes none by itself, so classes and vendors have no use")
	}
	return nil
}

// auto tells whether any device is taken without being asked for. To name classes or
// vendors is to want that.
func (p Policy) auto() bool {
	return p.Mode == Auto || p.Mode == "" && len(p.Classes)+len(p.Vendors) > 0
}

// Wants tells whether the policy takes a candidate.
func (p Policy) Wants(d *Device) bool {
	named := func(list []string, what string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, what) })
	}
	return p.auto() && d.State == Candidate && d.SNMP && d.Credential != "" && !d.Gone && named(p.Classes, d.Class) && named(p.Vendors, d.Vendor)
}

// takeWanted adopts what a policy wants.
func (b *Book) takeWanted(p Policy, taken Taken) (out []Change) {
	for i := range b.Devices {
		if d := &b.Devices[i]; p.Wants(d) {
			d.Name = b.nameFor(d, taken)
			d.State = Adopted
			out = append(out, Change{Kind: DeviceAdopted, Device: *d})
		}
	}
	return out
}

// nameFor makes a name for a device that no other has.
func (b *Book) nameFor(d *Device, taken Taken) string {
	base := cmp.Or(sanitised(d.SysName), sanitised(d.Vendor+"-"+d.Address.String()))
	return unique(base, func(name string) bool { return b.used(name, d) || taken(name) })
}

// unique puts a number behind a name until it is not used.
func unique(base string, used func(string) bool) string {
	name := base
	for n := 2; used(name); n++ {
		suffix := "-" + strconv.Itoa(n)
		name = base[:min(len(base), 64-len(suffix))] + suffix
	}
	return name
}

// used tells whether another device of the registry has the name.
func (b *Book) used(name string, but *Device) bool {
	return slices.ContainsFunc(b.Devices, func(o Device) bool { return o.ID != but.ID && o.Polled() && o.Name == name })
}

// sanitised makes a name out of what a device says: what may not be in a name becomes
// a dash, a domain stays.
func sanitised(s string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '-'
	}, s)
	out = strings.Trim(out, "-.")
	return strings.TrimRight(out[:min(len(out), 64)], "-.")
}
