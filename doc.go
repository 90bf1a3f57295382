// Package tensile is the root of a library that proves whether a concurrent
// system holds at 100,000 in flight, or shows where it breaks.
//
//   - [tensile/stress] has the kits: one for each scenario, for an
//     implementation of yours. Its parts are load (how work is offered), measure (what is
//     observed), validate (thresholds and checklist) and report (what is left behind).
//   - [tensile/pool] is a bounded pool of connections.
//   - [tensile/registry] routes messages to names.
//   - [tensile/queue] is a broker of at-least-once queues, in memory or over a
//     log on disk ([tensile/queue/wal]).
package tensile
