package run

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"tensile/stress/internal/proc"
	"tensile/stress/report"
)

// The monitor is a process that outlives the run, for one purpose: where a
// subject panics on a goroutine of its own, or the process is killed, nothing
// in the process itself can still write the report.
const monitorRole = "monitor"

func init() { proc.HandleWatcher(monitorRole, monitor) }

// startMonitor has the runtime write what kills this process to the monitor.
func startMonitor(folder *report.Folder) error {
	output, err := proc.StartWatcher(monitorRole, folder.Dir())
	if err != nil {
		return err
	}
	// The runtime keeps a copy of its own, which lives as long as the process.
	return errors.Join(debug.SetCrashOutput(output, debug.CrashOptions{}), output.Close())
}

// mostCrash bounds what is kept of a crash, in bytes: with 100,000 goroutines
// the stacks would fill the disk.
const mostCrash = 1 << 20

// monitor waits for the end of the run, and closes the report if the run did
// not.
func monitor(dir string, input io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(input, mostCrash))
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, input); err != nil {
		return err
	}
	r, err := report.Load(dir)
	if err != nil || r.State != report.Running {
		return err
	}
	folder, err := report.Reopen(dir)
	if err != nil {
		return err
	}
	state, why := report.Interrupted, "the process ended without a word, as by SIGKILL or os.Exit"
	if len(text) > 0 {
		if err := os.WriteFile(folder.Path(report.CrashName), text, 0o644); err != nil {
			return err
		}
		state, why = report.Failed, fmt.Sprintf("the process crashed: %s (the rest is in %s)", firstWords(string(text)), report.CrashName)
	}
	for _, s := range r.Scenarios {
		if s.State == report.Running {
			s.State = state
			s.Failures = append(s.Failures, why)
			fmt.Fprintln(os.Stderr, s.Line())
		}
	}
	folder.Logf("%s", why)
	report.Derive(r)
	fmt.Fprintf(os.Stderr, "stress: %s; report in %s\n", why, dir)
	if os.Getenv(actionsVariable) == "true" {
		fmt.Fprintf(os.Stderr, "::error title=Stress::%s\n", data(why))
	}
	summarize(folder, r)
	return errors.Join(folder.Write(r), folder.Close())
}

// firstWords is the message of a crash without its stacks.
func firstWords(text string) string {
	message, _, _ := strings.Cut(text, "\n\ngoroutine ")
	const most = 500
	if len(message) > most {
		message = message[:most] + " …"
	}
	return strings.TrimSpace(message)
}
