// Package routertest takes a router of messages to names through a scenario: it
// shows that every message that was taken arrives once, in order for each pair
// of sender and name, that a full mailbox and a missing name say so, and that
// handlers that fail or hang hold up nobody else.
//
// # Subject
//
// A subject is a [Router]. Its [Errors] must be distinct, as the kit tells a full mailbox
// from a name that is unknown, taken or closed by errors.Is.
//
// # Use
//
//	func TestStressRouter(t *testing.T) { routertest.TestRouter(t, open) }
//
//	func open(tb testing.TB, cfg routertest.Config) routertest.Router {
//		return subject{myrouter.New[routertest.Message](cfg.Mailbox)}
//	}
package routertest
