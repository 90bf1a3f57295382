package tensile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCommandsInPages: what a page tells its reader to run is there: programs, flags, packages,
// tests, phases and make targets.
func TestCommandsInPages(t *testing.T) {
	shell, err := newShell(os.DirFS("."))
	require.NoError(t, err)
	assert.Empty(t, shell.check())
	assert.Greater(t, len(shell.commands), 60)
	assert.Greater(t, len(shell.phases), 80)
}

func TestCommandsOfNothingAreSeen(t *testing.T) {
	tree := func(page string) fstest.MapFS {
		return fstest.MapFS{
			"a.md":               {Data: []byte(page)},
			"Makefile":           {Data: []byte("all: some\n")},
			"stress/x_test.go":   {Data: []byte("package stress\nfunc TestStressX(t *testing.T) {}\n")},
			"stress/xtest/x.go":  {Data: []byte("package xtest\nvar x = phase{Name: \"in flight\"}\n")},
			"stress/nats/go.mod": {Data: []byte("module nats\n")},
			"stress/nats/n.go":   {Data: []byte("package nats\n")},
			"queue/queue.go":     {Data: []byte("package queue\n")},
		}
	}
	block := func(lines ...string) string { return "```sh\n" + strings.Join(lines, "\n") + "\n```\n" }
	for page, says := range map[string]string{
		block("rm -r /"):                                 "a.md:2: rm is unknown",
		block("make nothing"):                            "a.md:2: make nothing does not exist",
		"`make nothing` helps":                           "a.md:1: make nothing does not exist",
		block("go bake"):                                 "a.md:2: go bake is unknown",
		block("go test -shrt ."):                         "a.md:2: go test has no flag -shrt",
		block("go test ./none"):                          "a.md:2: ./none does not exist",
		block("go -C none test ."):                       "a.md:2: none has no go.mod",
		"`go doc tensile/none`":                          "a.md:1: tensile/none does not exist",
		block("go test -run Nothing ./stress"):           "a.md:2: Nothing matches no test",
		block("go test -run 'StressX/in_sight' ./..."):   "a.md:2: in_sight matches no phase",
		block("go test -run 'X/^(in_flight|at_rest)$'"):  "a.md:2: at_rest matches no phase",
		block("go test -skip '/^(explain)$' ./..."):      "a.md:2: explain matches no phase",
		block("go test -run 'X"):                         "a.md:2: a quote does not end",
		block("# first", "cd stress/nats", "make no"):    "a.md:4: make no does not exist",
		block("go run tensile/none ."):                   "a.md:2: tensile/none does not exist",
		block("go run a.b/c --flag"):                     "a.md:2: a.b/c has no version",
		"    go test ./stress\n":                         "a.md:1: a command in a block that is not marked sh",
		"```\ngo test ./stress\n```\n":                   "a.md:2: a command in a block that is not marked sh",
		block("STRESS_SCALE=1 go test ./... | rm") + "x": "a.md:2: rm is unknown",
	} {
		shell, err := newShell(tree(page))
		require.NoError(t, err)
		assert.Equal(t, []string{says}, shell.check(), page)
	}
	shell, err := newShell(tree("`go test`, `go.mod`, `make all`, `go -C stress/nats test -v .`\n" +
		block("export A=b", "STRESS_SCALE=1 \\", "  go test -short -run '^TestStressX$/^in_flight$' ./stress # one",
			"go test -run '^$' -bench . ./... | ", "go run a.b/c@v1.0.0 --flag", "cd stress/nats && go test .") +
		"\n    a.go:1: repeat it with\n    go test nothing\n\n```go\ngo f()\n```\n"))
	require.NoError(t, err)
	assert.Empty(t, shell.check())
	assert.Len(t, shell.commands, 9)
}

// command is what a page shows.
type command struct {
	page   string
	line   int
	block  int    // the line at which its block begins; 0 for one in the text
	folder string // in which it runs
	env    []string
	args   []string
}

// shell has the commands of the pages of a tree, and what they may name.
type shell struct {
	tree     fs.FS
	commands []command
	wrong    []string
	shown    map[string]string   // the text of each page
	tests    map[string][]string // by folder, those of all modules
	phases   []string            // of all kits, as subtests are named
	flags    map[string]bool     // of go test, and whether they take a value
}

