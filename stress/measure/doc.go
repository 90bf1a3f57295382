// Package measure observes how long every operation took, what happened to every
// message, what the process holds, and on what machine.
//
//   - [Recorder] keeps every latency sample; [Latency] and [Second] summarise them.
//     Percentiles are exact: nearest-rank over all samples.
//   - [Ledger] is the exact account of messages: lost, duplicated, reordered,
//     corrupted, misrouted, phantom.
//   - [Sampler] follows heap, stacks and resident memory through a phase.
//   - [Baseline] is what existed before a scenario; its Leaks are what was left behind.
//   - [Meter] measures the share of the processors that this process tree had.
//   - [Fingerprint] describes the machine and the build.
//
// Nothing here judges. A figure that the operating system does not provide is absent,
// never zero or guessed.
package measure
