// Package sessiontest takes a session store, replicated or on a server that its
// nodes share, through a scenario: it shows that what was acknowledged is read,
// in an order that a single copy could have given, and that it survives nodes
// that are killed, stopped and cut off.
package sessiontest
