// Package monitor decides whether a recorded history of a register, a set, a queue or
// a stack is linearizable, in log-linear time. A history of 1,000,000 operations takes
// seconds. A general checker takes exponential time in the number of operations that
// overlap.
//
// In return, histories must be unambiguous: each value may be inserted only once into a
// register, a queue or a stack, so that a history shows which insertion a value comes from.
// Sets have no such rule, because a set is one flag for each value.
//
//	err := monitor.Queue(history)
//	switch {
//	case errors.Is(err, monitor.ErrNotLinearizable): // the subject is at fault
//	case err != nil: // the history cannot be judged: see ErrAmbiguous and ErrPending
//	}
//
// The algorithms follow Gibbons and Korach, "Testing shared memories" (SIAM J. Comput.
// 1997), for registers; Henzinger, Sezgin and Vafeiadis, "Aspect-oriented linearizability
// proofs" (CONCUR 2013), and Bouajjani, Emmi, Enea and Hamza, "On reducing linearizability
// to state reachability" (ICALP 2015), for queues; and for stacks an idea of Lee and
// Mathur, "Efficient decrease-and-conquer linearizability monitoring" (arXiv 2410.04581):
// remove a value whose absence changes nothing, until none is left. "Efficient
// linearizability monitoring" (arXiv 2509.17795) treats the same types. The comment of each
// function argues that its rule is right.
//
// No function changes the history that it is given.
package monitor
