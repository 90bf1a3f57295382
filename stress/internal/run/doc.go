// Package run has what all kits of one test process share: the settings, the
// folder and the report in it, the console and its line of progress, the monitor
// that outlives the process, and what CI is told.
package run
