// Package wait has the ways in which a kit waits: until a condition holds, until a goroutine is
// blocked, until concurrent calls have returned, and for as long as a load makes progress.
package wait
