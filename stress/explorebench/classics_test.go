package main

import (
	"testing"

	"tensile/stress/explore"
	"tensile/stress/internal/classics"
	"tensile/stress/internal/trials"
)

// TestClassics is what the program runs.
func TestClassics(t *testing.T) {
	effort := trials.Wanted(t)
	for _, c := range classics.Cases {
		t.Run(c.Name, func(t *testing.T) { classic(c, true).Measure(t, effort) })
	}
}

// classic is a case with its twin, with or without points at memory.
func classic(c classics.Case, memory bool) trials.Subject {
	run := func(sound bool) func(*explore.Run) {
		return func(e *explore.Run) {
			broken := c.Run(sound)
			e.Check(broken == "", "%s", broken)
		}
	}
	s := trials.Subject{Group: "classics", Name: c.Name, Run: run(false), Sound: run(true)}
	if memory {
		s.Options = append(s.Options, explore.Memory("tensile/stress/internal/classics"))
	}
	s.Is = func(f *explore.Failure) bool {
		return f.Kind == map[classics.Sign]string{classics.Broken: "check", classics.Deadlock: "deadlock",
			classics.Panic: "panic", classics.LeftOver: "left over"}[c.Shows]
	}
	return s
}
