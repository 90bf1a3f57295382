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

// Phase is the explore phase of a kit.
type Phase struct {
	s        *scenario.Scenario
	parts    []Part
	packages []string
	built    <-chan struct{}
	ran      bool
	stock    bool // the schedules were not controlled
}

// Prepare begins to build what the phase needs, beside what the kit does until then.
// packages are those with points at plain memory. It returns nil, which is a phase
// that does nothing, if -run or -skip leaves the phase out.
func Prepare(s *scenario.Scenario, parts []Part, packages []string) *Phase {
	if leftOut(s.T.Name(), phaseName) {
		return nil
	}
	x := &Phase{s: s, parts: parts, packages: packages}
	x.built = explore.Prepare(explore.Memory(packages...))
	s.T.Cleanup(func() { <-x.built }) // so that no build outlives the test
	return x
}

// Run runs the phase, unless it has, there is none, or what it needs is not there within so long.
// It reports false if something was found.
func (x *Phase) Run(within time.Duration) bool {
	if x == nil || x.ran {
		return true
	}
	select {
	case <-x.built:
	case <-time.After(within):
		return true
	}
	x.ran = true
	return x.s.LongPhase(phaseName, buildBound, func(_ context.Context, t *testing.T) {
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
	})
}

// Soon is how long a kit waits for the phase to come first: a build that has
// nothing to compile takes no longer.
const Soon = 3 * time.Second

// Whenever is as long as it takes.
const Whenever = buildBound

// buildBound is more than a build from nothing takes.
const buildBound = 10 * time.Minute

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
