// Package pooltest takes a pool of connections through a scenario: it shows
// that the pool never holds more than it may, serves those who wait in order,
// replaces connections that break, and gives back everything it opened.
//
// First it explores the pool by programs of all operations, and of what dials,
// connections, contexts and time may do, under controlled schedules in virtual time:
// docs/criteria.md says what is drawn and what is judged. A program that breaks a
// promise is printed with the command that repeats it.
package pooltest
