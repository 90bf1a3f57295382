// Package load offers work to a subject in two ways, which show different things
// about it.
//
// [Burst] is a closed load: n goroutines wait at a gate, are released together, and do
// one operation each. It shows what the subject does with n operations at once.
//
// [Steady] is an open load: operations are due at instants fixed beforehand, whether or
// not earlier ones have ended. Each operation is told when it was due, so that its
// latency can be counted from there. A subject that stalls is then charged with the wait
// of everything that should have started in the meantime. A generator that counts from
// the actual start hides that wait. Gil Tene named this mistake "coordinated omission",
// and wrote wrk2 to avoid it.
//
// The package knows nothing about the operations. Both ways are bounded in count, and in
// time by their context.
package load
