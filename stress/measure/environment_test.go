package measure

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFingerprint(t *testing.T) {
	e := Fingerprint()
	assert.Equal(t, runtime.Version(), e.GoVersion)
	assert.Equal(t, runtime.GOOS, e.OS)
	assert.Equal(t, runtime.NumCPU(), e.Cores)
	assert.Equal(t, runtime.GOMAXPROCS(0), e.GOMAXPROCS)
	for _, text := range []string{e.Kernel, e.CPU, e.LoadAverage, e.Commit, e.GOGC} {
		assert.NotEmpty(t, text)
	}
	if runtime.GOOS == "linux" {
		assert.Regexp(t, `^\d+\.\d+`, e.Kernel)
		assert.Regexp(t, `^\d+\.\d+ \d+\.\d+ \d+\.\d+$`, e.LoadAverage)
		require.NotNil(t, e.MemoryTotal)
		available := MemoryAvailable()
		require.NotNil(t, available)
		assert.Positive(t, *available)
		require.NotNil(t, e.DescriptorLimit)
	}
}

func TestGCSettingsAreReadNotChanged(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(70))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 40))
	e := Fingerprint()
	assert.Equal(t, "70", e.GOGC)
	assert.EqualValues(t, 1<<40, e.GOMEMLIMIT)
	assert.EqualValues(t, 1<<40, debug.SetMemoryLimit(-1))
	debug.SetGCPercent(-1)
	assert.Equal(t, "off", Fingerprint().GOGC)
}

func TestCommitOfNoRepository(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("GIT_CEILING_DIRECTORIES", os.TempDir())
	assert.Equal(t, unknown, Fingerprint().Commit)
}
