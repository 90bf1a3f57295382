// Package conntest tests a server that holds connections. It measures what a
// connection costs in memory and goroutines. It checks that nothing grows while
// connections are held, that each connection keeps its own state, and that all memory
// is returned when they close.
//
// # Subject
//
// A subject implements [Server]. The kit asks for four kinds: in memory and over TCP, each
// with and without a goroutine for an idle connection. For a kind that the subject lacks, open
// returns nil, and the report says "not offered". The server keeps a [State] for each
// connection, which turns a request into its reply.
//
// Servers are opened in child processes that run the same test function again, so code before
// the call of the kit runs there too.
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
