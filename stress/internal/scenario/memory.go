package scenario

import (
	"fmt"
	"regexp"
	"time"

	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// ownFunctions are those of the kits, and of what only they call.
var ownFunctions = regexp.MustCompile(`^(tensile/stress/(internal/|explore/internal/)|` +
	`tensile/stress/([a-z]+test|explore|load|measure|node|report|report/chart|validate)\.|` +
	`github\.com/(anishathalye|aclements|montanaflynn|stretchr)/|go\.uber\.org/goleak|go\.yaml\.in/)`)

// Own tells whether a function is a kit's, and so is what it allocates.
func Own(function string) bool { return ownFunctions.MatchString(function) }

// startMemory begins the account of memory. Where the subject is in this process it is
// told apart from the kit once both hold more than the subject may.
func (s *Scenario) startMemory() {
	if s.Run.Bloated {
		return
	}
	var watch *measure.Watch
	if s.list.Has(s.ID + "." + validate.PeakMemory) {
		watch = &measure.Watch{Bound: s.MemoryBound(validate.PeakMemory), Kit: Own, Over: func() {
			s.evident.Do(func() { s.kept = s.keepEvidence() })
		}}
	}
	s.memory = measure.StartSampler(s.Began, 20*time.Millisecond, watch)
}

// MemoryBound is the target of a criterion for memory, in bytes.
func (s *Scenario) MemoryBound(criterion string) int64 {
	return int64(s.criterion(criterion).Bound(s.Conditions()) * 1e6)
}

// StopMemory ends the account of memory, unless that was done before.
func (s *Scenario) StopMemory() {
	s.mu.Lock()
	memory := s.memory
	s.memory = nil
	s.mu.Unlock()
	if memory != nil { // its last look may take a while, and keep evidence
		use := memory.Stop()
		s.Record(func(r *report.Scenario) { r.Memory = &use })
	}
}

// judgeMemory judges what the subject held in this process.
func (s *Scenario) judgeMemory() {
	const criterion = validate.PeakMemory
	switch use := s.result.Memory; {
	case !s.list.Has(s.ID + "." + criterion):
	case use == nil:
		s.NotMeasured(criterion, "a search in an earlier scenario has changed the memory of this process for good")
	default:
		s.JudgeMemory(criterion, *use.Subject, during(s.result.Phases, use.Subject))
	}
}

// JudgeMemory judges what a subject held, and says where.
func (s *Scenario) JudgeMemory(criterion string, held measure.Subject, where string) {
	split := held.Split
	if s.Environment().Race {
		s.NotMeasured(criterion, report.RaceReason)
		return
	}
	if split != nil && split.Unknown != "" && held.Peak > s.MemoryBound(criterion) {
		s.NotMeasured(criterion, "%s; kit and subject held %.0f MB", split.Unknown, float64(held.Peak)/1e6)
		return
	}
	s.Measured(criterion, float64(held.Peak)/1e6)
	what := "all heap and stacks of the process, the kit's too"
	if split != nil {
		what = where + split.String()
	}
	s.list.Explain(s.ID+"."+criterion, what)
}

// during names the phase in which the subject held most: what it holds between two is left
// by the one before.
func during(phases []report.Phase, held *measure.Subject) string {
	if held.Split == nil {
		return ""
	}
	name := ""
	for _, p := range phases {
		if p.Seconds > 0 && p.At <= held.Split.At {
			name = fmt.Sprintf("in %q: ", p.Name)
		}
	}
	return name
}
