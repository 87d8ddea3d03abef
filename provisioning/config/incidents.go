package config

import "github.com/siteprobe/siteprobe/collectors/incident"

// incidents checks the rules of incidents and the times of maintenance.
func (p *parsing) incidents(s *Site, devices named) {
	rules := p.root.get("incidents").get("rules")
	for i, r := range s.Incidents.Rules {
		p.valid(rules.item(i), itemPath("incidents.rules", rules.item(i), i), r)
	}
	absence := p.root.get("incidents").get("absence")
	for i, r := range s.Incidents.Absence {
		p.valid(absence.item(i), itemPath("incidents.absence", absence.item(i), i), r)
	}
	p.section("incidents", s.Incidents)
	for i, m := range s.Maintenance {
		all := p.root.get("maintenance")
		n, path := all.item(i), itemPath("maintenance", all.item(i), i)
		p.valid(n, path, m)
		for k, d := range m.Devices {
			if d != incident.All {
				p.known(n.get("devices").item(k), join(path, "devices"), []string{d}, devices, "device")
			}
		}
	}
}
