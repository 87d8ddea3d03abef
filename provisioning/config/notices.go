package config

import (
	"path/filepath"

	"github.com/siteprobe/siteprobe/collectors/notify"
)

// notices checks the notices, each by itself and against the contract, and where the
// runbook cards are.
func (p *parsing) notices(s *Site) {
	if n := p.root.get("runbooks"); p.sound(n) && !filepath.IsAbs(s.Runbooks) {
		p.errorAt(n, "runbooks", "must be an absolute path: the folder of your runbook cards")
	}
	all := p.names("notices", len(s.Notices), func(i int) string { return s.Notices[i].Name })
	if len(s.Notices) > notify.MaxNotices && p.sound(all.node) {
		p.errorAt(all.node, "notices", "has more than %d", notify.MaxNotices)
		return
	}
	for i, c := range s.Notices {
		n := all.node.item(i)
		if !p.sound(n) {
			continue
		}
		if err := c.Validate(); err != nil {
			p.placed(n, all.path(i), err)
		} else if p.sound(p.root.get("scope")) && s.Scope.Validate() == nil {
			p.placed(n, all.path(i), c.Reachable(s.Scope))
		}
	}
}
