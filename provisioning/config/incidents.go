package config

import (
	"strings"

	"github.com/siteprobe/siteprobe/collectors/incident"
)

// incidents checks the rules of incidents and the times of maintenance.
func (p *parsing) incidents(s *Site, devices, checks named) {
	rules := p.root.get("incidents").get("rules")
	for i, r := range s.Incidents.Rules {
		p.valid(rules.item(i), itemPath("incidents.rules", rules.item(i), i), r)
	}
	absence := p.root.get("incidents").get("absence")
	for i, r := range s.Incidents.Absence {
		p.valid(absence.item(i), itemPath("incidents.absence", absence.item(i), i), r)
	}
	p.section("incidents", s.Incidents)
	all, named := p.root.get("maintenance"), map[string]bool{}
	for i, m := range s.Maintenance {
		n, path := all.item(i), itemPath("maintenance", all.item(i), i)
		p.valid(n, path, m)
		if named[m.Name] {
			p.errorAt(n.get("name"), join(path, "name"), "is used twice: what is told of one would be taken for the other")
		}
		named[m.Name] = true
		for k, d := range m.Devices {
			at, in := n.get("devices").item(k), join(path, "devices")
			switch {
			case d == incident.All || d == incident.Line:
			case strings.Contains(d, "/"):
				p.sources(n.get("devices"), in, m.Devices[k:k+1], devices, checks)
			default:
				p.known(at, in, []string{d}, devices, "device")
			}
		}
	}
}
