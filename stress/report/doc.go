// Package report leaves behind what a run has shown: for programs
// (results.json, results.csv, bench.txt), for people (report.html, report.md,
// summary.md, checklist.md), and for whoever has to find out what happened
// (execution.log). [Compare] puts it beside earlier runs.
//
// A [Run] is the whole; a [Folder] writes it. The files are written when a run
// begins, again as each scenario begins and ends, and always each as a whole or
// not at all: whenever the process ends, by whatever way, the last complete
// picture is there, and its state says how far the run had come.
//
// The schema of results.json is described in docs/results.md.
package report
