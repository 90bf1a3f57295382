//go:build !race

package explore

// builtWithRace tells whether the race detector watches this binary.
const builtWithRace = false
