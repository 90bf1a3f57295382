package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"tensile/stress/internal/settings"
	"tensile/stress/load"
	"tensile/stress/validate"
)

// Test offers a load in the role that the environment sets: alone, or in a fleet, as its lead
// or as an agent. A fleet is identified by the package and the name of the test, and by
// STRESS_FLEET_NAME. If STRESS_RATE or STRESS_ARRIVALS is set, it takes precedence over the
// load.
//
// The test fails if the fleet has no result, or if the result misses a criterion. A part that
// is not measured fails the test only if no other part was measured. The lead, or a process
// that is alone, writes fleet.json and fleet.md to the folder STRESS_OUT and returns the
// result. An agent returns nil.
//
// An interrupt ends the process, after it has told the others.
func Test(tb testing.TB, l Load) *Result {
	tb.Helper()
	set, err := settings.FromEnvironment(settings.Build{Short: testing.Short(), Root: settings.Root()})
	o, bad := fromEnvironment(os.Environ())
	if err := errors.Join(err, bad); err != nil {
		tb.Fatal(err)
	}
	if set.Rate > 0 {
		l.Rate = set.Rate
	}
	if set.Arrivals != load.Constant {
		l.Arrivals = set.Arrivals
	}
	o.Seed, o.Patience = set.Seed, set.Patience
	o.Name = strings.TrimSpace(callersPackage() + " " + tb.Name() + " " + o.Name)
	ctx, stop := until(tb)
	result, err := Run(ctx, o, l)
	stop()
	var by interruption
	switch {
	case errors.As(err, &by):
		fmt.Fprintf(os.Stderr, "%s: %v\n", tb.Name(), err)
		os.Exit(by.code())
	case err != nil:
		tb.Fatal(err)
	case result == nil:
		tb.Log("fleet: the part of this agent is with the lead")
		return nil
	}
	if err := keep(set.Out, result); err != nil {
		tb.Errorf("fleet: STRESS_OUT=%q, must be a folder that can be written: %v", set.Out, err)
	}
	tb.Log(result)
	for _, note := range result.Notes {
		tb.Log(note)
	}
	validate.Assert(tb, result.Checks)
	return result
}

// callersPackage is the import path of who called Test.
func callersPackage() string {
	pc, _, _, ok := runtime.Caller(2)
	if !ok {
		return ""
	}
	name := runtime.FuncForPC(pc).Name()
	folder := strings.LastIndex(name, "/") + 1
	dot := strings.Index(name[folder:], ".")
	return name[:folder+max(dot, 0)]
}

// interruption is the end of a run by a signal.
type interruption struct{ by os.Signal }

func (i interruption) Error() string { return "interrupted by " + i.by.String() }

func (i interruption) code() int {
	if number, ok := i.by.(syscall.Signal); ok {
		return 128 + int(number)
	}
	return 1
}

// errDeadline ends a run that the time limit of the test would cut off.
var errDeadline = errors.New("fleet: the time limit of the test is near")

// farewell is the time that it takes to tell others and clean up.
const farewell = 2*time.Second + load.Grace

// until is the context of a run: it ends with the test, before its time limit,
// or by a signal. A second signal ends the process at once.
func until(tb testing.TB) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(tb.Context())
	release := func() {}
	if limited, ok := tb.(interface{ Deadline() (time.Time, bool) }); ok {
		if at, ok := limited.Deadline(); ok {
			ctx, release = context.WithDeadlineCause(ctx, at.Add(-farewell), errDeadline)
		}
	}
	signals, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer close(over)
		select {
		case by := <-signals:
			signal.Stop(signals)
			cancel(interruption{by})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		release()
		cancel(nil)
		<-over
	}
}
