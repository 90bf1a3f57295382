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

// startMonitor has the runtime write what kills this process to the monitor, and
// returns the way to it.
func startMonitor(folder *report.Folder) (*os.File, error) {
	output, err := proc.StartWatcher(monitorRole, folder.Dir())
	if err != nil {
		return nil, err
	}
	return output, debug.SetCrashOutput(output, debug.CrashOptions{})
}

// word begins a line of the process itself among what the runtime writes.
const word = "\x00"

// tell tells the monitor which phase is at work.
func tell(monitor *os.File, phase string) {
	if monitor != nil {
		_, _ = fmt.Fprintf(monitor, "%s%s\n", word, phase) // a monitor that is gone can not be helped
	}
}

// heard takes the lines of the process out of what came, and returns the phase that
// the last of them names.
func heard(text string) (phase, rest string) {
	var other strings.Builder
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, word); ok {
			phase = strings.TrimSpace(name)
		} else {
			other.WriteString(line)
		}
	}
	return phase, other.String()
}

// mostCrash bounds what is kept of a crash, in bytes: with 100,000 goroutines
// the stacks would fill the disk.
const mostCrash = 1 << 20

// monitor waits for the end of the run, and closes the report if the run did
// not.
func monitor(dir string, input io.Reader) error {
	said, err := io.ReadAll(io.LimitReader(input, mostCrash))
	if err != nil {
		return err
	}
	phase, text := heard(string(said))
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
	state, why := report.Interrupted, "the process ended without a word"+during(phase)+", as by SIGKILL or os.Exit"
	if len(text) > 0 {
		if err := os.WriteFile(folder.Path(report.CrashName), []byte(text), 0o644); err != nil {
			return err
		}
		state, why = report.Failed, fmt.Sprintf("the process crashed%s: %s (the rest is in %s)", during(phase),
			firstWords(text), report.CrashName)
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
