// Package routertest takes a router of messages to names through a scenario: it
// shows that every message that was taken arrives once, in order for each pair
// of sender and name, that a full mailbox and a missing name say so, and that
// handlers that fail or hang hold up nobody else.
package routertest
