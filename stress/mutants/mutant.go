package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is a fault in a file.
type mutant struct {
	kind string
	file string // its full name
	line int
	was  string // the source that is changed, on one line
	now  string
	text []byte // of the whole file, with the fault
}

func (m mutant) String() string {
	name := m.file
	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, m.file); err == nil {
			name = relative
		}
	}
	now := m.now
	if now == "" {
		now = "nothing"
	}
	return fmt.Sprintf("%s:%d: %s: %s, now %s", name, m.line, m.kind, m.was, now)
}

// mutantsOf makes all mutants of a package, in the order of its source.
func mutantsOf(pattern string) ([]mutant, error) {
	out, err := exec.Command("go", "list", "-json=Dir,GoFiles", pattern).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("go list %s: %s", pattern, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return nil, err
	}
	var all []mutant
	for packages := json.NewDecoder(strings.NewReader(string(out))); packages.More(); {
		var p struct {
			Dir     string
			GoFiles []string
		}
		if err := packages.Decode(&p); err != nil {
			return nil, err
		}
		for _, name := range p.GoFiles {
			name = filepath.Join(p.Dir, name)
			source, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			made, err := mutate(name, source)
			if err != nil {
				return nil, err
			}
			all = append(all, made...)
		}
	}
	return all, nil
}

// mutate makes the mutants of a file.
func mutate(name string, source []byte) (all []mutant, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	offset := func(p token.Pos) int { return files.Position(p).Offset }
	part := func(n ast.Node) string { return string(source[offset(n.Pos()):offset(n.End())]) }
	m := maker{source: part, add: func(kind string, at ast.Node, edits ...edit) {
		slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
		first, last := min(offset(at.Pos()), offset(edits[0].from)), max(offset(at.End()), offset(edits[len(edits)-1].to))
		now, from := "", first
		for _, e := range edits {
			now += string(source[from:offset(e.from)]) + e.text
			from = offset(e.to)
		}
		now += string(source[from:last])
		made := mutant{
			kind: kind, file: name, line: files.Position(at.Pos()).Line,
			was: inOneLine(string(source[first:last])), now: inOneLine(now),
			text: slices.Concat(source[:first], []byte(now), source[last:]),
		}
		all = append(all, made)
	}}
	ast.Inspect(file, func(n ast.Node) bool {
		m.visit(n)
		return true
	})
	slices.SortStableFunc(all, func(a, b mutant) int { return cmp.Compare(a.line, b.line) })
	return all, nil
}

// longest is how much of a change is shown.
const longest = 80

func inOneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return text
}
