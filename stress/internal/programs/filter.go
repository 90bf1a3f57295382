package programs

import (
	"regexp"
	"strings"

	"tensile/stress/internal/scenario"
)

// leftOut reports whether the flags -run and -skip of go test leave out a subtest of
// a test that runs. The testing package tells only when it is too late: what the
// subtest needs would have been built for nothing.
func leftOut(test, subtest string) bool {
	if run := elements("test.run"); len(run) > 1 && !matches(run[1], subtest) {
		return true
	}
	skip := elements("test.skip")
	return len(skip) == 2 && matches(skip[0], test) && matches(skip[1], subtest)
}

// elements are the parts of a pattern, of which each is for a level of tests.
func elements(name string) []string {
	pattern := scenario.Flag(name)
	if pattern == "" {
		return nil
	}
	return strings.Split(pattern, "/")
}

func matches(pattern, name string) bool {
	ok, err := regexp.MatchString(pattern, name)
	return ok || err != nil // the testing package says what is wrong with it
}
