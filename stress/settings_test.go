package stress_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/report"
)

// TestBadSettingsAreRefused: each gives an error that names the variable, its
// value and what is accepted, before any load, and an exit code that is not 0.
func TestBadSettingsAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o600))
	for _, c := range []struct{ variable, value, accepted string }{
		{"STRESS_SCALE", "abc", "a whole number from 1"},
		{"STRESS_SCALE", "0", "a whole number from 1"},
		{"STRESS_SCALE", "-5", "a whole number from 1"},
		{"STRESS_SCALE", "1.5", "a whole number from 1"},
		{"STRESS_SCALE", "1e9", "does not fit into the memory available: up to "},
		{"STRESS_SEED", "-1", "a whole number from 0"},
		{"STRESS_RATE", "0", "a number of operations a second above 0"},
		{"STRESS_ARRIVALS", "sometimes", "constant or poisson"},
		{"STRESS_HOLD", "forever", "a duration from 1s to 24h"},
		{"STRESS_ENGINE", "steam", "must be memory"},
		{"STRESS_KNEE", "perhaps", "must be 1 or 0"},
		{"STRESS_REGRESSION", "10%", "together with STRESS_BASELINE"},
		{"STRESS_BASELINE", "/no/such/folder", "/no/such/folder"},
		{"STRESS_SCAL", "1", "must be STRESS_SCALE"},
		{"STRESS_OUT", file, "must be a folder that can be written"},
		{"STRESS_OUT", filepath.Join(file, "below"), "must be a folder that can be written"},
		{"STRESS_OUT", "/proc/none", "must be a folder that can be written"},
	} {
		t.Run(c.variable+"="+filepath.Base(c.value), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			said, err := runKit("TestStress.*", "STRESS_OUT="+out, c.variable+"="+c.value)
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, said)
			assert.Equal(t, 1, exit.ExitCode())
			assert.Contains(t, said, c.variable)
			assert.Contains(t, said, c.value)
			assert.Contains(t, said, c.accepted)
			assert.NotContains(t, said, "=== RUN   TestStressPool/", "a phase was run")
			assert.NotContains(t, said, "--- PASS: TestStress", "a kit passed")
			assert.NotContains(t, said, "panic")
			assert.NoFileExists(t, filepath.Join(out, "results.json"), "there is no run to tell of")
		})
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(text), "what was in the way is left as it was")
}

// TestTargetsThatAreSet are judged, and said to be no others.
func TestTargetsThatAreSet(t *testing.T) {
	if testing.Short() {
		t.Skip("figures in time, which are not judged under the race detector")
	}
	out := t.TempDir()
	said, err := runKitWith(unexplored, "TestStressBalancer", "STRESS_OUT="+out, "STRESS_SCALE=2000",
		"STRESS_TARGETS=balancing.slowness=1e-6")
	require.Error(t, err, said)
	assert.Contains(t, said, "target set, the specification has 5")
	text, err := os.ReadFile(filepath.Join(out, "report.md"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "Targets were set that are not the specification's: balancing.slowness=1e-6.")
}

// TestAllBadSettingsAreSaidAtOnce, so that nobody has to find them one by one.
func TestAllBadSettingsAreSaidAtOnce(t *testing.T) {
	said, err := runKit("TestStressPool", "STRESS_SCALE=many", "STRESS_SEDE=7", "STRESS_RATE=-1")
	assert.Error(t, err)
	for _, name := range []string{"STRESS_SCALE", "STRESS_SEDE", "STRESS_RATE"} {
		assert.Contains(t, said, name+"=")
	}
}

// TestFewDescriptors: with a descriptor limit that cannot be raised the kits do
// what fits and say what was cut, or say what is accepted.
func TestFewDescriptors(t *testing.T) {
	if testing.Short() {
		t.Skip("runs several kits")
	}
	if !canLimitDescriptors {
		t.Skip("the number of descriptors can not be limited here")
	}
	for _, c := range []struct {
		limit, kit, says string
		passes           bool
	}{
		{"112", "TestStressPool", "Pools cut from 5 to 3: the descriptor limit is 112.", true},
		{"79", "TestStressPool", "the descriptor limit is 79, must be 80 or more", false},
		{"128", "TestStressBalancer", "the descriptor limit is 128.", true},
		{"66", "TestStressBalancer", "the descriptor limit is 66, must be 68 or more", false},
	} {
		t.Run(c.kit+" with "+c.limit, func(t *testing.T) {
			out := t.TempDir()
			said, err := runKitWith(unexplored, c.kit, "STRESS_SCALE=4000", "STRESS_RATE=2000", "STRESS_OUT="+out,
				limitVariable+"="+c.limit)
			r, loaded := report.Load(out)
			require.NoError(t, loaded, said)
			text, loaded := os.ReadFile(filepath.Join(out, "report.md"))
			require.NoError(t, loaded)
			assert.Contains(t, string(text), c.says)
			if !c.passes {
				assert.Error(t, err)
				assert.Contains(t, said, c.says)
				assert.Equal(t, report.Failed, r.State)
				return
			}
			nothingButSlow(t, r)
		})
	}
}
