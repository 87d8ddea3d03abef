package wire

import "strings"

// Kind is what a topic carries.
type Kind string

// The kinds of topics; see the package's documentation.
const (
	Live     Kind = "d/l"
	Backfill Kind = "d/b"
	SchemaUp Kind = "sch"
	Accounts Kind = "acc"
	Replies  Kind = "a"
	State    Kind = "st"
	Flow     Kind = "flow"
)

const root = "sp/v1/"

// Site is where a box's topics are: sp/v1/{tenant}/{site}/...
type Site struct{ Tenant, Name string }

// Probe is the name that blocks and accounts carry.
func (s Site) Probe() string { return s.Tenant + "/" + s.Name }

// Topic returns the site's topic of a kind.
func (s Site) Topic(k Kind) string {
	if k == Flow {
		return root + s.Tenant + "/flow"
	}
	return root + s.Tenant + "/" + s.Name + "/" + string(k)
}

// Converted returns the topic on which readings travel in a format other than
// blocks: sp/v1/{tenant}/{site}/json or .../influx.
func (s Site) Converted(format string) string { return root + s.Tenant + "/" + s.Name + "/" + format }

// ParseProbe is the inverse of Probe.
func ParseProbe(p string) (s Site, ok bool) {
	s.Tenant, s.Name, ok = strings.Cut(p, "/")
	return s, ok && valid(s.Tenant) && valid(s.Name)
}

// ParseTopic tells whose a topic is and what it carries.
func ParseTopic(t string) (s Site, k Kind, ok bool) {
	rest, ok := strings.CutPrefix(t, root)
	if !ok {
		return s, "", false
	}
	tenant, rest, _ := strings.Cut(rest, "/")
	if rest == "flow" {
		return Site{Tenant: tenant}, Flow, valid(tenant)
	}
	name, kind, ok := strings.Cut(rest, "/")
	return Site{tenant, name}, Kind(kind), ok && Kind(kind) != Flow && valid(tenant) && valid(name)
}

// HubTopics are what a hub subscribes to, for all sites of all tenants.
func HubTopics() []string {
	var out []string
	for _, k := range []Kind{Live, Backfill, SchemaUp, Accounts, State} {
		out = append(out, root+"+/+/"+string(k))
	}
	return out
}

// valid tells whether a tenant or site may be a level of a topic.
func valid(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
