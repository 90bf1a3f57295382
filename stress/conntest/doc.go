// Package conntest takes a server that holds connections through a scenario: it
// shows what a connection costs in memory and goroutines, that nothing grows
// while connections are held, that each keeps its own state, and that all of it
// is given back when they close.
//
// # Subject
//
// A subject is a [Server]. The kit asks for four kinds: in memory and over TCP, each with
// goroutines for idle connections and without. Where there is none of a kind, open
// returns nil, and the report says "not offered". The server keeps a [State] for each
// connection, which turns a request into its reply.
//
// Servers are opened in child processes, which run the same test function again: what
// stands before the call of the kit is run there too.
//
// # Use
//
//	func TestStressConnections(t *testing.T) { conntest.TestServer(t, open) }
//
//	func open(tb testing.TB, cfg conntest.Config) conntest.Server {
//		if cfg.Idle {
//			return nil // not offered
//		}
//		return new(server)
//	}
package conntest
