// Package topic matches MQTT topics against topic filters.
package topic

import "strings"

// Match tells whether a topic filter covers a topic, as MQTT 3.1.1, section 4.7,
// has it. The "$share/group/" of a shared subscription is looked through.
func Match(filter, topic string) bool {
	filter = Unshared(filter)
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") {
		return false // wildcards do not reach the broker's own topics
	}
	for {
		f, frest, fmore := strings.Cut(filter, "/")
		t, trest, tmore := strings.Cut(topic, "/")
		switch {
		case f == "#":
			return true
		case f != "+" && f != t:
			return false
		case !fmore && !tmore:
			return true
		case !tmore:
			return frest == "#" // "a/#" covers "a"
		case !fmore:
			return false
		}
		filter, topic = frest, trest
	}
}

// Unshared cuts "$share/group/" off a filter.
func Unshared(filter string) string {
	if rest, ok := strings.CutPrefix(filter, "$share/"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		return rest
	}
	return filter
}
