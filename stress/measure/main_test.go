package measure

import (
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childVariable has a re-executed test binary be a child process: it takes
// processor time until its input ends, or only waits for that.
const childVariable = "TENSILE_MEASURE_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "burn":
		go func() {
			for turns := 1; turns != 0; turns |= 1 { // for ever
			}
		}()
		fallthrough
	case "wait":
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
