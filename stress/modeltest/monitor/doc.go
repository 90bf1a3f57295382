// Package monitor decides whether a recorded history of a register, a set, a
// queue or a stack is linearizable, in log-linear time: a history of 1,000,000
// operations takes seconds, where a general checker takes exponential time in
// the number of operations that overlap.
//
// The price is unambiguity: of a register, a queue and a stack each value may
// be inserted once only, so that a history says which insertion a value comes
// from. Sets need no such promise, for a set is one flag a value.
//
//	err := monitor.Queue(history)
//	switch {
//	case errors.Is(err, monitor.ErrNotLinearizable): // the subject is at fault
//	case err != nil: // the history can not be judged: see ErrAmbiguous and ErrPending
//	}
//
// The algorithms follow Gibbons and Korach, "Testing shared memories" (SIAM J.
// Comput. 1997), for registers; Henzinger, Sezgin and Vafeiadis,
// "Aspect-oriented linearizability proofs" (CONCUR 2013), and Bouajjani, Emmi,
// Enea and Hamza, "On reducing linearizability to state reachability" (ICALP
// 2015), for queues; and the idea of Lee and Mathur, "Efficient
// decrease-and-conquer linearizability monitoring" (arXiv 2410.04581), for
// stacks: take away a value whose absence changes nothing, until none is left.
// "Efficient linearizability monitoring" (arXiv 2509.17795) treats the same
// types. Each function says why its rule is right.
//
// All functions only read the history that they are given.
package monitor
