package runbook

import (
	"strings"

	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// Vars are what a card is filled in with. All of it may be empty, and none of it is
// trusted: device names come from devices.
type Vars struct {
	What     string // what is concerned, by name
	Site     string // the site's name
	ISP      string
	Circuit  string
	Hotline  string
	Contacts []Contact       // at the site
	Support  Contact         // of the MSP
	Owner    diagnosis.Owner // who has to act; empty: not asked yet, as with a card without an incident
}

// Contact is somebody who can be called.
type Contact struct{ Name, Phone, Email string }

// maxContacts bounds how many contacts a card names.
const maxContacts = 5

// values are the variables' values, cleaned; a name without one has none.
func (v Vars) values(w *Words) map[string][]string {
	out := map[string][]string{}
	put := func(name string, values ...string) {
		for _, s := range values {
			if s = Clean(s); s != "" {
				out[name] = append(out[name], s)
			}
		}
	}
	put("what", v.What)
	put("site", v.Site)
	put("isp", v.ISP)
	put("circuit", v.Circuit)
	put("hotline", v.Hotline)
	put("provider", v.provider(w))
	for _, c := range v.Contacts[:min(len(v.Contacts), maxContacts)] {
		put("contacts", c.line(""))
	}
	put("support", v.Support.line(w.Support))
	switch v.Owner {
	case diagnosis.ISP:
		out["owner"] = out["provider"]
	case diagnosis.Customer, "": // who knows the site knows whom to ask
		out["owner"] = out["contacts"]
	case diagnosis.MSP:
		out["owner"] = out["support"]
	}
	return out
}

// provider is "Telekom, phone 0800 330 1000, circuit 49-30-1234" of what is known.
func (v Vars) provider(w *Words) string {
	if Clean(v.ISP+v.Circuit+v.Hotline) == "" {
		return ""
	}
	name := Clean(v.ISP)
	if name == "" {
		name = w.Provider
	}
	out := []string{name}
	if s := Clean(v.Hotline); s != "" {
		out = append(out, s)
	}
	if s := Clean(v.Circuit); s != "" {
		out = append(out, w.Circuit+" "+s)
	}
	return strings.Join(out, ", ")
}

// line is "Front desk, +49 30 1234, desk@acme.example"; without a name it is called
// otherwise.
func (c Contact) line(otherwise string) string {
	name := Clean(c.Name)
	if name == "" {
		name = otherwise
	}
	var out []string
	for _, s := range []string{name, Clean(c.Phone), Clean(c.Email)} {
		if s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, ", ")
}
