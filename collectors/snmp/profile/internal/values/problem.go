package values

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/siteprobe/siteprobe/collectors/yamlfile"
)

// maxProblems is how many problems of one file are kept. After that many the cause
// is one of the first.
const maxProblems = 200

// Problem is what is wrong with a file, or a warning. A wrong entry is left out; the
// rest of its file counts.
type Problem struct {
	File    string
	Line    int // from 1; 0 when the file itself is meant
	Column  int // from 1, in characters
	Warning bool
	Message string
}

// String writes the problem as compilers do: file:line:column: message.
func (p Problem) String() string {
	at := p.File
	if p.Line > 0 {
		at += ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
	}
	if p.Warning {
		at += ": warning"
	}
	return at + ": " + p.Message
}

// Report collects the problems of one file.
type Report struct {
	File   string
	Errors int // how many there were so far, warnings not counted

	problems []Problem
	more     int
}

// Add takes a problem in.
func (r *Report) Add(p Problem) {
	if !p.Warning {
		r.Errors++
	}
	if len(r.problems) == maxProblems {
		r.more++
		return
	}
	r.problems = append(r.problems, p)
}

// Errorf reports an error.
func (r *Report) Errorf(at yamlfile.Place, format string, args ...any) {
	r.Add(Problem{r.File, at.Line, at.Column, false, fmt.Sprintf(format, args...)})
}

// Warnf reports a warning.
func (r *Report) Warnf(at yamlfile.Place, format string, args ...any) {
	r.Add(Problem{r.File, at.Line, at.Column, true, fmt.Sprintf(format, args...)})
}

// All gives the problems in the order of the file; the last counts those that were
// not kept.
func (r *Report) All() []Problem {
	out := slices.Clone(r.problems)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if r.more > 0 {
		out = append(out, Problem{File: r.File, Message: fmt.Sprintf("has %d more problems", r.more)})
	}
	return out
}
