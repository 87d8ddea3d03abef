package yamlfile

import "strings"

// Nearest returns the known word with the fewest edits from s, if these are few
// for words of that length; else nothing.
func Nearest(s string, known []string) string {
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
