package run

import (
	"flag"
	"fmt"
	"strconv"

	"tensile/stress/internal/settings"
	"tensile/stress/report"
)

// loadBaseline reads what STRESS_BASELINE names, or returns nil if it is not
// set. It comes before the folder of the report is opened: the report that is
// there may be the baseline.
func loadBaseline(set settings.Settings) (*report.Baseline, error) {
	if set.Baseline == "" {
		return nil, nil
	}
	b, err := report.LoadBaseline(set.Baseline)
	if err == nil {
		err = b.Fits(set.Scale)
	}
	if err != nil {
		return nil, fmt.Errorf("STRESS_BASELINE=%q, must be the results.json or bench.txt of a run at the same scale, "+
			"or a folder of such runs: %w", set.Baseline, err)
	}
	return b, nil
}

// Regressions are the figures of a test that have become worse than the bound
// allows. With -count they are none before the last time: the figures of all of
// them are compared.
func (r *Run) Regressions(id, test string) []report.Difference {
	if r.baseline == nil || r.Settings.Regression == nil {
		return nil
	}
	r.Mu.Lock()
	defer r.Mu.Unlock()
	runs := 0
	for _, one := range r.Report.Scenarios {
		if one.ID == id && one.Test == test {
			runs++
		}
	}
	if runs%repetitions() != 0 {
		return nil
	}
	return report.Compare(r.baseline, r.Report, r.Settings.Regression).Regressions(id, test)
}

// repetitions is how often each test runs: -count of go test.
func repetitions() int {
	if f := flag.Lookup("test.count"); f != nil {
		if n, err := strconv.Atoi(f.Value.String()); err == nil && n > 0 {
			return n
		}
	}
	return 1
}
