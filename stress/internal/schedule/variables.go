package schedule

import "strconv"

// What the values of STRESS_SEED and STRESS_SCHEDULES must be, in words.
const (
	SeedMust  = "a whole number from 0 to 18446744073709551615"
	CountMust = "a whole number from 1, such as 100000"
)

// Seed reads a value of STRESS_SEED.
func Seed(value string) (seed uint64, ok bool) {
	seed, err := strconv.ParseUint(value, 10, 64)
	return seed, err == nil
}

// Count reads a value of STRESS_SCHEDULES.
func Count(value string) (n int, ok bool) {
	n, err := strconv.Atoi(value)
	return n, err == nil && n >= 1
}
