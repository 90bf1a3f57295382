// Package conntest takes a server that holds connections through a scenario: it
// shows what a connection costs in memory and goroutines, that nothing grows
// while connections are held, that each keeps its own state, and that all of it
// is given back when they close.
package conntest
