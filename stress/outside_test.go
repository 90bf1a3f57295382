package stress_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestKitsServeAnOutsideModule builds a module that is no part of this one,
// from nothing but what go.sum pins, and has the kits judge its subjects: as
// they are, and with a fault in each.
func TestKitsServeAnOutsideModule(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a module")
	}
	binary := buildOutside(t)
	// The rates are far below what the subjects can do: here the question is
	// not how much that is.
	const calls, messages = "STRESS_RATE=10000", "STRESS_RATE=200000"
	for _, c := range []struct{ name, kit, rate, fault, says string }{
		{"channel pool", "TestChannelPool", calls, "", ""},
		{"pool of requests", "TestRequestPool", calls, "", ""},
		{"router", "TestRouter", messages, "", ""},
		{"faulty channel pool", "TestChannelPool", calls, "one too many", "connections are open in a pool of size"},
		{
			"faulty pool of requests", "TestRequestPool", calls, "returns broken",
			"lent a connection that had been discarded as broken",
		},
		{"faulty router", "TestRouter", messages, "says taken where it is full", "routing.full: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			child := exec.Command(binary, "-test.run=^"+c.kit+"$", "-test.v", "-test.short", unexplored[0])
			child.Env = append(append(os.Environ(), notInCI...), "OUTSIDE_FAULT="+c.fault, "STRESS_SCALE=10000",
				c.rate, "STRESS_OUT="+t.TempDir())
			if c.fault != "" {
				child.Env = append(child.Env, "STRESS_PATIENCE=3s")
			}
			out, err := child.CombinedOutput()
			if c.fault == "" {
				assert.NoError(t, err, "%s", out)
				return
			}
			assert.Error(t, err, "the kit passed")
			assert.Contains(t, string(out), c.says)
		})
	}
}

// buildOutside builds the tests of testdata/outside and returns the binary.
func buildOutside(t *testing.T) string {
	folder := filepath.Join("testdata", "outside")
	work := t.TempDir()
	// The module says only that it requires tensile; what that requires in
	// turn is filled in beside it, so that the two cannot drift apart.
	for from, to := range map[string]string{
		filepath.Join(folder, "go.mod"): "go.mod", filepath.Join("..", "go.sum"): "go.sum",
	} {
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(work, to), text, 0o666))
	}
	binary := filepath.Join(work, "outside.test")
	build := exec.Command("go", "test", "-c", "-mod=mod", "-modfile="+filepath.Join(work, "go.mod"), "-o", binary, ".")
	build.Dir = folder
	build.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}
