package explore

import (
	"runtime"
	"strings"
)

// standardFolder is where the files of the standard library are, as the binary
// names them: of this tree or, with -trimpath, of none.
var standardFolder = func() string {
	pc := make([]uintptr, 8)
	frames := runtime.CallersFrames(pc[:runtime.Callers(0, pc)])
	f, _ := frames.Next() // runtime.Callers itself
	return strings.TrimSuffix(f.File, "runtime/extern.go")
}()

// standardLibrary reports whether a file is of the standard library. An edited one
// lies in the folder of the overlay, but keeps its name.
func standardLibrary(file string) bool {
	if standardFolder == "" { // -trimpath: a path begins with that of its package
		first, _, _ := strings.Cut(file, "/")
		return !strings.Contains(first, ".") && !strings.HasPrefix(file, ownPackage())
	}
	return strings.HasPrefix(file, standardFolder)
}
