// Package pooltest takes a pool of connections through a scenario: it shows
// that the pool never holds more than it may, serves those who wait in order,
// replaces connections that break, and gives back everything it opened.
package pooltest
