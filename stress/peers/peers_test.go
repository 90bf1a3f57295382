package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryContestantDoesTheWork has each of them do a thousandth of it: what
// is not done in full is an error of its sample.
func TestEveryContestantDoesTheWork(t *testing.T) {
	for _, list := range scenarios {
		for _, c := range list() {
			for _, one := range c.contestants {
				t.Run(c.scenario+"/"+c.work+"/"+one.name, func(t *testing.T) {
					x, err := one.sample(max(one.operations(c.n)/1000, 100))
					require.NoError(t, err)
					assert.GreaterOrEqual(t, x, 0.0)
				})
			}
		}
	}
}

// fake is a comparison whose contestants return these samples, one a round.
func fake(lower bool, samples ...[]float64) comparison {
	c := comparison{scenario: "fakes", work: "nothing", unit: "ops/s", lower: lower, n: 1000}
	names := []string{"ours", "peer", "limit"}
	for i, s := range samples {
		c.contestants = append(c.contestants, contestant{name: names[i], bound: i == 2, sample: func(int) (float64, error) {
			x := s[0]
			s = s[1:]
			return x, nil
		}})
	}
	return c
}

func TestRatioAndVerdict(t *testing.T) {
	faster, slower := []float64{20, 22, 21, 20, 23, 20}, []float64{10, 11, 10, 10, 12, 10}
	for _, c := range []struct {
		name         string
		lower        bool
		ours, theirs []float64
		verdict      string
		median       float64
	}{
		{"more is better and ours has more", false, faster, slower, "ours", 2},
		{"less is better and ours has more", true, faster, slower, "theirs", 0.5},
		{"now one and now the other", false, []float64{1, 2, 1, 2, 1, 2}, []float64{2, 1, 2, 1, 2, 1}, "neither", 1.25},
		{"nothing against nothing", true, make([]float64, 6), make([]float64, 6), "neither", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := fake(c.lower, c.ours, c.theirs).run(6, 1, func(string) {})
			require.NoError(t, err)
			x := r.against(1)
			assert.Equal(t, c.verdict, x.verdict())
			assert.InDelta(t, c.median, x.median, 0.01)
			assert.LessOrEqual(t, x.low, x.median)
			assert.GreaterOrEqual(t, x.high, x.median)
		})
	}
}

// TestRank compares with the table of David and Nagaraja for 95 %: the ranks
// there count from 1.
func TestRank(t *testing.T) {
	for n, want := range map[int]int{6: 1, 8: 1, 9: 2, 12: 3, 15: 4, 20: 6, 25: 8} {
		assert.Equal(t, want, rank(n)+1, "of %d samples", n)
	}
}

func TestASampleThatFailsEndsTheRunAndSaysWhere(t *testing.T) {
	c := fake(false, []float64{1})
	c.contestants[0].sample = func(int) (float64, error) { return 0, errors.New("3 of 1000 were lost") }
	_, err := c.run(6, 1, func(string) {})
	assert.EqualError(t, err, "fakes, nothing, ours, round 1: 3 of 1000 were lost")
}

func TestThePageSaysWhereAPeerIsAhead(t *testing.T) {
	ours, theirs := []float64{10, 10, 10, 10, 10, 10}, []float64{20, 20, 20, 20, 20, 20}
	r, err := fake(false, ours, theirs, theirs).run(6, 1, func(string) {})
	require.NoError(t, err)
	r.why = "Because of the profile."
	var page strings.Builder
	writePage(&page, []result{r}, 6, 1)
	assert.Contains(t, page.String(), "Of 1 pairs ours is ahead in 0, a peer in 1, and neither in 0.")
	assert.Contains(t, page.String(), "**peer** is ahead; ours reaches 0.50× [0.50, 0.50] of it.")
	assert.Contains(t, page.String(), "| peer | 20 | 20 to 20 | 0.50× [0.50, 0.50] | **theirs** |  |")
	assert.Contains(t, page.String(), "*bound:* limit")
	assert.Contains(t, page.String(), "Because of the profile.")
	assert.NotContains(t, page.String(), "**limit**")

	var samples strings.Builder
	writeSamples(&samples, []result{r})
	assert.Contains(t, samples.String(), "Unit ops/s better=higher\n")
	assert.Contains(t, samples.String(), "\t1000\t20 ops/s\n")
	assert.Equal(t, 6, strings.Count(samples.String(), "BenchmarkFakes/nothing/peer-"))
}

func TestFigure(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 0.123: "0.12", 9.876: "9.88", 26.94: "26.9", 254.4: "254", 12345: "12,345", 8_250_000: "8.25 M",
	} {
		assert.Equal(t, want, figure(x))
	}
}

func TestArguments(t *testing.T) {
	for says, args := range map[string][]string{
		"must be 6 or more":            {"-rounds", "3"},
		"must be a regular expression": {"-only", "("},
		"matches no comparison":        {"-only", "no such thing"},
	} {
		assert.ErrorContains(t, run(args), says)
	}
	path := filepath.Join(t.TempDir(), "none", "page.md")
	err := write(path, nil, nil)
	assert.ErrorIs(t, err, os.ErrNotExist)
}
