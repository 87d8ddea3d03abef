package config

import (
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/siteprobe/siteprobe/collectors"
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
	if best := nearest(s, known); best != "" {
		return ", did you mean " + strconv.Quote(best) + "?"
	}
	return ""
}

// nearest returns the known word with the fewest edits from s, if these are few
// for words of that length.
func nearest(s string, known []string) string {
	best, least := "", 1+len(s)/3
	if len(s) > 64 {
		return ""
	}
	for _, k := range known {
		if d := distance(strings.ToLower(s), strings.ToLower(k)); d <= least && k != s && k != "" {
			if d < least || best == "" {
				best, least = k, d
			}
		}
	}
	return best
}

// distance counts the edits (insert, delete, change, swap of neighbours) between
// a and b.
func distance(a, b string) int {
	var before, row []int
	next := make([]int, len(b)+1)
	for j := range next {
		next[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, row = row, next
		next = make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := row[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			next[j] = min(change, row[j]+1, next[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
	}
	return next[len(b)]
}

// quote writes s so that no other text reads the same.
func quote(b *strings.Builder, s string) { b.WriteString(strconv.Quote(s)) }

func sortedEntries(entries []entry) []entry {
	out := append([]entry(nil), entries...)
	sort.Slice(out, func(i, j int) bool { return out[i].key < out[j].key })
	return out
}
