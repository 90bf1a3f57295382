package chaostest

import (
	"slices"
	"testing"

	"tensile/stress/internal/programs"
)

// explorations are those of the subjects that need no process of their own.
func explorations(subjects Subjects) (parts []programs.Part) {
	if subjects.Engine != nil {
		parts = (&engineKit{open: subjects.Engine}).explorations()
	}
	if subjects.Workers != nil {
		parts = append(parts, shiftsOf(subjects.Workers)...)
	}
	return parts
}

// packages are those of the subjects that are explored.
func packages(t *testing.T, subjects Subjects) (found []string) {
	if subjects.Engine != nil {
		found = programs.Packages(subjects.Engine, subjects.Engine(t))
	}
	found = append(found, crewPackages(t, subjects.Workers)...)
	slices.Sort(found)
	return slices.Compact(found)
}
