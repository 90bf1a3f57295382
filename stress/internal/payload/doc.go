// Package payload has the bytes that the kits send, in four formats: the messages
// of a router, the bodies of a broker's messages, the requests of a node and the
// values of a session. Each carries a number and a checksum over the rest, so that
// damage, and what belongs to somebody else, shows where it arrives.
package payload
