// Package routertest tests a router of messages to names. It checks that every
// message that was accepted arrives once, and in order for each pair of sender and
// name, that a full mailbox and an unknown name give an error, and that a handler
// that panics or blocks affects no other name.
//
// # Subject
//
// A subject implements [Router]. Its [Errors] must be distinct: with errors.Is, the kit tells
// a full mailbox from an unknown name, a name in use and a closed router.
//
// # Use
//
//	func TestStressRouter(t *testing.T) { routertest.TestRouter(t, open) }
//
//	func open(tb testing.TB, cfg routertest.Config) routertest.Router {
//		return subject{myrouter.New[routertest.Message](cfg.Mailbox)}
//	}
package routertest
