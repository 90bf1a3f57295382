package main

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
	"time"
)

// outcome is how the tests of a mutant ended.
type outcome string

const (
	killed   outcome = "killed"
	late     outcome = "killed by time"
	survived outcome = "survived"
	invalid  outcome = "does not compile"
)

// trial is a run of the tests.
type trial struct {
	outcome outcome
	says    string // the first sentence of a failure
	took    time.Duration
}

// suite is the tests that are to see a fault.
type suite struct {
	tests string        // a package
	run   string        // a regular expression
	most  time.Duration // that a run may take; 0 for no limit
	place string        // a folder for files
}

// try runs the tests, with a mutant instead of its file if there is one.
func (s suite) try(ctx context.Context, m *mutant) (trial, error) {
	flags := os.Getenv("GOFLAGS")
	if m != nil {
		source, index := filepath.Join(s.place, "mutant.go"), filepath.Join(s.place, "overlay.json")
		text, err := json.Marshal(map[string]any{"Replace": map[string]string{m.file: source}})
		if err == nil {
			err = errors.Join(os.WriteFile(source, m.text, 0o666), os.WriteFile(index, text, 0o666))
		}
		if err != nil {
			return trial{}, err
		}
		flags = strings.TrimSpace(flags + " -overlay=" + index)
	}
	if s.most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.most)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-short", "-count=1", "-vet=off", "-timeout=0", "-run", s.run, s.tests)
	cmd.Env = append(os.Environ(), "GOFLAGS="+flags)
	cmd.WaitDelay = waitDelay
	asOne(cmd)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	began := time.Now()
	err := cmd.Run()
	t := trial{took: time.Since(began)}
	var exit *exec.ExitError
	switch {
	case err == nil:
		t.outcome = survived
		if noTests.Match(said.Bytes()) {
			return t, fmt.Errorf("go test -run %s %s: there are no such tests", s.run, s.tests)
		}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		t.outcome = late
	case ctx.Err() != nil:
		return t, ctx.Err()
	case !errors.As(err, &exit):
		return t, err
	case bytes.Contains(said.Bytes(), []byte("[build failed]")):
		t.outcome = invalid
	default:
		t.outcome = killed
	}
	t.says = firstSentence(said.String())
	return t, nil
}

// waitDelay is how long output is waited for once the tests have been ended.
const waitDelay = 5 * time.Second

var (
	noTests = regexp.MustCompile(`(?m)^ok .*\[no tests to run\]$`)
	// saying is a line that a test has printed, of which the place is cut off.
	saying = regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: (.+)$`)
	dying  = regexp.MustCompile(`(?m)^(panic: .+|fatal error: .+)$`)
)

// firstSentence is what a failing run says first.
func firstSentence(output string) string {
	for _, pattern := range []*regexp.Regexp{dying, saying} {
		if found := pattern.FindStringSubmatch(output); found != nil {
			return found[1]
		}
	}
	return ""
}
