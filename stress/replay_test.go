package stress_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestThePrintedCommandRepeatsAFailure, pasted in another folder of the module.
func TestThePrintedCommandRepeatsAFailure(t *testing.T) {
	if testing.Short() {
		t.Skip("runs go test")
	}
	const says = "discarded as broken"
	plant := plantedVariable + "=returns broken"
	said, err := runKitWith(unexplored, "TestFaultyPool", plant, "STRESS_SCALE=2000", "STRESS_PATIENCE=7s",
		"STRESS_RATE=5000", "STRESS_OUT="+t.TempDir())
	require.Error(t, err, said)
	require.Contains(t, said, says)
	found := regexp.MustCompile(`to repeat it: (.*)`).FindStringSubmatch(said)
	require.Len(t, found, 2, said)
	command := found[1]
	for _, part := range []string{"STRESS_SEED=", "STRESS_SCALE=2000 ", "STRESS_PATIENCE=7s ", "STRESS_RATE=5000 ",
		" go test -count=1 -short ",
		" tensile/stress"} {
		assert.Contains(t, command+" ", part)
	}
	assert.Regexp(t, ` -run '\^TestFaultyPool\$/\^(broken|\(broken\|[a-z_|]+\))\$' `, command, "the phases that failed")
	again := exec.Command("sh", "-c", command)
	again.Dir = filepath.Join("..", "queue", "wal")
	// Whatever was set for the run above is in the command or is not set at all.
	again.Env = slices.DeleteFunc(append(os.Environ(), notInCI...),
		func(entry string) bool { return strings.HasPrefix(entry, "STRESS_") })
	again.Env = append(again.Env, plant, "STRESS_OUT="+t.TempDir())
	out, err := again.CombinedOutput()
	require.Error(t, err, "%s", out)
	assert.Contains(t, string(out), says)
	assert.Contains(t, string(out), "--- FAIL: TestFaultyPool/broken ")
	assert.Contains(t, string(out), strings.TrimSpace(command[:strings.Index(command, " go test")]),
		"the command it prints is the same")
}
