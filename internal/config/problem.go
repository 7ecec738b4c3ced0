// Package config reads the configuration: one file, the environment over it, and the sections of the plugins. It finds
// every problem at once and says for each where it is, which key it concerns and what to do.
package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong or doubtful in the configuration.
type Problem struct {
	File    string // as given, or env:NAME for a value out of the environment
	Line    int    // from 1; 0 where there is no line
	Col     int    // from 1, in characters
	Path    string // the key, such as producers[1].every
	Message string // what is wrong, a semicolon, what to do
	Warning bool   // doubtful, but it can run
}

// String writes file:line:col: key: message.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Col)
	}
	b.WriteString(": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path)
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

func (p Problem) Error() string { return p.String() }

// Problems is the error of Load: everything that is wrong, in file order. It holds no warnings.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, q := range p {
		lines[i] = q.String()
	}
	return strings.Join(lines, "\n")
}

// position is a place in the file or a variable of the environment.
type position struct {
	file      string
	line, col int
}

// report collects problems; one place and one message are reported once.
type report struct {
	all  []Problem
	seen map[Problem]bool
}

func (r *report) add(p Problem) {
	if r.seen == nil {
		r.seen = map[Problem]bool{}
	}
	if !r.seen[p] {
		r.seen[p] = true
		r.all = append(r.all, p)
	}
}

func (r *report) errorf(at position, path, format string, args ...any) {
	r.add(Problem{File: at.file, Line: at.line, Col: at.col, Path: path, Message: fmt.Sprintf(format, args...)})
}

func (r *report) warnf(at position, path, format string, args ...any) {
	r.add(Problem{File: at.file, Line: at.line, Col: at.col, Path: path, Message: fmt.Sprintf(format, args...), Warning: true})
}

// split returns errors and warnings, each in file order; what has no line comes last.
func (r *report) split() (errs Problems, warnings []Problem) {
	slices.SortStableFunc(r.all, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.File, b.File), cmp.Compare(a.Path, b.Path))
	})
	for _, p := range r.all {
		if p.Warning {
			warnings = append(warnings, p)
		} else {
			errs = append(errs, p)
		}
	}
	return errs, warnings
}
