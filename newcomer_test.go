package tensile

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNewcomer runs the commands with which the pages begin, from an empty folder to a pool that
// passes. Then the pool is broken as the README says: its fault is named as the README shows, and the
// commands that are printed find it again.
func TestNewcomer(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a kit several times")
	}
	shell, err := newShell(os.DirFS("."))
	require.NoError(t, err)
	root, err := os.Getwd()
	require.NoError(t, err)
	var done []string
	for _, script := range shell.scripts() {
		if !slices.ContainsFunc(script, func(c command) bool { return strings.HasPrefix(c.text(), "go mod init ") }) {
			continue
		}
		var text []string
		for _, c := range script {
			text = append(text, c.text())
		}
		if all := strings.Join(text, "\n"); len(done) == 0 {
			done = text
		} else {
			assert.Equal(t, strings.Join(done, "\n"), all, "%s: the pages begin alike", script[0].page)
			continue
		}
		n := newcomer{root: root, folder: t.TempDir()}
		var said string
		for _, c := range script {
			said, err = n.run(c)
			require.NoError(t, err, "%s:%d: %s", c.page, c.line, said)
		}
		n.breaks(t, shell.shown["README.md"], script[len(script)-1])
	}
	assert.NotEmpty(t, done)
}

// TestCommandsThatTakeSeconds runs those of the pages that need no more: one phase, and documentation.
func TestCommandsThatTakeSeconds(t *testing.T) {
	if testing.Short() {
		t.Skip("runs go test")
	}
	shell, err := newShell(os.DirFS("."))
	require.NoError(t, err)
	ran := 0
	for _, c := range shell.commands {
		text := c.text()
		phase := strings.Contains(text, "go test -short ") && strings.HasSuffix(text, "$ ./stress")
		if !phase && !strings.HasPrefix(text, "go doc tensile/") {
			continue
		}
		ran++
		said, err := (&newcomer{folder: "."}).run(c)
		assert.NoError(t, err, "%s:%d: %s", c.page, c.line, said)
	}
	assert.GreaterOrEqual(t, ran, 3)
}

// scripts are the blocks of the pages.
func (s *shell) scripts() (all [][]command) {
	for i, c := range s.commands {
		switch {
		case c.block == 0 || len(c.args) == 0:
		case i > 0 && len(all) > 0 && s.commands[i-1].page == c.page && s.commands[i-1].block == c.block:
			all[len(all)-1] = append(all[len(all)-1], c)
		default:
			all = append(all, []command{c})
		}
	}
	return all
}

func (c command) text() string { return strings.Join(append(slices.Clone(c.env), c.args...), " ") }

// newcomer runs commands in a folder. The clone is the tree itself, at root.
type newcomer struct{ root, folder string }

func (n *newcomer) run(c command) (said string, err error) {
	args := slices.Clone(c.args)
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, "../tensile", n.root)
	}
	switch args[0] {
	case "git":
		return "", nil
	case "cd":
		n.folder = filepath.Join(n.folder, args[1])
		return "", nil
	}
	return n.exec(append(c.env, "STRESS_SCALE=1000", "STRESS_PATIENCE=3s"), args...)
}

func (n *newcomer) exec(env []string, args ...string) (said string, err error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = n.folder
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "STRESS_S") })
	cmd.Env = append(append(cmd.Env, "GOWORK=off", "GOFLAGS=", "GITHUB_ACTIONS=", "GITHUB_STEP_SUMMARY="), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var (
	discards  = regexp.MustCompile(`(?s)func \(l \*lease\) Discard\(\) \{.*?\n\}`)
	sentences = regexp.MustCompile(`(?m)^ +\w+\.go:\d+: (.*)$`)
	repeats   = regexp.MustCompile(`to repeat it: (.*)`)
	digits    = regexp.MustCompile(`\d+`)
)

// breaks has the pool's Discard only call Release.
func (n *newcomer) breaks(t *testing.T, readme string, test command) {
	name := filepath.Join(n.folder, "pool", "pool_test.go")
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Regexp(t, discards, string(text))
	broken := discards.ReplaceAllString(string(text), "func (l *lease) Discard() { l.Release() }")
	require.NoError(t, os.WriteFile(name, []byte(broken), 0o644))

	said, err := n.run(test)
	require.Error(t, err, said)
	first := sentences.FindStringSubmatch(said)
	require.NotNil(t, first, said)
	assert.Contains(t, first[1], "pooling.broken: ", said)
	shown := sentences.FindAllStringSubmatch(readme, -1)
	require.NotEmpty(t, shown, "the README shows a failure")
	numberless := digits.ReplaceAllString(said, "#")
	for _, line := range shown {
		if strings.HasPrefix(line[1], "pooling.broken: operation") {
			assert.Contains(t, numberless, digits.ReplaceAllString(line[1], "#"))
		}
	}
	commands := repeats.FindAllStringSubmatch(said, -1)
	require.NotEmpty(t, commands, said)
	for _, m := range commands {
		anywhere := newcomer{folder: filepath.Join(n.folder, "pool")}
		again, err := anywhere.exec(nil, "sh", "-c", m[1])
		assert.Error(t, err, "%s: %s", m[1], again)
		want := "broken: "
		if strings.HasPrefix(m[1], "STRESS_SCHEDULE=") {
			want = strings.TrimPrefix(first[1], "pooling.")
		}
		assert.Contains(t, again, want, m[1])
	}
}
