package proc

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// argumentVariable holds what StartWatcher hands over.
const argumentVariable = "TENSILE_ARGUMENT"

// HandleWatcher is Handle for a role that outlives its parent: watch is given
// the argument of StartWatcher, and an input that ends when the parent does.
func HandleWatcher(role string, watch func(argument string, input io.Reader) error) {
	if os.Getenv(roleVariable) != role {
		return
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM) // they mean the parent
	if err := watch(os.Getenv(argumentVariable), os.Stdin); err != nil {
		fmt.Fprintf(os.Stderr, "tensile %s: %v\n", role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// StartWatcher executes this program again in a role of HandleWatcher. What is
// written to the file it returns is the watcher's input; the watcher ends by
// itself once every copy of that file is closed, as at the end of this process.
func StartWatcher(role, argument string) (*os.File, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	input, output, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = input.Close() }() // the watcher has its own
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, argumentVariable+"="+argument)
	// The go command waits until nobody can write to these any more: so the
	// watcher's work is done when the command returns.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		_ = output.Close()
		return nil, err
	}
	return output, cmd.Process.Release()
}
