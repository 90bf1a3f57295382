// Package validate judges. It holds the thresholds of the nine scenarios as data, compares
// them with what was measured, and asserts the outcome.
//
// A [Criterion] is one line of the specification: a name, a comparison, a target and a
// unit. A [Checklist] holds all criteria of a run. Each begins as "not measured". Only
// methods that are given a figure, such as [Checklist.Measure], can make it passed. They
// compute that verdict, and no caller can set it.
package validate
