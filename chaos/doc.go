// Package chaos injects faults by a plan, and keeps workers running through
// them.
//
// # Experiments
//
// A [Plan] is a list of faults: what, whom, when, for how long. [Draw] draws one
// from a seed, and the same seed gives the same plan; it prints, and is saved
// as JSON. An [Experiment] carries it out:
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
// The steady state that the hypothesis states must hold before anything is
// injected, is checked all along, and must hold again afterwards. A [Guard] counts what is hit
// and lets nothing go beyond the bound, whatever the plan says. However an
// experiment ends, by success, an error, a panic or its context, all it did is undone.
//
// # Faults
//
// An [Injector] is a function that hits a target and returns one that undoes
// it. There are three sorts: [Workers.Injectors] for a panic and a hang of a
// worker, [Processes] for SIGKILL and SIGSTOP, and [Network.Injectors] for the
// links between nodes, which lead through a [Proxy] each.
//
// # Workers
//
// [Workers] is a number of workers, each with a mailbox, under a supervisor
// (thejerf/suture). One that panics or hangs is replaced at once and harms no
// other; one that does so again and again is stopped.
package chaos
