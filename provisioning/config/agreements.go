package config

import "github.com/siteprobe/siteprobe/collectors/sla"

// agreements checks the service levels, and that what they are made of is there.
func (p *parsing) agreements(s *Site, devices, checks named) {
	all := p.names("agreements", len(s.Agreements), func(i int) string { return s.Agreements[i].Name })
	for i, a := range s.Agreements {
		n := all.node.item(i)
		p.valid(n, all.path(i), a)
		for j, service := range a.Services {
			at := n.get("services").item(j)
			path := itemPath(join(all.path(i), "services"), at, j)
			p.sources(at.get("needs"), join(path, "needs"), service.Needs, devices, checks)
			p.sources(at.get("any"), join(path, "any"), service.Any, devices, checks)
		}
	}
}

// sources checks that devices and checks which are named as device/NAME and check/NAME
// exist.
func (p *parsing) sources(n *node, path string, names []string, devices, checks named) {
	for i, x := range names {
		kind, of, err := sla.ParseSource(x)
		all, what := devices, "device"
		if kind == "check" {
			all, what = checks, "check"
		}
		if err == nil && kind != sla.Line {
			p.known(n.item(i), path, []string{of}, all, what)
		}
	}
}
