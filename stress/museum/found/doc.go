// Package found runs third-party libraries under package explore, at points where
// concurrent code often breaks: Close during use, a cancellation during a hand-off, a panic
// in a task, a resize, a time-out. Each program declares what it must find; most must find
// nothing. docs/found.md has the findings, ready to be sent to the authors.
//
//	STRESS_SCHEDULES=20000 go test -v .
package found
