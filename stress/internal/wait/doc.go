// Package wait has the ways in which a kit waits: until something holds, until a
// goroutine is blocked, until calls that were made at the same time have
// returned, and for as long as a load makes progress.
package wait
