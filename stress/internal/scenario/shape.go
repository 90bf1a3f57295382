package scenario

import "time"

// SpareFiles are the descriptors for everything that is no connection.
const SpareFiles = 64

// EnoughBurst is how long bursts must have lasted together for the part of the
// processors that other work left to be known well, and so the throughput.
const EnoughBurst = 500 * time.Millisecond

// Generators offer the steady run of messages: one alone cannot offer millions a
// second.
const Generators = 2

// MinMessages lets a fault that strikes once in 100,000 messages strike,
// whatever N is.
const MinMessages, MaxMessages = 250_000, 1_000_000
