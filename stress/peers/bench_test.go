package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"

	"tensile/stress/measure"
	"tensile/stress/report"
)

// TestBenchFileIsRead by the library that benchstat reads with.
func TestBenchFileIsRead(t *testing.T) {
	latency := measure.Summarize([]int64{1_000_000, 2_000_000, 4_000_000}, 0)
	rss := int64(123_000_000)
	folder, err := report.Open(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, folder.Write(&report.Run{
		Schema: report.Schema,
		Environment: measure.Environment{
			OS: "linux", Arch: "amd64", CPU: "A Processor: model (R) 1", GOMAXPROCS: 2, Scale: 3, Commit: "abc+changes",
		},
		Scenarios: []*report.Scenario{{
			ID: "pooling", State: report.Passed,
			Burst:  &report.Burst{N: 3, Throughput: 100_000, Latency: &latency},
			Steady: &report.Steady{N: 3, Offered: 60_000, Latency: latency},
			Memory: &measure.MemoryUse{Peak: measure.Memory{Heap: 5, Stacks: 6, RSS: &rss}},
		}},
	}))
	require.NoError(t, folder.Close())

	file, err := os.Open(folder.Path("bench.txt"))
	require.NoError(t, err)
	defer func() { assert.NoError(t, file.Close()) }()
	values := map[string]map[string]float64{}
	for reader := benchfmt.NewReader(file, "bench.txt"); reader.Scan(); {
		switch record := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			t.Error(record)
		case *benchfmt.Result:
			assert.Equal(t, "tensile/stress", record.GetConfig("pkg"))
			assert.Equal(t, "A Processor: model (R) 1", record.GetConfig("cpu"))
			assert.Equal(t, "3", record.GetConfig("scale"))
			of := map[string]float64{}
			for _, v := range record.Values {
				of[v.Unit] = v.Value
			}
			values[record.Name.String()] = of
		}
	}
	require.Len(t, values, 3)
	burst := values["Pooling/phase=burst-2"]
	assert.InDelta(t, 1e-5, burst["sec/op"], 1e-15)
	assert.Equal(t, 100_000.0, burst["ops/s"])
	assert.InDelta(t, 0.002, burst["p50-sec"], 1e-12)
	assert.Equal(t, 60_000.0, values["Pooling/phase=steady-2"]["ops/s"])
	assert.Equal(t, 123e6, values["Pooling/phase=memory-2"]["rss-peak-B"])
}
