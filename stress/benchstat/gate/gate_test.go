package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runs are samples of a benchmark with that time an operation and that rate.
func runs(seconds, rate float64) (all []samples) {
	for i := range 12 {
		noise := 1 + 0.01*float64(i%5)
		all = append(all, samples{{"A-2", "sec/op"}: seconds * noise, {"A-2", "ops/s"}: rate / noise, {"A-2", "B/op"}: 9})
	}
	return all
}

func TestFigures(t *testing.T) {
	for _, c := range []struct {
		seconds, rate float64 // of the tree; the base has 1 and 100
		worse         int
		says          string
	}{
		{1, 100, 0, "| A-2 | ops/s | 1.00× [1.00, 1.00] |  |"},
		{1.04, 97, 0, "| A-2 | sec/op | 0.96× [0.96, 0.96] |  |"},
		{0.5, 200, 0, "| A-2 | sec/op | 2.00× [2.00, 2.00] |  |"},
		{1.25, 100, 1, "| A-2 | sec/op | 0.80× [0.80, 0.80] | **slower** |"},
		{1, 50, 1, "| A-2 | ops/s | 0.50× [0.50, 0.50] | **slower** |"},
	} {
		all := figures(runs(1, 100), runs(c.seconds, c.rate))
		assert.Len(t, all, 2, "memory is not judged")
		var out bytes.Buffer
		assert.Equal(t, c.worse, table(&out, all))
		assert.Contains(t, out.String(), c.says)
	}
	noisy := runs(1, 100)
	for i := range noisy { // half as fast in three of four
		if i%4 != 0 {
			noisy[i][[2]string{"A-2", "sec/op"}] = 2
		}
	}
	assert.Zero(t, table(io.Discard, figures(runs(1, 100), noisy)), "the interval holds 1")

	other := runs(1, 100)
	for _, s := range other {
		s[[2]string{"B-2", "sec/op"}] = 1
	}
	var out bytes.Buffer
	assert.Zero(t, table(&out, figures(runs(1, 100), other)))
	assert.Contains(t, out.String(), "| B-2 | sec/op | | not compared: the base lacks it |")
}

func TestParse(t *testing.T) {
	got := parse(strings.NewReader("goos: linux\nBenchmarkA-2 \t 100\t 2000 ns/op\t 500 ops/s\nnoise\nPASS\n"))
	assert.Len(t, got, 2)
	assert.InEpsilon(t, 2e-6, got[[2]string{"A-2", "sec/op"}], 1e-9)
	assert.InEpsilon(t, 500, got[[2]string{"A-2", "ops/s"}], 1e-9)
}

// slowBenchmark is busy for so many microseconds.
const slowBenchmark = `package p

import (
	"testing"
	"time"
)

func BenchmarkBusy(b *testing.B) {
	for b.Loop() {
		for began := time.Now(); time.Since(began) < %d*time.Microsecond; {
		}
	}
}
`

// TestGate compares two commits of a repository of its own.
func TestGate(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs benchmarks of two commits")
	}
	folder := t.TempDir()
	t.Chdir(folder)
	git := func(args ...string) {
		command := append([]string{"git", "-c", "user.name=x", "-c", "user.email=x@y"}, args...)
		_, err := output(t.Context(), folder, command...)
		require.NoError(t, err)
	}
	write := func(microseconds int) {
		text := fmt.Sprintf(slowBenchmark, microseconds)
		require.NoError(t, os.WriteFile(filepath.Join(folder, "p_test.go"), []byte(text), 0o666))
	}
	require.NoError(t, os.WriteFile("go.mod", []byte("module p\n\ngo 1.26.0\n"), 0o666))
	write(20)
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "first")

	gate := func() (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), []string{"-base", "HEAD", "-rounds", "8", "-time", "5ms", "."}, &out, io.Discard)
		return out.String(), err
	}
	write(2000) // a neighbour that takes half of the machine makes no such difference
	out, err := gate()
	require.ErrorIs(t, err, errWorse)
	assert.Contains(t, out, "**slower**")
	write(1)
	out, err = gate()
	require.NoError(t, err)
	assert.NotContains(t, out, "slower")
	left, err := output(t.Context(), folder, "git", "worktree", "list")
	require.NoError(t, err)
	assert.NotContains(t, left, "\n", "nothing is left of the base")

	for says, args := range map[string][]string{
		"must be 8 or more":            {"-rounds", "7"},
		"must be a regular expression": {"-bench", "("},
		"matches no benchmark":         {"-bench", "None", "-base", "HEAD", "-rounds", "8", "."},
		"git worktree add":             {"-base", "none"},
	} {
		assert.ErrorContains(t, run(t.Context(), args, io.Discard, io.Discard), says)
	}
}
