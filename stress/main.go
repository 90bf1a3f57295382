package stress

import (
	"fmt"
	"os"
	"testing"

	"tensile/stress/report"
)

// Main is for a TestMain, and optional: it prints the table of all scenarios
// after the last. It does not return.
func Main(m *testing.M) {
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
