package explore

import (
	"runtime"
	"slices"
	"strings"

	"tensile/stress/explore/internal/control"
	"tensile/stress/internal/symbol"
)

// instrumented are the packages that are compiled with points at memory: those given, and
// that of the test, since generic code is compiled where it is used.
func instrumented(given []string) []string {
	if len(given) == 0 || slices.Contains(given, ownPackage()) {
		return given
	}
	return append(slices.Clip(given), ownPackage())
}

// nowhere takes the room of a place that was learned and does not count.
const nowhere = 1

// only leaves the places that are in code of the packages given.
func only(sites *control.Sites, packages []string) {
	for i, pc := range sites.Places {
		if pc == 0 {
			continue
		}
		frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
		if !among(symbol.Package(frame.Function), packages) {
			sites.Places[i] = nowhere
		}
	}
}

// among tells whether a package, or the one that it tests from outside, is one of those
// given.
func among(path string, packages []string) bool {
	path = strings.TrimSuffix(path, "_test")
	return slices.ContainsFunc(packages, func(p string) bool {
		above, all := strings.CutSuffix(p, "/...")
		return path == above || all && strings.HasPrefix(path, above+"/")
	})
}
