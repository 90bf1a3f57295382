// Package benchstat shows that the bench.txt of two runs goes through benchstat
// as it is. It is a module of its own, so that users of the suite do not
// download benchstat.
package benchstat
