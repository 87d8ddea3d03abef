package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/siteprobe/siteprobe/buffer/block"
	"github.com/siteprobe/siteprobe/buffer/store"
	"github.com/siteprobe/siteprobe/collectors"
)

// rollupJSON is what a point of history stands for: count readings in the width_s
// seconds from start on. Counters have the rise, gauges and states have the others;
// what is no finite number is null.
type rollupJSON struct {
	T     int64  `json:"t"`     // of the point: of the last reading, Unix ms
	Start int64  `json:"start"` // Unix ms
	Width int64  `json:"width_s"`
	Count uint32 `json:"count"`
	*boundsJSON
	Rise *uint64 `json:"rise,omitempty"`
}

type boundsJSON struct {
	Min *float64 `json:"min"`
	Max *float64 `json:"max"`
	Sum *float64 `json:"sum"`
}

// rollupsOf lists those of a series.
func rollupsOf(p *store.Points) (out []rollupJSON) {
	for i := range p.Points {
		r := p.Points[i].Rolled
		if r == nil {
			continue
		}
		x := rollupJSON{T: p.Points[i].T, Start: r.Start, Width: int64(r.Tier.Width() / time.Second), Count: r.Count}
		switch p.Series.Kind {
		case collectors.Counter:
			x.Rise = &r.Rise
		case collectors.Gauge, collectors.State:
			x.boundsJSON = &boundsJSON{number(r.Min), number(r.Max), number(r.Sum)}
		}
		out = append(out, x)
	}
	return out
}

// number is one that JSON can write, else nil.
func number(f float64) *float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return &f
}

// rolledWords says what a point stands for: "15 min: 15 readings, 3.1 to 9.4".
func rolledWords(kind collectors.Kind, r *store.Rolled) string {
	if r == nil {
		return ""
	}
	width, readings := "15 min", "readings"
	if r.Tier == block.Hour {
		width = "1 h"
	}
	if r.Count == 1 {
		readings = "reading"
	}
	s := fmt.Sprintf("%s: %d %s", width, r.Count, readings)
	switch {
	case kind == collectors.Counter:
		s += fmt.Sprintf(", rose by %d", r.Rise)
	case kind == collectors.Text || r.Count == 1:
	case r.Min == r.Max:
		s += ", all the same"
	default:
		s += fmt.Sprintf(", %s to %s", short(r.Min), short(r.Max))
	}
	return s
}

// short writes a number to six digits: a mean has as many as there are.
func short(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e15) {
		return strconv.FormatFloat(f, 'g', 6, 64)
	}
	if r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 6, 64), 64); err == nil && math.Abs(f) < 1e6 {
		f = r
	} else {
		f = math.Round(f)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
