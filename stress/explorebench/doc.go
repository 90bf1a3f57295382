// Explorebench measures package explore on bugs that are known: the kernels of
// GoBench as the Go tree has them, the classics, each beside a sound twin, and the
// bugs of the museum. It prints how many of them are found in every trial, after
// how many schedules, whether what was found repeats, and whether a sound twin was
// accused. It also prints what it costs to build the binary that runs the
// schedules.
//
//	go run ./stress/explorebench [-trials 20] [-within 100] [-fresh 5] [-sound 20000]
//		[-groups kernels,classics,museum,builds] [-name regexp]
//
// The kernels are read from the source of the Go tree that runs the program and
// changed on the way into a temporary folder; none of them is kept.
package main
