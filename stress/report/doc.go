// Package report writes what a run has shown: for programs (results.json, results.csv,
// bench.txt), for people (report.html, report.md, summary.md, checklist.md), and for
// diagnosis (execution.log). [Compare] compares a run with earlier ones.
//
// A [Run] is the whole report, and a [Folder] writes it. The files are written when a run
// begins, and again when each scenario begins and ends. Each file is replaced as a whole or
// not at all. However the process ends, the last complete report remains, and its state
// says how far the run had got.
//
// docs/results.md describes the schema of results.json.
package report
