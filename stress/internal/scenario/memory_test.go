package scenario

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/measure"
	"tensile/stress/report"
)

// TestWhatIsOwn are the packages that the kits consist of, and nothing else: what a
// subject allocates must not be taken for the kit's, nor the other way round.
func TestWhatIsOwn(t *testing.T) {
	kits := 0
	for _, path := range deps(t, "../../...") {
		if strings.HasSuffix(path, "test") && strings.HasPrefix(path, "tensile/stress/") {
			kits++
			for _, dep := range deps(t, path) {
				assert.True(t, Own(dep+".F") || strings.HasPrefix(dep, "golang.org/x/"), "%s, which %s imports", dep, path)
			}
		}
	}
	assert.GreaterOrEqual(t, kits, 9)
	for _, function := range []string{
		"tensile/stress_test.(*hoarder).Send", "tensile/pool.(*Pool).Acquire", "tensile/stress.F",
		"tensile/stress/pooltest_test.F", "tensile/stress/engines_test.F", "tensile/stress/fleet.F",
		"example.com/tensile/stress/load.F", "tensile/stress/peers.F", "main.main", "net.Dial",
	} {
		assert.False(t, Own(function), function)
	}
}

func TestDuring(t *testing.T) {
	phases := []report.Phase{
		{Name: "idle", At: 1, Seconds: 2}, {Name: "left out", At: 3.1}, {Name: "throughput", At: 5, Seconds: 1},
	}
	for at, want := range map[float64]string{
		0.5: "", 1: `in "idle": `, 4: `in "idle": `, 5.5: `in "throughput": `, 7: `in "throughput": `,
	} {
		assert.Equal(t, want, during(phases, &measure.Subject{Split: &measure.Split{At: at}}), "at %v s", at)
	}
	assert.Empty(t, during(phases, &measure.Subject{}), "who held what is not known")
}

// deps are the packages that some consist of, without the standard library's.
func deps(t *testing.T, pattern string) []string {
	t.Helper()
	const others = "{{if not .Standard}}{{.ImportPath}}{{end}}"
	out, err := exec.Command("go", "list", "-deps", "-f", others, pattern).Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}
