package config

import (
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// clip shortens what a message repeats of the site file.
func clip(s string) string { return collectors.Clip(s, 64) }

// shown is how a message names the key of e: by its name when it looks like one
// and has a value, otherwise not at all, since it may then be a value, or a
// secret, in the wrong place.
func shown(e entry) string {
	if !word.MatchString(e.key) || e.value == nil || e.value.kind == empty {
		return ""
	}
	return strconv.Quote(e.key)
}

var (
	word  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)
	name  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	topic = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

// hint suggests which of the known words was meant by s: ", did you mean ...?",
// or nothing when none is near. It stops looking when there are problems enough:
// with thousands of wrong names it would take minutes.
func (r *report) hint(s string, known []string) string {
	if len(r.problems) > 5*MaxProblems {
		return ""
	}
	if best := yamlfile.Nearest(s, known); best != "" {
		return ", did you mean " + strconv.Quote(best) + "?"
	}
	return ""
}

// quote writes s so that no other text reads the same.
func quote(b *strings.Builder, s string) { b.WriteString(strconv.Quote(s)) }

func sortedEntries(entries []entry) []entry {
	out := append([]entry(nil), entries...)
	sort.Slice(out, func(i, j int) bool { return out[i].key < out[j].key })
	return out
}
