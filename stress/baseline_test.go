package stress_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/report"
)

// A run far below what the subject can do, so that it passes on a busy machine
// too.
const small, slow = "STRESS_SCALE=1000", "STRESS_RATE=200000"

// compared are the phases that have figures.
const compared = "TestStressRouter$/^(throughput|steady)"

// TestRegressionFailsTheRun: a run passes beside itself, and fails beside a
// baseline that used a tenth of the memory. Memory is judged also where other
// work holds the processors.
func TestRegressionFailsTheRun(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a kit is run several times")
	}
	first := t.TempDir()
	said, err := runKitWith(unexplored, compared, small, slow, "STRESS_OUT="+first)
	require.NoError(t, err, said)

	doctored, err := report.Load(first)
	require.NoError(t, err)
	for _, s := range doctored.Scenarios {
		if s.Memory != nil && s.Memory.Peak.RSS != nil {
			*s.Memory.Peak.RSS /= 10
		}
	}
	text, err := json.Marshal(doctored)
	require.NoError(t, err)
	baseline := filepath.Join(t.TempDir(), "results.json")
	require.NoError(t, os.WriteFile(baseline, text, 0o644))

	for _, c := range []struct {
		name     string
		env      []string
		passes   bool
		says     string
		compared bool
	}{
		{"within the bound", []string{"STRESS_BASELINE=" + first, "STRESS_REGRESSION=10000%"}, true, "", true},
		{"beyond the bound", []string{"STRESS_BASELINE=" + baseline, "STRESS_REGRESSION=50%"}, false,
			"regression beyond 50 %: routing.memory.rss_peak: lower is better, it was ", true},
		{"no bound", []string{"STRESS_BASELINE=" + baseline}, true, "", true},
		{"another scale", []string{"STRESS_BASELINE=" + baseline, "STRESS_SCALE=2000"}, false,
			"must be the results.json or bench.txt of a run at the same scale", false},
		{"no baseline there", []string{"STRESS_BASELINE=/nowhere"}, false, `STRESS_BASELINE="/nowhere", must be`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := t.TempDir()
			said, err := runKitWith(unexplored, compared, append([]string{small, slow, "STRESS_OUT=" + out}, c.env...)...)
			if c.passes {
				assert.NoError(t, err, said)
			} else {
				assert.Error(t, err, said)
			}
			assert.Contains(t, said, c.says)
			r, err := report.Load(out)
			if !c.compared {
				assert.ErrorIs(t, err, os.ErrNotExist, "it is refused before anything is written")
				return
			}
			require.NoError(t, err)
			require.NotNil(t, r.Comparison)
			assert.NotEmpty(t, r.Comparison.Figures)
			assert.Contains(t, said, " figures compared by their medians. ")
		})
	}
	t.Run("repeated", func(t *testing.T) {
		out := t.TempDir()
		said, err := runKitWith(append(unexplored, "-test.count=2"), compared, small, slow, "STRESS_OUT="+out,
			"STRESS_BASELINE="+baseline,
			"STRESS_REGRESSION=50%")
		assert.Error(t, err, said)
		r, err := report.Load(out)
		require.NoError(t, err)
		states := []report.State{}
		for _, s := range r.Scenarios {
			if s.State != report.NotRun {
				states = append(states, s.State)
			}
		}
		assert.Equal(t, []report.State{report.Partial, report.Failed}, states, "it is judged after the last time")
	})
}

// TestTheReportThatIsThereMayBeTheBaseline: it is read before it is written
// over.
func TestTheReportThatIsThereMayBeTheBaseline(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a kit is run twice")
	}
	out := t.TempDir()
	for _, baseline := range []string{"", out} {
		said, err := runKitWith(unexplored, compared, small, slow, "STRESS_OUT="+out, "STRESS_BASELINE="+baseline)
		require.NoError(t, err, said)
	}
	r, err := report.Load(out)
	require.NoError(t, err)
	require.NotNil(t, r.Comparison)
	assert.NotEmpty(t, r.Comparison.Figures)
}
