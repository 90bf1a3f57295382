// Package measure observes: what every operation took, what became of every
// message, what the process holds, and on what machine it all happened.
//
//   - [Recorder] keeps every latency sample, [Latency] and [Second] are what it
//     says of them. Percentiles are exact: nearest rank over all samples.
//   - [Ledger] is the exact account of messages: lost, duplicated, reordered,
//     corrupted, misrouted, phantom.
//   - [Sampler] follows heap, stacks and resident memory through a phase.
//   - [Baseline] is what was there before; its Leaks are what is there too much.
//   - [Meter] tells how much of the processors was left to this process tree.
//   - [Fingerprint] describes the machine and the build.
//
// Nothing here judges. Where the operating system does not tell a figure, it is
// absent, never zero or guessed.
package measure
