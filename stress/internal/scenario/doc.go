// Package scenario takes one subject through the phases of one scenario: it
// enters it in the report, runs the phases as subtests under a time bound, judges
// what a kit has measured by the criteria, and audits what was left behind. Each
// kit embeds a Scenario.
package scenario
