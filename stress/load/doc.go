// Package load offers work to a subject, in the two ways that tell different
// things about it.
//
// [Burst] is closed: n goroutines are parked at a gate and released together,
// each doing one operation. It shows what the subject does with n at once.
//
// [Steady] is open: operations are due at instants fixed beforehand, whether or
// not earlier ones have ended. Each operation is told when it was due, so that
// its latency can be counted from there: a subject that stalls is charged with
// the wait of everything that should have started meanwhile. A generator that
// counts from the actual start hides that wait; Gil Tene named the mistake
// "coordinated omission", and wrk2 is his answer to it.
//
// The package knows nothing of what the operations do. Both ways are bounded
// in count, and in time by their context.
package load
