package stress

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
		return nil, fmt.Errorf("STRESS_BASELINE=%q, accepted is the results.json or bench.txt of a run at the same scale, "+
			"or a folder of such runs: %w", set.Baseline, err)
	}
	return b, nil
}

// judgeRegressions fails the scenario for every figure that has become worse
// than the bound allows. With -count it waits for the last time: the figures of
// all of them are compared.
func (s *scenario) judgeRegressions() {
	r := s.run
	if r.baseline == nil || r.settings.Regression == nil {
		return
	}
	r.mu.Lock()
	runs := 0
	for _, one := range r.report.Scenarios {
		if one.ID == s.id && one.Test == s.result.Test {
			runs++
		}
	}
	regressions := report.Compare(r.baseline, r.report, r.settings.Regression).Regressions(s.id, s.result.Test)
	r.mu.Unlock()
	if runs%repetitions() != 0 {
		return
	}
	for _, d := range regressions {
		s.fail("regression beyond %.3g %%: %s", *r.settings.Regression, d)
	}
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
