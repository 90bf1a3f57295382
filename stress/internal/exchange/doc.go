// Package exchange is the protocol of a connection that is held: requests of 64 bytes, each
// answered by 64 bytes that prove which request was answered, and from the state of which
// connection.
//
//   - [State] is the answering side: what a server keeps of one connection.
//   - [Callers] is the asking side of many connections, which checks every byte of every
//     reply.
package exchange
