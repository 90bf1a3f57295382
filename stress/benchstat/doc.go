// Package benchstat tests that benchstat reads the bench.txt of two runs
// unchanged. It is a separate module, so that users of tensile do not download
// benchstat.
package benchstat
