//go:build unix

// Command alarms measures how often the kits are wrong: how often they fail subjects
// that are sound, and how often they miss subjects that are slow, on a machine that is
// quiet, busy, cut to one processor, stalled at random, or short of memory.
//
// It runs tests of package stress in processes of their own, and those of other
// packages that are named, and prints a table in Markdown with the runs that failed
// and the bound that their share does not exceed with 95 % confidence. It is for
// Linux: it takes taskset, and stops the processes of a session by signals.
package main
