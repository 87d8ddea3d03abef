package profile

import (
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
		if len(p.Match.ObjectIDs) == 0 && p.Match.Descr != nil {
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
		key := strings.Join(c.arcs, ".") + " " + c.profile.descr()
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
// says how long the identifier is, then one with a sysDescr, then a user's before a
// built-in one; then the longer expression, then by name.
func (a candidate) compare(b candidate) int {
	return cmp.Or(
		cmp.Compare(b.literal, a.literal),
		cmp.Compare(a.open(), b.open()),
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

// For gives the profile for a device. sysObjectID is dotted, with or without a dot
// before it. The most specific pattern wins: that with the most numbers, then one
// whose sysDescr matches, too; a user's profile beats a built-in one. Where none
// matches it is the generic one, never nil.
func (s *Set) For(sysObjectID, sysDescr string) *Profile {
	arcs := strings.Split(strings.TrimPrefix(sysObjectID, "."), ".")
	for _, c := range s.ranked {
		if c.matches(arcs, sysDescr) {
			return c.profile
		}
	}
	return s.named[Generic]
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
