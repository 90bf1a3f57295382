package validate

import (
	"fmt"
	"slices"
	"strings"
)

// Acceptance is one of the six criteria by which a run as a whole is accepted.
// Its verdict follows from the checks of its scenarios.
type Acceptance struct {
	Number  int     `json:"number"`
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Note    string  `json:"note,omitempty"` // what failed, or is missing
}

var acceptances = []struct {
	name      string
	scenarios []string
}{
	{"the five base scenarios pass: formation, pooling, routing, queueing, memory",
		[]string{Formation, Pooling, Routing, Queueing, Memory}},
	{"the balancer spreads N evenly", []string{Balancing}},
	{"session state survives node failure", []string{Sessions}},
	{"inter-node communication carries N", []string{Messaging}},
	{"chaos is survived", []string{Chaos}},
	{"the figures for the whole run hold", []string{WholeRun}},
}

// Acceptances derives the six from all checks of a run: failed if any check that
// must hold failed, passed only if each was measured or is not offered by the
// subject, and otherwise not measured. broken are the scenarios that failed for
// another reason than a check; they fail their criterion too.
func Acceptances(checks []Check, broken []string) []Acceptance {
	all := make([]Acceptance, 0, len(acceptances))
	for i, a := range acceptances {
		var failed, missing []string
		measured := 0
		for _, scenario := range a.scenarios {
			if slices.Contains(broken, scenario) {
				failed = append(failed, scenario)
			}
		}
		for _, c := range checks {
			switch {
			case c.Kind != Must || !slices.Contains(a.scenarios, c.Scenario):
			case c.Verdict == Failed:
				failed = append(failed, c.ID)
			case c.Verdict == NotMeasured:
				missing = append(missing, c.ID)
			case c.Verdict == Passed:
				measured++
			}
		}
		outcome := Acceptance{Number: i + 1, Name: a.name, Verdict: Passed}
		switch {
		case len(failed) > 0:
			outcome.Verdict, outcome.Note = Failed, "failed: "+some(failed)
		case len(missing) > 0:
			outcome.Verdict, outcome.Note = NotMeasured, "not measured: "+some(missing)
		case measured == 0:
			outcome.Verdict, outcome.Note = NotMeasured, "nothing of it was measured"
		}
		all = append(all, outcome)
	}
	return all
}

// some names a few of many.
func some(ids []string) string {
	const few = 4
	if len(ids) <= few {
		return strings.Join(ids, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(ids[:few], ", "), len(ids)-few)
}
