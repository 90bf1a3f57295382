// Package payload has the four formats of the bytes that kits send: the messages of a router,
// the bodies of a broker's messages, the requests of a node, and the values of a session. Each
// carries a number and a checksum over the rest, so damaged and misdelivered bytes are detected
// where they arrive.
package payload
