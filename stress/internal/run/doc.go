// Package run has what all kits of one test process share: the settings, the folder and the report
// in it, the console and its progress line, the monitor that outlives the process, and the output
// for CI.
package run
