package stress

import (
	"fmt"
	"os"
	"testing"

	"tensile/stress/report"
)

// Main is for a TestMain, and optional: it prints the table of all scenarios
// after the last. It does not return. STRESS_ENGINE may name one of engines, or
// memory; what that means is the test's affair.
func Main(m *testing.M, engines ...string) {
	testEngines = engines
	code := m.Run()
	if r := theRun.run; r != nil {
		r.mu.Lock()
		r.console.print(func() { report.WriteTable(r.console.out, r.report) })
		r.mu.Unlock()
		r.console.printf("report in %s", r.settings.Out)
		if err := r.folder.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// testEngines are the engines of this test.
var testEngines []string
