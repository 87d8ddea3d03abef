package store

import (
	"slices"
	"strconv"

	"github.com/siteprobe/siteprobe/collectors"
)

// The labels of an event that stands for several: how many, and when the first was
// (wall time by the clock that stamped the last one, Unix ms).
const (
	LabelCount = "count"
	LabelFirst = "first_ms"
)

// Told tells for how many events one stands, and when the first of them was; 1 and 0
// for one that stands for itself.
func Told(e *collectors.Event) (count, first int64) {
	for _, l := range e.Labels {
		switch l.Name {
		case LabelCount:
			count, _ = strconv.ParseInt(l.Value, 10, 64) // 0: of somebody else
		case LabelFirst:
			first, _ = strconv.ParseInt(l.Value, 10, 64)
		}
	}
	if count < 2 || first == 0 {
		return 1, 0
	}
	return count, first
}

// Retime says when the first of several events was by a clock that was corrected by
// so many milliseconds since.
func Retime(e *collectors.Event, by int64) {
	count, first := Told(e)
	if count == 1 || by == 0 {
		return
	}
	e.Labels = slices.Clone(e.Labels)
	for i := range e.Labels {
		if e.Labels[i].Name == LabelFirst {
			e.Labels[i].Value = strconv.FormatInt(first+by, 10)
		}
	}
}
