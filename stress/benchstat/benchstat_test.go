package benchstat

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// bench leaves the bench.txt of a run that was repeated a few times.
func bench(t *testing.T, seed uint64, rates ...float64) string {
	t.Helper()
	r := &report.Run{Schema: report.Schema, State: report.Passed}
	r.Environment = measure.Environment{
		OS: "linux", Arch: "amd64", CPU: "a processor", GOMAXPROCS: 2, Scale: 100_000, Seed: seed,
	}
	for _, rate := range rates {
		l := measure.Summarize([]int64{1e6, 2e6, int64(1e11 / rate)}, 0)
		r.Scenarios = append(r.Scenarios, &report.Scenario{Number: 2, ID: validate.Pooling, Title: "Connection pooling",
			State: report.Passed, Burst: &report.Burst{N: 100_000, Throughput: rate, Latency: &l},
			Steady: &report.Steady{N: 100_000, Offered: rate * 0.6, Latency: l},
			Memory: &measure.MemoryUse{Peak: measure.Memory{Heap: int64(rate)}}})
	}
	folder, err := report.Open(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, folder.Write(r))
	require.NoError(t, folder.Close())
	return folder.Path("bench.txt")
}

func TestBenchTextGoesThroughBenchstat(t *testing.T) {
	before := bench(t, 1, 100_000, 101_000, 102_000, 103_000, 104_000, 105_000)
	after := bench(t, 2, 150_000, 151_000, 152_000, 153_000, 154_000, 155_000)
	text, err := exec.Command("go", "tool", "benchstat", "before="+before, "after="+after).CombinedOutput()
	out := string(text)
	require.NoError(t, err, out)
	for _, line := range []string{
		`Pooling/phase=burst-2 +9\.756µ ± 2% +6\.557µ ± 2% +-32\.79% \(p=0\.002 n=6\)`,  // sec/op
		`Pooling/phase=burst-2 +102\.5k ± 2% +152\.5k ± 2% +\+48\.78% \(p=0\.002 n=6\)`, // ops/s
		`Pooling/phase=steady-2 +61\.50k ± 2% +91\.50k ± 2% +\+48\.78%`,
		`Pooling/phase=steady-2 +1\.325m ± 1% +1\.219m ± 0% +-8\.05%`, // mean
		`Pooling/phase=memory-2 +100\.1Ki ± 2% +148\.9Ki ± 2%`,        // heap
		`max-sec`,
	} {
		assert.Regexp(t, line, out)
	}
	assert.Equal(t, 1, strings.Count(out, "scale: 100000"), "both are in the same tables:\n%s", out)
	for _, differs := range []string{"seed", "commit"} {
		assert.NotContains(t, out, differs)
	}

	// Our own comparison comes to the same change and the same probability.
	b, err := report.LoadBaseline(before)
	require.NoError(t, err)
	run, err := report.Load(filepath.Dir(after))
	require.NoError(t, err)
	for _, d := range report.Compare(b, run, nil).Figures {
		if d.Figure != "burst.throughput" {
			continue
		}
		assert.Equal(t, report.Better, d.Verdict)
		assert.InDelta(t, 48.78, *d.Change, 0.005)
		assert.InDelta(t, 0.002, *d.P, 0.0005)
		return
	}
	t.Fatal("the throughput was not compared")
}
