package explore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tensile/stress/explore/internal/overlay"
	"tensile/stress/internal/proc"
)

// explored has another process explore the function of this call.
func explored(t *testing.T, o options, earlier []Outcome) (Outcome, error) {
	binary, err := controlled(o)
	if err != nil {
		return Outcome{}, err
	}
	r := request{Package: ownPackage(), Test: t.Name(), Earlier: earlier, Options: o}
	a, output, err := r.ask(t, binary)
	var out Outcome
	if err == nil {
		out, err = a.judged(output)
	} else {
		out, err = r.died(t, binary, err)
	}
	if f := out.Failure; f != nil {
		f.Command = fmt.Sprintf("STRESS_SCHEDULE=%s go test -run '%s' %s", f.Schedule, pattern(r.Test), r.Package)
		f.Fresh = o.Schedule != "" || r.repeats(t, binary, f)
	}
	return out, err
}

// died finds the schedule in which the process has died, by running it again.
func (r request) died(t *testing.T, binary string, err error) (Outcome, error) {
	r.Announce = true
	_, output, again := r.ask(t, binary)
	var dead *deadError
	if !errors.As(again, &dead) || dead.schedule == "" {
		return Outcome{}, fmt.Errorf("%w: %w", overlay.ErrNotOffered, err)
	}
	f := &Failure{Kind: kindCrash, Sentence: "the process died: " + dead.line(), Schedule: dead.schedule,
		After: dead.number, Output: output}
	return Outcome{Controlled: true, Seed: r.Options.Seed, Depth: r.Options.Depth, Schedules: dead.number, Failure: f}, nil
}

// repeats tells whether a process of its own fails in the same way by the schedule
// of a failure.
func (r request) repeats(t *testing.T, binary string, f *Failure) bool {
	r.Options.Schedule, r.quiet = f.Schedule, true
	a, _, err := r.ask(t, binary)
	if f.Kind == kindCrash {
		return err != nil
	}
	again := a.Outcome.Failure
	return err == nil && again != nil && again.Kind == f.Kind && again.Sentence == f.Sentence
}

func (a answer) judged(output string) (Outcome, error) {
	if a.Refused != "" {
		return Outcome{}, fmt.Errorf("%w: %s", overlay.ErrNotOffered, a.Refused)
	}
	if a.Outcome.Failure != nil {
		a.Outcome.Failure.Output = output
	}
	return a.Outcome, nil
}

// deadError is a process that ended without an answer.
type deadError struct {
	err      error
	output   string
	schedule string // that it had announced
	number   int
}

func (d *deadError) Error() string {
	return fmt.Sprintf("the process ended without an answer: %v: %s", d.err, oneLine(d.output, 300))
}

var fatalLine = regexp.MustCompile(`(?m)^(fatal error: .*|panic: .*|SIG[A-Z]+: .*)$`)

// line is what the process said of its end.
func (d *deadError) line() string {
	if line := fatalLine.FindString(d.output); line != "" {
		return line
	}
	return fmt.Sprint(d.err)
}

// ask runs a process for the request and waits for its answer.
func (r request) ask(t *testing.T, binary string) (a answer, output string, err error) {
	place, err := os.MkdirTemp("", "explore-")
	if err != nil {
		return a, "", err
	}
	defer os.RemoveAll(place)
	if err := write(filepath.Join(place, requestFile), r); err != nil {
		return a, "", err
	}
	ctx := context.Background()
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/20))
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, binary, arguments(r.Test)...)
	cmd.Dir = folder
	proc.OwnGroup(cmd)
	cmd.Env = append(os.Environ(), requestVariable+"="+place, "GOMAXPROCS=1", "PWD="+folder,
		"GORACE="+os.Getenv("GORACE")+" halt_on_error=0 suppress_equal_stacks=0 suppress_equal_addresses=0")
	tail := &tail{most: 64 << 10}
	cmd.Stdout, cmd.Stderr = tail, tail
	// The process ends when this one does: its standard input is then closed.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return a, "", err
	}
	defer stdin.Close()
	ended := cmd.Run()
	text, err := os.ReadFile(filepath.Join(place, answerFile))
	if err == nil {
		err = json.Unmarshal(text, &a)
		output := strings.TrimSpace(strings.TrimSuffix(tail.String(), "PASS"))
		if r.Options.Schedule != "" && !r.quiet && output != "" {
			fmt.Println(output) // whoever repeats one schedule looks at what it prints
		}
		return a, output, err
	}
	if ctx.Err() != nil {
		t.Fatalf("explore: the time of this test was up before all of %d schedules had been run", r.Options.Schedules)
	}
	dead := &deadError{err: ended, output: tail.String()}
	if text, err := os.ReadFile(filepath.Join(place, announceFile)); err == nil {
		fmt.Sscan(string(text), &dead.number, &dead.schedule)
	}
	return a, tail.String(), dead
}

// pattern is what -run takes for that test alone.
func pattern(test string) string {
	var parts []string
	for part := range strings.SplitSeq(test, "/") {
		parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
	}
	return strings.Join(parts, "/")
}

// arguments has another process run that test alone, with the flags of the user's
// own that this one was given.
func arguments(test string) []string {
	args := []string{"-test.run=" + pattern(test), "-test.count=1", "-test.timeout=0"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	for _, arg := range os.Args[1:] {
		if name := strings.TrimLeft(arg, "-"); !strings.HasPrefix(name, "test.") {
			args = append(args, arg)
		}
	}
	return args
}

// tail keeps the end of what is written.
type tail struct {
	most int
	text []byte
	cut  bool
}

func (w *tail) Write(p []byte) (int, error) {
	w.text = append(w.text, p...)
	if over := len(w.text) - w.most; over > w.most {
		w.text = append(w.text[:0], w.text[over:]...)
		w.cut = true
	}
	return len(p), nil
}

func (w *tail) String() string {
	text := string(bytes.TrimSpace(w.text))
	if w.cut {
		text = "...\n" + text
	}
	return text
}
