package report

import (
	"fmt"
	"slices"
	"strings"

	"tensile/stress/validate"
)

// severity orders the states of scenarios: that of a run is the last of its own.
var severity = []State{NotRun, NothingRan, Passed, Partial, Failed, Running, Interrupted}

// worse is the state of scenarios of which one is in each. Where nothing ran of one
// and another has passed, the two have in part.
func worse(a, b State) State {
	if slices.Index(severity, a) > slices.Index(severity, b) {
		a, b = b, a
	}
	if a == NothingRan && b == Passed {
		return Partial
	}
	return b
}

// outcome is a state in words: of one that passed it says what was not judged.
func (s State) outcome(run, all int, checks []validate.Check) string {
	switch s {
	case Partial:
		return fmt.Sprintf("%s (%d of %d phases)", Passed, run, all)
	case Passed:
		missing := unjudged(checks)
		if len(missing) == 0 {
			break
		}
		if !slices.ContainsFunc(missing, func(c validate.Check) bool { return !c.InTime() }) {
			return string(Passed) + ", timing not judged"
		}
		return fmt.Sprintf("%s, %s not measured", Passed, counted(len(missing), "check"))
	}
	return string(s)
}

// unjudged are the checks that must hold and have no verdict.
func unjudged(checks []validate.Check) []validate.Check {
	return slices.DeleteFunc(slices.Clone(checks), func(c validate.Check) bool {
		return c.Kind != validate.Must || c.Verdict != validate.NotMeasured
	})
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// words are how the scenario ended.
func (s *Scenario) words() string { return s.State.outcome(s.PhasesRun, s.PhasesAll, s.Checks) }

// words are how the run ended.
func (r *Run) words() string {
	run, all := 0, 0
	var checks []validate.Check
	for _, s := range r.ran() {
		run, all = run+s.PhasesRun, all+s.PhasesAll
		checks = append(checks, s.Checks...)
	}
	return r.State.outcome(run, all, checks)
}

// ran are the scenarios that were run.
func (r *Run) ran() []*Scenario {
	return slices.DeleteFunc(slices.Clone(r.Scenarios), func(s *Scenario) bool { return s.State == NotRun })
}

// idle are the titles of those that were not.
func (r *Run) idle() (titles []string) {
	for _, s := range r.Scenarios {
		if s.State == NotRun {
			titles = append(titles, s.Title)
		}
	}
	return titles
}

// whole tells whether all scenarios were run: only then the six criteria say anything.
func (r *Run) whole() bool { return len(r.Scenarios) > 0 && len(r.idle()) == 0 }

// verdict says in a word and a sentence how the run ended.
func verdict(r *Run) (word, sentence, class string) {
	count := r.scenarios()
	held, failed, missing := 0, 0, 0
	if r.whole() {
		for _, a := range r.Acceptance {
			switch a.Verdict {
			case validate.Passed:
				held++
			case validate.Failed:
				failed++
			default:
				missing++
			}
		}
		count = fmt.Sprintf("%d of the %d criteria hold, %d failed, %d were not measured in full.",
			held, len(r.Acceptance), failed, missing)
	}
	switch {
	case r.State == Running && len(r.ran()) == 0:
		return "Nothing has run yet", "This page is written again as each scenario begins and ends.", "not-measured"
	case r.State == Running:
		return "Not finished", "This is the run as it was when the page was written. " + count, "not-measured"
	case r.State == Interrupted:
		return "Interrupted", "The run did not come to its end. " + count, "failed"
	case r.State == Failed || failed > 0:
		return "Failed", count, "failed"
	case r.State == NothingRan:
		return "Nothing ran", "Every phase was left out by -run or -skip.", "not-measured"
	case r.State == Partial:
		return capital(r.words()), "What ran has passed, and -run or -skip left out the rest. " + count, "not-measured"
	case missing > 0:
		return "Nothing failed", count, "not-measured"
	case r.whole():
		return "Passed", "All six acceptance criteria hold.", "passed"
	}
	return capital(r.words()), count, "passed"
}

// capital begins a text with a capital letter.
func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// scenarios says how each ended that was run.
func (r *Run) scenarios() string {
	var ended []string
	for _, s := range r.ran() {
		ended = append(ended, s.Title+": "+s.words())
	}
	return strings.Join(ended, "; ") + "."
}
