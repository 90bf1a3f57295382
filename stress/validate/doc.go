// Package validate judges. It holds the thresholds of the nine scenarios as data, compares
// them with what was measured, and asserts the outcome.
//
// A [Criterion] is one line of the specification: a name, a comparison, a target and a
// unit. A [Checklist] holds all criteria of a run. Each begins as "not measured", and only
// [Checklist.Measure] and the like can make it passed: that verdict is computed from the
// figure, and no caller can set it.
package validate
