package config

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
)

// check looks at what the decoded values mean, each part only if it could be
// decoded: one mistake is to be one message.
func (p *parsing) check(s *Site) {
	p.section("site", s.Info)
	p.section("scope", s.Scope)
	p.section("defaults", s.Defaults)
	p.section("topology", s.Topology)
	p.section("diagnosis", s.Diagnosis)
	p.section("clock", s.Clock)
	p.section("buffer", s.Buffer)
	p.section("uplink", s.Uplink)
	p.section("metrics", s.Metrics)
	p.section("discovery", s.Discovery)
	p.section("traps", s.Traps)
	p.section("syslog", s.Syslog)
	p.section("heartbeats", s.Heartbeats)
	p.section("limits", s.Limits)
	for i, c := range s.Info.Contacts {
		contacts := p.root.get("site").get("contacts")
		p.valid(contacts.item(i), itemPath("site.contacts", contacts.item(i), i), c)
	}

	if n := p.root.get("profiles"); p.sound(n) && !filepath.IsAbs(s.Profiles) {
		p.errorAt(n, "profiles", "must be an absolute path: the folder of the user's device profiles")
	}
	credentials := p.names("credentials", len(s.Credentials), func(i int) string { return s.Credentials[i].Name })
	devices := p.names("devices", len(s.Devices), func(i int) string { return s.Devices[i].Name })
	checks := p.names("checks", len(s.Checks), func(i int) string { return s.Checks[i].Name })

	for i, c := range s.Credentials {
		p.credential(credentials.node.item(i), credentials.path(i), c)
	}
	p.known(p.root.get("defaults").get("credentials"), "defaults.credentials", s.Defaults.Credentials, credentials, "credential")
	p.known(p.root.get("discovery").get("credentials"), "discovery.credentials", s.Discovery.Credentials, credentials, "credential")
	checked := map[string]bool{}
	for i, c := range s.Checks {
		n := checks.node.item(i)
		checked[c.Device] = true
		p.valid(n, checks.path(i), c)
		if c.Device != "" {
			p.known(n.get("device"), join(checks.path(i), "device"), []string{c.Device}, devices, "device")
		}
	}
	for _, j := range s.Heartbeats.Jobs {
		checked[j.Device] = true
	}
	for i, d := range s.Devices {
		p.device(s, devices.node.item(i), devices.path(i), d, checked[d.Name])
		p.known(devices.node.item(i).get("credentials"), join(devices.path(i), "credentials"), d.Credentials, credentials, "credential")
		if d.Parent != "" {
			p.known(devices.node.item(i).get("parent"), join(devices.path(i), "parent"), []string{d.Parent}, devices, "device")
		}
	}
	p.agreements(s, devices, checks)
	p.heartbeats(s, devices)
	p.notices(s)
	p.incidents(s, devices, checks)
	p.inScope(s, devices, checks)
	p.loops(s, devices)
	p.twins(s, devices)
}

// heartbeats checks the jobs that are to report.
func (p *parsing) heartbeats(s *Site, devices named) {
	n := p.root.get("heartbeats").get("jobs")
	seen := map[string]bool{}
	for i, j := range s.Heartbeats.Jobs {
		item, path := n.item(i), itemPath("heartbeats.jobs", n.item(i), i)
		p.valid(item, path, j)
		if seen[j.Name] && j.Name != "" {
			p.errorAt(item, path, "the name is used twice")
		}
		seen[j.Name] = true
		if j.Device != "" {
			p.known(item.get("device"), join(path, "device"), []string{j.Device}, devices, "device")
		}
	}
}

// validator is what each section's type is.
type validator interface{ Validate() error }

// section validates one section of the top level. One that is missing has its
// defaults, which are valid, or is reported at the file's beginning.
func (p *parsing) section(key string, v validator) {
	n := p.root.get(key)
	if n == nil {
		n = &node{at: pos{line: 1, column: 1}}
	}
	p.valid(n, key, v)
}

// valid asks a worker whether its settings can work.
func (p *parsing) valid(n *node, path string, v validator) {
	if p.sound(n) {
		p.placed(n, path, v.Validate())
	}
}

// named is a list whose items have names.
type named struct {
	key   string
	node  *node
	names []string       // of all items, in the list's order
	first map[string]int // the first item of each name
}

func (n named) path(i int) string { return itemPath(n.key, n.node.item(i), i) }

// names checks the names of a list's items and that each is there once.
func (p *parsing) names(key string, count int, nameOf func(int) string) named {
	out := named{key: key, node: p.root.get(key), first: map[string]int{}}
	for i := range count {
		item := out.node.item(i)
		of, at := nameOf(i), item.get("name")
		out.names = append(out.names, of)
		first, twice := out.first[of]
		switch {
		case at == nil && p.sound(item):
			p.errorAt(item, join(out.path(i), "name"), "is missing")
		case at == nil || !p.sound(at):
		case !name.MatchString(of):
			p.errorAt(at, join(out.path(i), "name"), "must be 1 to 64 letters, digits, dots, - and _")
		case twice:
			p.errorAt(at, join(out.path(i), "name"), "is used twice, first at %s", p.place(out.node.item(first).get("name").at))
		default:
			out.first[of] = i
		}
	}
	return out
}

