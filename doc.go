// Package tensile is the root of a library that tests whether concurrent code stays
// correct with 100,000 operations in flight, and shows where it breaks.
//
//   - [tensile/stress] has the kits, one for each scenario, which test an implementation
//     of yours. Its parts are load (how work is offered), measure (what is observed),
//     validate (thresholds and checklist) and report (the files that a run leaves behind).
//   - [tensile/stress/explore] runs a test under thousands of controlled schedules.
//   - [tensile/pool] is a bounded pool of connections.
//   - [tensile/registry] routes messages to names.
//   - [tensile/queue] is a broker of at-least-once queues, in memory or over a log on
//     disk ([tensile/queue/wal]).
//   - [tensile/cluster] finds nodes, detects failures and carries calls. It has a session
//     store ([tensile/cluster/session]) and balancers ([tensile/cluster/balance]).
//   - [tensile/chaos] injects faults by a plan, and supervises workers.
package tensile
