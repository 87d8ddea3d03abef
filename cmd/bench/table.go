package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// table prints columns under heads of two lines ("above|below"), row by row as
// they are found out; the first column is to the left, the others to the right.
type table struct {
	w      io.Writer
	widths []int
}

// The least widths: of the first column, and of those with figures.
const (
	firstWidth  = 14
	figureWidth = 7
)

func newTable(w io.Writer, heads ...string) *table {
	t := &table{w: w}
	var above, below []string
	for i, h := range heads {
		a, b, _ := strings.Cut(h, "|")
		above, below = append(above, a), append(below, b)
		least := figureWidth
		if i == 0 {
			least = firstWidth
		}
		t.widths = append(t.widths, max(least, len(a), len(b)))
	}
	t.row(above...)
	t.row(below...)
	return t
}

func (t *table) row(cells ...string) {
	var b strings.Builder
	for i, c := range cells {
		if i == 0 {
			fmt.Fprintf(&b, "  %-*s", t.widths[i], c)
		} else {
			fmt.Fprintf(&b, "  %*s", t.widths[i], c)
		}
	}
	fmt.Fprintln(t.w, strings.TrimRight(b.String(), " "))
}

// fixed writes a figure, and a dash where there is none.
func fixed(f float64, digits int) string {
	if f == 0 || math.IsNaN(f) || math.IsInf(f, 0) {
		return "-"
	}
	return strconv.FormatFloat(f, 'f', digits, 64)
}

// thousands writes a number as people read it.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short is a duration without zeros that say nothing.
func short(d time.Duration) string {
	if d%time.Second == 0 && d <= time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return d.String()
}
