// Package queuetest takes a message broker, in memory or on disk, through a
// scenario: it shows that every message that was acknowledged is delivered, at
// least once and in order, that what cannot be handled becomes a dead letter,
// and that a broker on disk loses nothing when it is killed.
package queuetest
