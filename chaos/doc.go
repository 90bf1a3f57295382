// Package chaos injects faults by a plan, and keeps workers running through them.
//
// # Experiments
//
// A [Plan] is a list of faults. Each has a kind, a target, an instant and a duration.
// [Draw] draws a plan from a seed; the same seed gives the same plan. A plan can be
// printed, and saved as JSON. An [Experiment] carries it out:
//
//	plan, err := chaos.Draw(seed, chaos.Spec{
//		Targets: map[chaos.Fault][]string{chaos.Kill: nodes, chaos.Pause: nodes},
//		Steps:   10, Spread: 10 * time.Second, Min: time.Second, Max: 2 * time.Second,
//		Bound:   1,
//	})
//	report, err := chaos.Experiment{
//		Plan:       plan,
//		Injectors:  chaos.Processes(find, restart),
//		Hypothesis: chaos.Hypothesis{Name: "all nodes answer", Check: ping},
//	}.Run(ctx)
//
// The hypothesis states the steady state. It must hold before anything is injected, is
// checked throughout, and must hold again afterwards. A [Guard] counts the targets that have
// a fault, and refuses a fault that would exceed the bound, whatever the plan says. However
// an experiment ends, by success, an error, a panic or its context, every fault is undone.
//
// # Faults
//
// An [Injector] is a function that hits a target and returns a function that undoes the
// fault. There are three sorts: [Workers.Injectors] for a panic or a hang of a worker,
// [Processes] for SIGKILL and SIGSTOP, and [Network.Injectors] for the links between nodes,
// each of which leads through a [Proxy].
//
// # Workers
//
// [Workers] is a number of workers, each with a mailbox, under a supervisor
// (thejerf/suture). A worker that panics or hangs is replaced at once and affects no other. A
// worker that does so repeatedly is stopped.
package chaos
