package stress_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"tensile/stress/internal/settings"
)

// overNATS has the module that drives NATS run the same tests, with the same
// flags, and returns its exit code. Its report comes where this module's would.
func overNATS() int {
	args, flags := []string{"-C", "nats", "test", "-count=1"}, []string{"-args"}
	for _, flag := range os.Args[1:] {
		if limit, ok := strings.CutPrefix(flag, "-test.timeout="); ok {
			args = append(args, "-timeout="+limit) // the go command keeps it, too
		} else if !strings.HasPrefix(flag, "-test.testlogfile") { // of the go command that runs this one
			flags = append(flags, flag)
		}
	}
	args = append(args, flags...)
	run := exec.Command("go", args...)
	run.Stdout, run.Stderr = os.Stdout, os.Stderr
	if os.Getenv("STRESS_OUT") == "" {
		run.Env = append(os.Environ(), "STRESS_OUT="+filepath.Join(settings.Root(), "out"))
	}
	err := run.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, "stress: STRESS_ENGINE=nats:", err)
		return 1
	}
	return 0
}
