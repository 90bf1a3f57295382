package programs

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"tensile/stress/explore"
	"tensile/stress/internal/scenario"
)

// Part is one exploration of the phase, by programs of one kind.
type Part struct {
	Name string // of the subtest
	Body func(t *testing.T) func(*explore.Run)
	// Short is for how long it runs with -short, and Full without.
	Short, Full time.Duration
	Least       int // schedules, however long they take
	Learning    int // see [explore.Learning]; 0 for its default
	// Coverage says what was reached; nil for nothing to say.
	Coverage func(counts map[string]int) Coverage
}

// phaseName is the subtest of the whole phase.
const phaseName = "explore"

// mostSchedules is more than are run in any time.
const mostSchedules = 1 << 20

// Alone does what a process is for that does nothing but explore: one that was
// started to run schedules, and one that repeats a schedule. It reports whether
// this is one. packages are those with points at plain memory.
func Alone(t *testing.T, parts []Part, packages func(*testing.T) []string) bool {
	repeats := os.Getenv("STRESS_SCHEDULE") != ""
	if !repeats && !explore.Serving() {
		return false
	}
	var observed []string
	if !explore.Serving() { // which is told by who started it
		observed = packages(t)
	}
	t.Run(phaseName, func(t *testing.T) {
		for _, part := range parts {
			t.Run(part.Name, func(t *testing.T) { explore.Test(t, part.Body(t), part.always(observed)...) })
		}
	})
	return true
}

// Phase is the explore phase of a kit. A nil one is never ready.
type Phase struct {
	s        *scenario.Scenario
	parts    []Part
	packages []string
	built    <-chan struct{} // nil if -run or -skip leaves the phase out
	stock    bool            // the schedules were not controlled
}

// Prepare begins to build what the phase needs, beside what the kit does until then.
// packages are those with points at plain memory.
func Prepare(s *scenario.Scenario, parts []Part, packages []string) *Phase {
	x := &Phase{s: s, parts: parts, packages: packages}
	if !leftOut(s.T.Name(), phaseName) {
		x.built = explore.Prepare(explore.Memory(packages...))
		s.T.Cleanup(func() { <-x.built }) // so that no build outlives the test
	}
	return x
}

const (
	// soon is how long a kit waits for the phase to come first: a build that has
	// nothing to compile takes no longer.
	soon = 3 * time.Second
	// buildBound is more than a build from nothing takes.
	buildBound = 10 * time.Minute
)

// Soon is the phase where it can come first: then what it finds is told first.
func (x *Phase) Soon() scenario.Phase { return x.line(func() bool { return x.within(soon) }) }

// Whenever is the phase where it was not there soon.
func (x *Phase) Whenever() scenario.Phase {
	return x.line(func() bool {
		if x != nil && !x.s.Aborted {
			x.within(buildBound)
		}
		return x != nil
	})
}

func (x *Phase) line(ready func() bool) scenario.Phase {
	return scenario.Phase{Name: phaseName, Body: func(_ context.Context, t *testing.T) { x.explore(t) }, Shows: "explored",
		Bound: buildBound, Ready: ready}
}

// within tells whether what the phase needs is there within so long.
func (x *Phase) within(d time.Duration) bool {
	switch {
	case x == nil:
		return false
	case x.built == nil:
		return true
	}
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-x.built:
		return true
	case <-late.C:
		return false
	}
}

func (x *Phase) explore(t *testing.T) {
	failed := 0
	for _, part := range x.parts {
		t.Run(part.Name, func(t *testing.T) {
			if out := explore.Try(t, part.Body(t), x.options(part)...); !x.judge(part, out) {
				failed++
			}
		})
	}
	if failed > 0 || !x.stock {
		x.s.Measured("explored", float64(failed))
	}
}

func (x *Phase) options(part Part) []explore.Option {
	within := part.Full
	if testing.Short() {
		within = part.Short
	}
	return append(part.always(x.packages), explore.Seed(x.s.Seed), explore.Schedules(mostSchedules),
		explore.Within(within, part.Least))
}

// always are the options that a schedule means the same with.
func (p Part) always(packages []string) []explore.Option {
	options := []explore.Option{explore.Memory(packages...), explore.Points(mostPoints)}
	if p.Learning > 0 {
		options = append(options, explore.Learning(p.Learning))
	}
	return options
}

// mostPoints is room for thousands of goroutines in a program.
const mostPoints = 2_000_000

// judge puts into the report what came of a part.
func (x *Phase) judge(part Part, out explore.Outcome) bool {
	text := fmt.Sprintf("Explored, %s: %s.", part.Name, strings.TrimPrefix(out.String(), "explore: passed, "))
	if f := out.Failure; f != nil {
		x.fail(part, out)
		text = fmt.Sprintf("Explored, %s: failed after %d schedules.", part.Name, f.After)
	}
	if part.Coverage != nil {
		text += " " + part.Coverage(out.Counts).String() + "."
	}
	x.s.Note("%s", text)
	if !out.Controlled {
		x.stock = true
		x.s.NotMeasured("explored", "the schedules are not controlled: %s", out.Reason)
	}
	return out.Failure == nil
}

// byCriterion takes the criterion off the beginning of a sentence.
func byCriterion(s *scenario.Scenario, text string) (criterion, sentence string) {
	criterion, sentence, ok := strings.Cut(text, ": ")
	if !ok || math.IsNaN(s.Target(criterion)) {
		return "explored", text
	}
	return criterion, sentence
}

// fail says what was found: the sentence by its criterion, the program, and what
// repeats it. The interleaving goes beside the evidence.
func (x *Phase) fail(part Part, out explore.Outcome) {
	f := out.Failure
	criterion, sentence := byCriterion(x.s, f.Sentence)
	if file, err := x.s.Run.Folder.CreateEvidence(x.s.ID + "." + part.Name + ".txt"); err == nil {
		_, _ = fmt.Fprintln(file, out) // beside what is reported here
		_ = file.Close()
	}
	if f.Program != "" {
		sentence += "\n" + f.Program
	}
	if f.Command != "" {
		sentence += "\nto repeat it: " + f.Command
	}
	x.s.Violate(criterion, "%s", sentence)
}
