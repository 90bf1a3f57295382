// Package scenario runs one subject through the phases of one scenario. It enters the scenario in
// the report, runs the phases as subtests under a time limit, judges what a kit has measured by the
// criteria, and audits what was left behind. Each kit embeds a Scenario.
package scenario