func newShell(tree fs.FS) (*shell, error) {
	s := &shell{tree: tree, shown: make(map[string]string), tests: make(map[string][]string)}
	var err error
	if s.flags, err = testFlags(); err != nil {
		return nil, err
	}
	return s, fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (entry.Name() == "testdata" || left(name)):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go" && path.Ext(name) != ".md":
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		switch {
		case path.Ext(name) == ".md":
			s.shown[name] = string(text)
			s.page(name, string(text))
		case strings.HasSuffix(name, "_test.go"):
			for _, m := range testNames.FindAllStringSubmatch(string(text), -1) {
				s.tests[path.Dir(name)] = append(s.tests[path.Dir(name)], m[1])
			}
		case strings.HasPrefix(name, "stress/"):
			for _, m := range phaseNames.FindAllStringSubmatch(string(text), -1) {
				s.phases = append(s.phases, strings.ReplaceAll(cmp.Or(m[1], m[2]), " ", "_"))
			}
		}
		return nil
	})
}

// testFlags are those that the go command documents.
func testFlags() (map[string]bool, error) {
	flags := make(map[string]bool)
	for _, topic := range []string{"test", "testflag", "build"} {
		text, err := exec.Command("go", "help", topic).Output()
		if err != nil {
			return nil, fmt.Errorf("go help %s: %w", topic, err)
		}
		for _, m := range flagNames.FindAllStringSubmatch(string(text), -1) {
			flags[m[1]] = m[2] != ""
		}
	}
	return flags, nil
}

