package config

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// MaxProblems is how many problems an [Error] names; the rest it counts. After
// twenty, the cause is one of the first.
const MaxProblems = 20

// Problem is one thing that is wrong, or worth a warning, in a site file.
type Problem struct {
	File    string
	Line    int // from 1; 0 when the problem is the file itself
	Column  int // from 1, in characters
	Message string
}

// String writes the problem as file:line:column: message.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	return p.place() + ": " + p.Message
}

func (p Problem) place() string {
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// Error is what [Load] and [Parse] return for a site file that cannot be used.
type Error struct {
	Problems []Problem // in the order in which they stand in the files
	More     int       // further ones that are not listed
}

// Error writes one problem a line.
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("... and %d more", e.More))
	}
	return strings.Join(lines, "\n")
}

// pos is a place in one of the files that are read together.
type pos struct {
	file, line, column int // file: index into report.files
}

// report collects what is found.
type report struct {
	files    []string // names, in the order in which they were read
	problems []finding
	warnings []finding
	wrong    map[*node]bool // what a problem has been reported about
}

type finding struct {
	at      pos
	message string
}

// errorf reports a problem at p.
func (r *report) errorf(p pos, format string, args ...any) {
	r.problems = append(r.problems, finding{p, fmt.Sprintf(format, args...)})
}

// warnf reports what is worth a look but does not keep the file from being used.
func (r *report) warnf(p pos, format string, args ...any) {
	r.warnings = append(r.warnings, finding{p, fmt.Sprintf(format, args...)})
}

// errorAt reports a problem with the value n, which path leads to. What is said
// about n already makes later checks of it pointless; see sound.
func (r *report) errorAt(n *node, path, format string, args ...any) {
	r.mark(n)
	message := fmt.Sprintf(format, args...)
	if path != "" {
		message = path + ": " + message
	}
	r.errorf(n.at, "%s", message)
}

// mark notes that something is wrong with n.
func (r *report) mark(n *node) {
	if r.wrong == nil {
		r.wrong = map[*node]bool{}
	}
	r.wrong[n] = true
}

// sound tells whether nothing is wrong with n or within it, so that a check of
// what it means makes sense.
func (r *report) sound(n *node) bool {
	if n == nil {
		return true
	}
	if r.wrong[n] {
		return false
	}
	for _, e := range n.entries {
		if !r.sound(e.value) {
			return false
		}
	}
	for _, i := range n.items {
		if !r.sound(i) {
			return false
		}
	}
	return true
}

// place writes a position as file:line:column.
func (r *report) place(p pos) string { return r.problem(finding{at: p}).place() }

func (r *report) problem(f finding) Problem {
	p := Problem{Line: f.at.line, Column: f.at.column, Message: f.message}
	if f.at.file < len(r.files) {
		p.File = r.files[f.at.file]
	}
	return p
}

// err is the problems as an error, or nil when there are none.
func (r *report) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	all := r.sorted(r.problems)
	e := &Error{Problems: all}
	if len(all) > MaxProblems {
		e.Problems, e.More = all[:MaxProblems], len(all)-MaxProblems
	}
	return e
}

// sorted puts findings into the order of the files.
func (r *report) sorted(findings []finding) []Problem {
	sort.SliceStable(findings, func(i, j int) bool {
		a, b := findings[i].at, findings[j].at
		if a.file != b.file {
			return a.file < b.file
		}
		if a.line != b.line {
			return a.line < b.line
		}
		return a.column < b.column
	})
	var out []Problem
	for _, f := range findings {
		out = append(out, r.problem(f))
	}
	return out
}
