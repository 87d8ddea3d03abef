package broker

import (
	"strings"

	"github.com/siteprobe/siteprobe/uplink/mqtt/topic"
)

const root = "sp/v1/"

// identity is who a client is. The zero identity may do nothing.
type identity struct {
	hub          bool
	tenant, site string
}

func (id identity) String() string {
	if id.hub {
		return "hub"
	}
	return id.tenant + "/" + id.site
}

// parseIdentity reads "tenant/site".
func parseIdentity(s string) (identity, bool) {
	tenant, site, ok := strings.Cut(s, "/")
	return identity{tenant: tenant, site: site}, ok && isName(tenant) && isName(site)
}

// identityOfClientID reads "tenant/site" or "tenant/site/more".
func identityOfClientID(s string) (identity, bool) {
	parts := strings.SplitN(s, "/", 3)
	if len(parts) < 2 {
		return identity{}, false
	}
	return parseIdentity(parts[0] + "/" + parts[1])
}

// isName tells whether s may be a level of a topic: nothing in it is a wildcard or
// a separator.
func isName(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for _, c := range s {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// ownsClientID tells whether a client may use a client id: its identity, or that
// with more behind a slash. Otherwise one site could throw another out by
// connecting with its id.
func (id identity) ownsClientID(clientID string) bool {
	rest, ok := strings.CutPrefix(clientID, id.String())
	return ok && (rest == "" || rest[0] == '/')
}

// own returns what is behind sp/v1/{tenant}/{site}/ in a topic of the site's own.
func (id identity) own(name string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(name, root)
	if !ok || id.site == "" {
		return "", false
	}
	if rest, ok = strings.CutPrefix(rest, id.tenant+"/"); !ok {
		return "", false
	}
	return strings.CutPrefix(rest, id.site+"/")
}

// mayWrite tells whether a client may publish to a topic, or have its will there.
func (id identity) mayWrite(name string) bool {
	if id.hub {
		return strings.HasPrefix(name, root)
	}
	rest, ok := id.own(name)
	if !ok {
		return false
	}
	switch rest {
	case "d/l", "d/b", "sch", "ev", "acc", "st", "cf/r":
		return true
	}
	reply, ok := strings.CutPrefix(rest, "c/r/")
	return ok && reply != "" && len(reply) <= 64 && !strings.ContainsAny(reply, "/+#")
}

// mayRead tells whether a client may subscribe to a filter or be sent a topic. A
// site reads topics only, no wildcards.
func (id identity) mayRead(filter string) bool {
	if id.hub {
		return strings.HasPrefix(topic.Unshared(filter), root)
	}
	if id.site != "" && filter == root+id.tenant+"/flow" {
		return true
	}
	rest, ok := id.own(filter)
	return ok && (rest == "a" || rest == "c/q" || rest == "cf/d")
}

// mayRetain tells whether the broker keeps a message of this client: of a site's
// only its status and its configuration, so that a site cannot fill the memory
// with topics.
func (id identity) mayRetain(name string) bool {
	if id.hub {
		return true
	}
	rest, _ := id.own(name)
	return rest == "st" || rest == "cf/r"
}
