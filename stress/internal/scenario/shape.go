package scenario

// SpareFiles are the descriptors for everything that is no connection.
const SpareFiles = 64

// Generators offer the steady run of messages: one alone cannot offer millions a
// second.
const Generators = 2

// MinMessages lets a fault that strikes once in 100,000 messages strike,
// whatever N is.
const MinMessages, MaxMessages = 250_000, 1_000_000
