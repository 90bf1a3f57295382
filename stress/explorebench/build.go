package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// builtTest is a test whose controlled binary is built. What follows it is a change.
const builtTest = `package built

import (
	"testing"

	"tensile/stress/explore"
)

func TestBuilt(t *testing.T) {
	out := explore.Try(t, func(e *explore.Run) { e.Go("a", func() {}); e.Wait() }, explore.Schedules(1))
	if !out.Controlled {
		t.Fatal(out)
	}
}
`

// cost is what a command took: elapsed, and of the processor, with all that it has started.
type cost struct{ elapsed, processor time.Duration }

func (c cost) String() string {
	return fmt.Sprintf("%v of processor time, %v elapsed", c.processor.Round(10*time.Millisecond),
		c.elapsed.Round(10*time.Millisecond))
}

// builds writes what it costs to build a binary with the controlled runtime, beyond the
// build that go test makes anyway: the first one, one after a change, and none.
func builds(w io.Writer, root string) error {
	place, err := os.MkdirTemp("", "explorebench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(place)
	run := func(args ...string) (cost, error) {
		cmd := exec.Command("go", append([]string{"test", "-mod=mod"}, args...)...)
		cmd.Dir = place
		cache := filepath.Join(place, "cache")
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOCACHE="+cache, "XDG_CACHE_HOME="+cache)
		start := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			return cost{}, fmt.Errorf("%w: %s", err, out)
		}
		return cost{time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
	}
	for _, of := range []struct{ name, change string }{
		{"the first", ""}, {"after a change", "\nvar Changed = 1\n"}, {"after none", "\nvar Changed = 1\n"},
	} {
		if err := writeFiles(place, root, "built", map[string]string{"built_test.go": builtTest + of.change}); err != nil {
			return err
		}
		if _, err := run("-run=^$", "."); err != nil { // what go test builds anyway
			return err
		}
		c, err := run("-count=1", ".")
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "build, %s: %v\n", of.name, c)
	}
	return nil
}
