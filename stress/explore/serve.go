package explore

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"

	"tensile/stress/explore/internal/control"
)

// memoryLimit is when garbage is collected between schedules, in bytes. A
// collection within one would not change its order, but take its time.
const memoryLimit = 1 << 30

// serve answers the request that this process was started for, and ends the test.
func serve(t *testing.T, f func(*Run)) {
	go func() { // when the process that asked has gone
		io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	place := os.Getenv(requestVariable)
	a := answered(t, f, filepath.Join(place, announceFile))
	if err := write(filepath.Join(place, answerFile), a); err != nil {
		fmt.Fprintln(os.Stderr, "explore:", err)
	}
	t.SkipNow()
}

func answered(t *testing.T, f func(*Run), announce string) answer {
	switch own := ownPackage(); {
	case !control.Available():
		return answer{Refused: "the binary was built without the controlled runtime"}
	case own != theRequest.Package:
		return answer{Refused: fmt.Sprintf("the folder %s has package %s, not %s", folder, own, theRequest.Package)}
	}
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
	if err := selfTest(); err != nil {
		return answer{Refused: err.Error()}
	}
	x := newExplorer(f, theRequest.Options)
	x.failed = t.Failed
	if theRequest.Announce {
		x.announce = announce
	}
	return answer{Outcome: x.explore()}
}
