package explore

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// usersTest is a test in a module of a user's own.
const usersTest = `package yours

import (
	"sync/atomic"
	"testing"

	"tensile/stress/explore"
)

func TestTally(t *testing.T) {
	explore.Test(t, func(e *explore.Run) {
		var n atomic.Int64
		for range 2 {
			e.Go("adder", func() { n.Store(n.Load() + step) })
		}
		e.Wait()
		e.Check(n.Load() == 2, "an addition is lost")
	})
}
`

// usersModule makes a module that requires this one, which is in the folder root.
func usersModule(t *testing.T) (folder, root string) {
	folder = t.TempDir()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	mod := fmt.Sprintf("module example.com/yours\n\ngo 1.26.0\n\nrequire tensile v0.0.0\n\nreplace tensile => %s\n", root)
	for name, text := range map[string]string{
		"go.mod": mod, "yours_test.go": usersTest,
		"step.go":  "//go:build !odd\n\npackage yours\n\nconst step = 1\n",
		"odd.go":   "//go:build odd\n\npackage yours\n\nconst step = 3\n",
		"usual.go": "package yours\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o666))
	}
	return folder, root
}

// run runs a command there, and returns what it prints.
func run(t *testing.T, folder string, env []string, command ...string) string {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = folder
	cmd.Env = append(append(os.Environ(), "GOFLAGS="), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit, "%s", out)
	}
	return string(out)
}

// However the go command finds the packages, the schedules are controlled.
func TestHabits(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a binary for each habit")
	}
	if _, err := ownTree(); err != nil {
		t.Skip(err)
	}
	test := []string{"go", "test", "-count=1", "-run", "TestTally", "."}
	for name, prepare := range map[string]func(folder, root string) (env, command []string){
		"a module": func(string, string) ([]string, []string) { return nil, test },
		"vendored": func(folder, _ string) ([]string, []string) {
			require.Empty(t, strings.TrimSpace(run(t, folder, nil, "go", "mod", "vendor")))
			return []string{"GOFLAGS=-mod=vendor"}, test
		},
		"a workspace": func(folder, root string) ([]string, []string) {
			run(t, folder, nil, "go", "mod", "edit", "-dropreplace=tensile")
			run(t, folder, nil, "go", "work", "init", ".", root)
			return nil, test
		},
		"GOFLAGS": func(string, string) ([]string, []string) { return []string{"GOFLAGS=-tags=odd"}, test },
		"an overlay": func(folder, _ string) ([]string, []string) {
			other, index := filepath.Join(folder, "other"), filepath.Join(folder, "overlay.json")
			require.NoError(t, os.WriteFile(other, []byte("package yours\n\nconst step = 5 - 4\n"), 0o666))
			text := fmt.Sprintf(`{"Replace": {%q: %q, %q: ""}}`, filepath.Join(folder, "step.go"), other,
				filepath.Join(folder, "odd.go"))
			require.NoError(t, os.WriteFile(index, []byte(text), 0o666))
			return []string{"GOFLAGS=-tags=odd -overlay=" + index}, test
		},
		"-json": func(string, string) ([]string, []string) {
			return nil, append([]string{"go", "test", "-json"}, test[2:]...)
		},
		"-cover": func(string, string) ([]string, []string) {
			return nil, append([]string{"go", "test", "-cover"}, test[2:]...)
		},
		"-count": func(string, string) ([]string, []string) {
			return nil, append([]string{"go", "test"}, append(test[2:], "-count=2", "-v")...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder, root := usersModule(t)
			env, command := prepare(folder, root)
			out := run(t, folder, env, command...)
			if name == "-count" { // each time from another seed
				assert.Contains(t, out, "(seed 1)")
				assert.Contains(t, out, "(seed 2)")
			}
			assert.Contains(t, out, "an addition is lost")
			assert.Contains(t, out, "it repeats 10 of 10 times")
			assert.NotContains(t, out, "not controlled")
		})
	}
}
