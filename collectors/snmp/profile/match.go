package profile

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// candidate is one pattern of a profile.
type candidate struct {
	arcs    []string // of a pattern of sysObjectID; none where only sysDescr tells
	literal int      // how many of them are no star
	profile *Profile
}

// rank puts all patterns into the order in which they are tried, the most specific
// first. It warns of two profiles that nothing tells apart.
func (s *Set) rank() (problems []Problem) {
	for _, p := range s.List() {
		if len(p.Match.ObjectIDs) == 0 && (p.Match.Descr != nil || p.Match.Answers != nil) {
			s.ranked = append(s.ranked, candidate{profile: p})
		}
		for _, id := range p.Match.ObjectIDs {
			c := candidate{arcs: strings.Split(id, "."), profile: p}
			for _, a := range c.arcs {
				if a != "*" {
					c.literal++
				}
			}
			s.ranked = append(s.ranked, c)
		}
	}
	slices.SortStableFunc(s.ranked, candidate.compare)
	first := map[string]*Profile{}
	for _, c := range s.ranked {
		key := strings.Join(c.arcs, ".") + " " + string(c.profile.Match.Answers) + " " + c.profile.descr()
		if c.profile.user() {
			key += " user"
		}
		other := first[key]
		if other == nil {
			first[key] = c.profile
		} else if other != c.profile {
			problems = append(problems, Problem{
				File: c.profile.file(), Warning: true,
				Message: "matches " + cmp.Or(strings.Join(c.arcs, "."), "sysdescr") + " just as " + other.file() + " does, which counts",
			})
		}
	}
	return problems
}

// compare orders candidates: more numbers first, at equal numbers a pattern that
// says how long the identifier is, then one that the device has to answer for, then
// one with a sysDescr, then a user's before a built-in one; then the longer expression, then by name.
func (a candidate) compare(b candidate) int {
	return cmp.Or(
		cmp.Compare(b.literal, a.literal),
		cmp.Compare(a.open(), b.open()),
		cmp.Compare(min(len(b.profile.Match.Answers), 1), min(len(a.profile.Match.Answers), 1)),
		cmp.Compare(min(len(b.profile.descr()), 1), min(len(a.profile.descr()), 1)),
		cmp.Compare(b.profile.rank(), a.profile.rank()),
		cmp.Compare(len(b.profile.descr()), len(a.profile.descr())),
		cmp.Compare(a.profile.Name, b.profile.Name),
	)
}

// open is 1 where the pattern ends with a star, which stands for any length.
func (a candidate) open() int {
	if len(a.arcs) > 0 && a.arcs[len(a.arcs)-1] == "*" {
		return 1
	}
	return 0
}

func (p *Profile) user() bool { return p.Origin != BuiltIn }

func (p *Profile) rank() int {
	if p.user() {
		return 1
	}
	return 0
}

func (p *Profile) descr() string {
	if p.Match.Descr == nil {
		return ""
	}
	return p.Match.Descr.String()
}

func (p *Profile) file() string {
	if p.user() {
		return p.Origin
	}
	return "builtin/" + p.Name + ".yaml"
}

// Asks gives the scalars that a device which says this of itself is to be asked for,
// so that For can tell what it is. Mostly there are none.
func (s *Set) Asks(sysObjectID, sysDescr string) (oids [][]byte) {
	arcs := arcsOf(sysObjectID)
	for _, c := range s.ranked {
		oid := c.profile.Match.Answers
		if oid != nil && c.matches(arcs, sysDescr) && !contains(oids, oid) {
			oids = append(oids, oid)
		}
	}
	return oids
}

// For gives the profile for a device. sysObjectID is dotted, with or without a dot
// before it; has are those scalars of Asks that the device has. The most specific
// pattern wins: that with the most numbers, then one that the device answers for,
// then one whose sysDescr matches, too; a user's profile beats a built-in one. Where
// none matches it is the generic one, never nil.
func (s *Set) For(sysObjectID, sysDescr string, has ...[]byte) *Profile {
	arcs := arcsOf(sysObjectID)
	for _, c := range s.ranked {
		oid := c.profile.Match.Answers
		if c.matches(arcs, sysDescr) && (oid == nil || contains(has, oid)) {
			return c.profile
		}
	}
	return s.named[Generic]
}

func arcsOf(sysObjectID string) []string {
	return strings.Split(strings.TrimPrefix(sysObjectID, "."), ".")
}

func contains(oids [][]byte, oid []byte) bool {
	return slices.ContainsFunc(oids, func(o []byte) bool { return bytes.Equal(o, oid) })
}

func (a candidate) matches(arcs []string, descr string) bool {
	if d := a.profile.Match.Descr; d != nil && !d.MatchString(descr) {
		return false
	}
	if len(a.arcs) == 0 {
		return true
	}
	if len(arcs) < len(a.arcs) || len(arcs) > len(a.arcs) && a.open() == 0 {
		return false
	}
	for i, want := range a.arcs {
		if want != "*" && want != arcs[i] {
			return false
		}
	}
	return true
}