var (
	fences      = regexp.MustCompile("^ *```(\\w*)$")
	spans       = regexp.MustCompile("`([^`]+)`")
	assignments = regexp.MustCompile(`^[A-Z_]+=`)
	begins      = regexp.MustCompile(`^([A-Z_]+=\S* +)*(go|make|git|benchstat|nats-server|export) `)
	flagNames   = regexp.MustCompile(`(?m)^\t-(\w+)(?: (\S+))?`)
	testNames   = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark)\w+)\(`)
	phaseNames  = regexp.MustCompile(`\bName: +"([^"]+)"|(?m)^\s*(?:const )?\w*[pP]hase\w* += "([^"]+)"`)
	choices     = regexp.MustCompile(`^\^?\(?([^()]*)\)?\$?$`)
)

// page takes what a page shows: the blocks that are marked sh, and commands in the text.
func (s *shell) page(page, text string) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		fence := fences.FindStringSubmatch(lines[i])
		first := func(at int) {
			if at < len(lines) && begins.MatchString(strings.TrimSpace(lines[at])) {
				s.fail(command{page: page, line: at + 1}, "a command in a block that is not marked sh")
			}
		}
		switch {
		case fence != nil:
			end := i + 1
			for end < len(lines) && fences.FindStringSubmatch(lines[end]) == nil {
				end++
			}
			switch fence[1] {
			case "sh":
				s.block(page, i+1, lines[i+1:end])
			case "":
				first(i + 1)
			}
			i = end
		case strings.HasPrefix(lines[i], "    ") && (i == 0 || lines[i-1] == ""):
			first(i)
		case !strings.HasPrefix(lines[i], "    "):
			for _, m := range spans.FindAllStringSubmatch(strings.ReplaceAll(lines[i], `\|`, "|"), -1) {
				if begins.MatchString(m[1]) {
					s.parse(command{page: page, line: i + 1}, m[1])
				}
			}
		}
	}
}

// block takes the lines of a block, which begins behind line at.
func (s *shell) block(page string, at int, lines []string) {
	c := command{page: page, block: at}
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		c.line = at + i + 1
		for i+1 < len(lines) && (strings.HasSuffix(line, `\`) || strings.HasSuffix(line, "|")) {
			i++
			line = strings.TrimSuffix(line, `\`) + " " + strings.TrimSpace(lines[i])
		}
		c.folder = s.parse(c, line)
	}
}

// parse takes the commands of a line, and returns the folder in which the next line runs.
func (s *shell) parse(c command, line string) (folder string) {
	words, err := split(line)
	if err != nil {
		s.fail(c, err.Error())
	}
	for len(words) > 0 {
		end := slices.IndexFunc(words, func(w string) bool { return w == "&&" || w == "|" })
		if end < 0 {
			end = len(words)
		}
		one := c
		for _, w := range words[:end] {
			if len(one.args) == 0 && assignments.MatchString(w) {
				one.env = append(one.env, w)
			} else {
				one.args = append(one.args, w)
			}
		}
		words = words[min(end+1, len(words)):]
		s.commands = append(s.commands, one)
		if len(one.args) == 2 && one.args[0] == "cd" {
			c.folder = path.Join(c.folder, one.args[1])
		}
	}
	return c.folder
}

// split returns the words of a line, without a comment at its end.
func split(line string) (words []string, err error) {
	word, quote, begun := "", rune(0), false
	end := func() {
		if begun {
			words = append(words, word)
		}
		word, begun = "", false
	}
	for _, r := range line {
		switch {
		case r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r == ' ':
			end()
		case r == '#' && !begun:
			return words, nil
		default:
			word, begun = word+string(r), true
		}
	}
	end()
	if quote != 0 {
		return nil, errors.New("a quote does not end")
	}
	return words, nil
}

func (s *shell) fail(c command, says string) {
	s.wrong = append(s.wrong, fmt.Sprintf("%s:%d: %s", c.page, c.line, says))
}

// check returns a line for each command that names what does not exist.
func (s *shell) check() []string {
	for _, c := range s.commands {
		if len(c.args) == 0 {
			continue
		}
		switch c.args[0] {
		case "go":
			s.goCommand(c)
		case "make":
			makefile, _ := fs.ReadFile(s.tree, "Makefile")
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(c.args[1]) + `:`).Match(makefile) {
				s.fail(c, "make "+c.args[1]+" does not exist")
			}
		case "git", "mkdir", "cd", "cp", "export", "benchstat", "nats-server":
		default:
			s.fail(c, c.args[0]+" is unknown")
		}
	}
	return s.wrong
}

func (s *shell) goCommand(c command) {
	args := c.args[1:]
	if len(args) > 1 && args[0] == "-C" {
		c.folder, args = args[1], args[2:]
		if !s.there(path.Join(c.folder, "go.mod")) {
			s.fail(c, c.folder+" has no go.mod")
			return
		}
	}
	switch {
	case args[0] == "test":
		s.goTest(c, args[1:])
	case args[0] == "doc" || args[0] == "run" && strings.HasPrefix(args[1], "tensile/"):
		if name, own := strings.CutPrefix(args[1], "tensile/"); own && !s.there(name) {
			s.fail(c, args[1]+" does not exist")
		}
	case args[0] == "run" && !strings.Contains(args[1], "@"):
		s.fail(c, args[1]+" has no version")
	case !slices.Contains([]string{"build", "doc", "get", "mod", "run", "work"}, args[0]):
		s.fail(c, "go "+args[0]+" is unknown")
	}
}

func (s *shell) there(name string) bool {
	_, err := fs.Stat(s.tree, name)
	return err == nil
}

// goTest checks the flags of go test, that packages are there, and that patterns match something in
// them.
func (s *shell) goTest(c command, args []string) {
	values := make(map[string]string)
	var packages []string
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		takes, known := s.flags[name]
		switch {
		case args[i][0] != '-':
			packages = append(packages, args[i])
			continue
		case !known:
			s.fail(c, "go test has no flag "+args[i])
			return
		case takes && !given && i+1 < len(args):
			i++
			value = args[i]
		}
		values[name] = value
	}
	var tests []string
	for _, p := range packages {
		names, ok := s.testsOf(c, p)
		if !ok {
			s.fail(c, p+" does not exist")
			return
		}
		tests = append(tests, names...)
	}
	if len(packages) == 0 || slices.Contains(packages, ".") && c.folder == "" {
		for _, names := range s.tests { // of whatever folder the reader is in
			tests = append(tests, names...)
		}
		for _, m := range testNames.FindAllStringSubmatch(s.shown[c.page], -1) {
			tests = append(tests, m[1])
		}
	}
	for _, flag := range []string{"run", "skip"} {
		test, phase, _ := strings.Cut(values[flag], "/")
		s.matches(c, test, "test", tests)
		phase, _, _ = strings.Cut(phase, "/")
		s.matches(c, phase, "phase", s.phases)
	}
}

// matches checks that each choice of a pattern, such as ^(a|b)$, matches one of the names.
func (s *shell) matches(c command, pattern, what string, names []string) {
	whole := choices.FindStringSubmatch(pattern)
	if pattern == "" || pattern == "^$" || whole == nil {
		return
	}
	for _, choice := range strings.Split(whole[1], "|") {
		p := regexp.MustCompile(strings.Replace(pattern, whole[1], choice, 1))
		if !slices.ContainsFunc(names, p.MatchString) {
			s.fail(c, choice+" matches no "+what)
		}
	}
}

// testsOf returns the tests of a package, or of all below a folder ("./..."). Packages of a module that
// a page makes are in the examples.
func (s *shell) testsOf(c command, name string) (tests []string, ok bool) {
	if strings.HasPrefix(name, "example.com/yours") {
		name = "." + strings.TrimPrefix(name, "example.com/yours")
	}
	folder, below := strings.CutSuffix(name, "...")
	for _, from := range []string{c.folder, "docs/examples"} {
		root := path.Join(".", from, folder)
		if !s.there(root) {
			continue
		}
		ok = true
		for at, names := range s.tests {
			if at == root || below && (root == "." || strings.HasPrefix(at, root+"/")) {
				tests = append(tests, names...)
			}
		}
	}
	return tests, ok
}
