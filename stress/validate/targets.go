package validate

import (
	"slices"
	"strings"
)

// settable tells whether another target than that of the specification may be set
// for c: for rates, times and memory of a scenario, as subjects differ there. What
// is right or wrong has no other target.
func (c Criterion) settable() bool {
	return c.Scenario != WholeRun && (c.InTime() || c.Unit == "bytes")
}

// WithTargets returns criteria with the targets set, by ID, in place of their own.
func WithTargets(criteria []Criterion, targets map[string]float64) []Criterion {
	set := slices.Clone(criteria)
	for i, c := range set {
		if target, ok := targets[c.ID]; ok {
			specified := c.Target
			set[i].Target, set[i].Specified = target, &specified
		}
	}
	return set
}

// SettableIDs are those of all criteria that are settable, in order.
func SettableIDs() (ids []string) {
	for _, s := range Scenarios {
		for _, c := range Of(s.ID) {
			if c.settable() {
				ids = append(ids, c.ID)
			}
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
