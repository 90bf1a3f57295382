//go:build unix

package stress_test

import (
	"os"
	"strconv"
	"syscall"
)

// limitVariable has a re-executed test binary lower its descriptor limit for
// good, before anything else.
const limitVariable = "TENSILE_DESCRIPTORS"

const canLimitDescriptors = true

func init() {
	value := os.Getenv(limitVariable)
	if value == "" {
		return
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		panic(err)
	}
	limit := syscall.Rlimit{}
	limit.Cur, limit.Max = n, n
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		panic(err)
	}
}