// known checks that refs, which stand at n (one value or a list), name items of
// all.
func (p *parsing) known(n *node, path string, refs []string, all named, what string) {
	if !p.sound(n) {
		return
	}
	for i, ref := range refs {
		if _, ok := all.first[ref]; ok {
			continue
		}
		at, from := n, path
		if n.kind == mapping || n.kind == empty {
			continue
		}
		if n.kind == list {
			at = n.item(i)
		}
		p.errorAt(at, from, "there is no %s %q%s", what, clip(ref), p.hint(ref, all.names))
	}
}

func (p *parsing) credential(n *node, path string, c Credential) {
	switch {
	case !p.sound(n):
	case c.SNMP == nil:
		p.errorAt(n, join(path, "snmp"), "is missing: version, and community or username")
	default:
		p.placed(n.get("snmp"), join(path, "snmp"), c.SNMP.Validate())
	}
}

// device checks one device by itself.
func (p *parsing) device(s *Site, n *node, path string, d Device, checked bool) {
	if !p.sound(n) {
		return
	}
	if d.Address == "" {
		p.errorAt(n, join(path, "address"), "is missing; a host or host:port")
		return
	}
	if !validAddress(d.Address) {
		p.errorAt(n.get("address"), join(path, "address"), "%q is not host or host:port", clip(d.Address))
		return
	}
	settings := s.DeviceSettings(d)
	if p.sound(p.root.get("defaults")) {
		p.placed(n, path, validTimes(settings.Interval, settings.Timeout, settings.Retries))
		if len(d.Credentials) == 0 && len(s.Defaults.Credentials) == 0 && !d.Ping && !checked {
			p.errorAt(n, path, "nothing is asked of it; give it credentials (or defaults.credentials), ping: true, or a check")
		}
	}
	p.placed(n, path, collectors.ValidLabels(d.Labels))
	if at := n.get("profile"); at != nil {
		p.placed(at, join(path, "profile"), d.Profile.Validate())
		if d.Ping && len(d.Credentials) == 0 {
			p.errorAt(at, join(path, "profile"), "has no use: without credentials of its own a device that is pinged is only pinged")
		}
	}
	for i, w := range d.Watch {
		if w == "" {
			p.errorAt(n.get("watch").item(i), join(path, "watch"), "is empty; name an interface, or wan or uplinks")
		}
	}
}

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)
	numeric  = regexp.MustCompile(`^[0-9.]+$`)
)

// validAddress accepts host and host:port, where host is an IP address or a name.
func validAddress(s string) bool {
	host, port := splitAddress(s)
	if port != "" || strings.HasSuffix(s, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	// Four numbers that are no address are no name either.
	return len(host) <= 253 && hostName.MatchString(host) && !numeric.MatchString(host)
}

// loops reports devices that are, by way of their parents, behind themselves.
// Each loop is reported once, at its first device.
func (p *parsing) loops(s *Site, devices named) {
	done := map[string]bool{}
	for i := range s.Devices {
		var way []string
		onWay := map[string]bool{}
		for d := s.Devices[i]; !done[d.Name]; {
			way, onWay[d.Name], done[d.Name] = append(way, d.Name), true, true
			next, ok := devices.first[d.Parent]
			if !ok || d.Parent == "" {
				break
			}
			if onWay[d.Parent] {
				p.loop(s, devices, append(way, d.Parent))
				break
			}
			d = s.Devices[next]
		}
	}
}

// loop reports the way, which ends with the device that the loop begins at.
func (p *parsing) loop(s *Site, devices named, way []string) {
	end := way[len(way)-1]
	for way[0] != end {
		way = way[1:]
	}
	i := devices.first[end]
	at := devices.node.item(i).get("parent")
	if len(way) > 8 {
		way = append(append([]string{}, way[:7]...), "...", end)
	}
	p.errorAt(at, join(devices.path(i), "parent"), "forms a loop: %s", strings.Join(way, " -> "))
}

// twins warns of two devices with one address: most often the second was copied
// from the first and only its name was changed.
func (p *parsing) twins(s *Site, devices named) {
	first := map[string]string{}
	for i, d := range s.Devices {
		at := devices.node.item(i).get("address")
		if other, twice := first[d.Address]; twice && at != nil && d.Address != "" {
			p.warnf(at.at, "%s.address: is that of %s too", devices.path(i), other)
			continue
		}
		first[d.Address] = d.Name
	}
}
