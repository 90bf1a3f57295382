// Package validate judges. It holds every threshold of the nine scenarios as
// data, compares it with what was measured, and asserts the outcome.
//
// A [Criterion] is one line of the specification: a name, a comparison, a
// target, a unit. A [Checklist] holds all of them for one run; each begins as
// "not measured", and only [Checklist.Measure] can make it passed or failed.
// The verdict is computed from the figure; nobody sets it.
package validate
