// Command mutants measures what tests of concurrent code see: it makes one small fault
// after another in a package, of the kinds that concurrent code is known for, runs the
// tests on each, and lists the faults that no test has seen.
//
//	go run tensile/stress/mutants ./mypool -run Stress
//	go run tensile/stress/mutants ./pool -test ./stress -run 'TestStressPool$'
//
// The tests are those of the package itself, or of the one that -test names. They are run
// with -short, by go test with an overlay, so no file is changed. Each mutant ends in one
// of four ways: killed by a failing test, killed since the tests took several times as
// long as without a fault, survived, or left out because it does not compile. A survivor
// either does what the original does, or is a fault that the tests let pass: somebody has
// to read it. GOFLAGS=-race has the race detector see more, and everything take longer.
//
// The kinds follow the mutation operators for concurrent Java of Bradbury, Cordy and
// Dingel, "Mutation Operators for Concurrent Java (J2SE 5.0)", Mutation 2006, as far as Go
// has the like, and add those of Go's channels, contexts and files.
package main
