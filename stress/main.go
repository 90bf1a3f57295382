package stress

import (
	"os"
	"testing"

	"tensile/stress/internal/run"
)

// Main is for a TestMain, and optional: it prints the table of all scenarios
// after the last. It does not return. STRESS_ENGINE may name one of engines, or
// memory; what that means is the test's affair.
func Main(m *testing.M, engines ...string) {
	run.Engines = engines
	code := m.Run()
	run.Finish()
	os.Exit(code)
}
