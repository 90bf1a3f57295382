// Package found puts libraries of others through package explore, at the seams where
// concurrent code breaks: Close beside use, a cancel at the hand-off, a panic in a
// task, a resize, a time-out. Each program says what it must find; most must find
// nothing. docs/found.md has what was found, ready to be sent to its authors.
//
//	STRESS_SCHEDULES=20000 go test -v .
package found
