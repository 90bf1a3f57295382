package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tensile/stress/report"
	"tensile/stress/validate"
)

// counts tells whether a criterion is for what must never be seen: its figure is how
// often it was.
func (s *Scenario) counts(criterion string) bool {
	c, ok := s.find(criterion)
	return ok && c.Kind == validate.Must && c.Comparison == validate.Equal && c.Target == 0
}

// settle gives every criterion that has none the verdict it has come to, and takes
// back what says more than was tried: a criterion passes only if each phase that
// shows it has run, and one that counts what must never be seen only if they have passed.
func (s *Scenario) settle() {
	for _, check := range s.list.Checks() {
		name := strings.TrimPrefix(check.ID, s.ID+".")
		if n := s.Violated(name); n > 0 {
			s.settleViolated(check, name, n)
			continue
		}
		shows, why := s.wanting(name, s.counts(name))
		silent := check.Verdict == validate.NotMeasured && check.Note == "" && check.Beside == nil
		switch {
		case why != "" && (silent || check.Verdict == validate.Passed):
			s.NotMeasured(name, "%s", why)
		case silent && shows && s.counts(name):
			s.Measured(name, 0)
		}
	}
}

// settleViolated is settle for a criterion that was violated.
func (s *Scenario) settleViolated(check validate.Check, name string, violations int) {
	figure := float64(violations)
	switch {
	case check.Verdict == validate.Failed:
	case s.counts(name):
		if check.Measured != nil {
			figure = max(figure, *check.Measured)
		}
		s.Measured(name, figure)
	default:
		s.list.Break(check.ID, "what was wrong is said above")
	}
}

// wanting says why a criterion can not pass: of its phases, or of all where none
// shows it, some did not run, or, where they must have, did not pass. shows is false
// if no phase shows it.
func (s *Scenario) wanting(criterion string, passed bool) (shows bool, why string) {
	var wants []string
	whys := make(map[string][]string)
	for _, l := range s.lines {
		listed := slices.Contains(l.shows, criterion)
		shows = shows || listed
		if l.state == report.Passed || l.state == report.Failed && !(passed && listed) {
			continue
		}
		if listed {
			wants = append(wants, l.name)
		}
		whys[l.why] = append(whys[l.why], l.name)
	}
	if shows && len(wants) == 0 {
		return true, ""
	}
	var sentences []string
	for _, l := range s.lines {
		names := slices.DeleteFunc(slices.Clone(whys[l.why]),
			func(n string) bool { return shows && !slices.Contains(wants, n) })
		if len(names) > 0 {
			sentences = append(sentences, sentence(names, l.why))
			delete(whys, l.why)
		}
	}
	return shows, strings.Join(sentences, "; ")
}

// sentence says why phases did not pass.
func sentence(names []string, why string) string {
	const few = 3
	switch n := len(names); {
	case n == 1:
		return fmt.Sprintf("the phase %q %s", names[0], strings.Replace(why, "were", "was", 1))
	case n <= few:
		return fmt.Sprintf("the phases %s %s", strings.Join(inQuotes(names), " and "), why)
	default:
		return fmt.Sprintf("%d phases %s", n, why)
	}
}

func inQuotes(names []string) (all []string) {
	for _, name := range names {
		all = append(all, strconv.Quote(name))
	}
	return all
}

// filters names the flags of go test that left a phase out.
func filters() string {
	var set []string
	for _, name := range []string{"run", "skip"} {
		if strings.Contains(Flag("test."+name), "/") {
			set = append(set, "-"+name)
		}
	}
	if len(set) == 0 {
		return "-run or -skip"
	}
	return strings.Join(set, " and ")
}
