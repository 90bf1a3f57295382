//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"tensile/stress/report"
	"tensile/stress/validate"
)

// outcome is what came of a run.
type outcome string

const (
	green  outcome = "passed"
	slow   outcome = "failed, as too slow"
	wrong  outcome = "failed, as faulty" // by a check that the machine has no part in
	broken outcome = "failed without a report"
)

// tooLong is when a run is ended that does not end.
const tooLong = 5 * time.Minute

// try runs a subject once.
func try(c condition, s subject, binary, out string) (outcome, error) {
	if err := os.RemoveAll(out); err != nil {
		return "", err
	}
	if c.disturb != "" {
		stop, err := start(c.disturb)
		if err != nil {
			return "", err
		}
		defer stop()
	}
	args := append(slices.Clone(c.wrap), binary, "-test.run="+s.test, "-test.short", "-test.timeout="+tooLong.String())
	test := exec.Command(args[0], args[1:]...)
	test.Env = append(os.Environ(), "STRESS_OUT="+out, "TENSILE_PLANTED="+s.planted, "GITHUB_ACTIONS=", "CI=1")
	test.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var said bytes.Buffer
	test.Stdout, test.Stderr = &said, &said
	if err := test.Start(); err != nil {
		return "", err
	}
	stop := func() {}
	if c.strike != nil {
		stop = c.strike(test.Process.Pid)
	}
	err := test.Wait()
	stop()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return "", err
	}
	r, loaded := report.Load(out)
	if loaded != nil || r.Totals.Scenarios == 0 {
		fmt.Fprintf(os.Stderr, "%s\n", said.Bytes())
		return broken, nil
	}
	o := judge(r)
	if o == green && err != nil {
		o = broken
	}
	if o == wrong || o == broken || o == slow && s.planted == "" {
		fmt.Fprintf(os.Stderr, "%s\n", complaints(r))
	}
	return o, nil
}

// judge tells what a report says: a run that failed by nothing but figures in time
// called its subject slow.
func judge(r *report.Run) outcome {
	o := green
	for _, s := range r.Scenarios {
		failed := validate.FailedOf(s.Checks)
		for _, c := range failed {
			if !c.InTime() {
				return wrong
			}
			o = slow
		}
		if len(s.Failures) > len(failed) {
			return wrong
		}
	}
	return o
}

func complaints(r *report.Run) string {
	var all []string
	for _, s := range r.Scenarios {
		all = append(all, s.Failures...)
	}
	return strings.Join(all, "\n")
}
