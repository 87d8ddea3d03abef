package profile

import (
	"fmt"
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

// report collects the problems of one file.
type report struct {
	file     string
	problems []Problem
	more     int
}

func (r *report) add(p Problem) {
	if len(r.problems) == maxProblems {
		r.more++
		return
	}
	r.problems = append(r.problems, p)
}

func (r *report) errorf(at yamlfile.Place, format string, args ...any) {
	r.add(Problem{r.file, at.Line, at.Column, false, fmt.Sprintf(format, args...)})
}

func (r *report) warnf(at yamlfile.Place, format string, args ...any) {
	r.add(Problem{r.file, at.Line, at.Column, true, fmt.Sprintf(format, args...)})
}

// all gives the problems, the last of which counts those that were not kept.
func (r *report) all() []Problem {
	if r.more == 0 {
		return r.problems
	}
	return append(r.problems[:len(r.problems):len(r.problems)], Problem{File: r.file, Message: fmt.Sprintf("has %d more problems", r.more)})
}
