package validate

import (
	"slices"
	"strings"
)

// settable tells whether another target than that of the specification may be set
// for c: for rates, times and memory of a scenario, as subjects differ there, and for
// the memory of all. What is right or wrong has no other target.
func (c Criterion) settable() bool {
	if c.Scenario == WholeRun {
		return c.Subject() == PeakMemory
	}
	return c.InTime() || c.Unit == "bytes" || c.Unit == "MB"
}

// WithTargets returns criteria with the targets set, by ID, in place of their own.
// One of the whole run is that of all its parts that have none of their own.
func WithTargets(criteria []Criterion, targets map[string]float64) []Criterion {
	set := slices.Clone(criteria)
	for i, c := range set {
		target, ok := targets[c.ID]
		if !ok {
			target, ok = targets[WholeRun+"."+c.Part]
		}
		if ok {
			specified := c.Target
			set[i].Target, set[i].Specified = target, &specified
			set[i].Floor *= target / specified
		}
	}
	return set
}

// SettableIDs are those of all criteria that are settable, in order.
func SettableIDs() (ids []string) {
	for _, c := range Criteria {
		if c.settable() {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// settled joins what is said of a target: that it was set, and how it was adjusted.
func (c Criterion) settled(adjusted string) string {
	if c.Specified == nil {
		return adjusted
	}
	said := []string{"target set, the specification has " + Number(*c.Specified)}
	if adjusted != "" {
		said = append(said, adjusted)
	}
	return strings.Join(said, "; ")
}
