package clustertest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/programs"
)

// tryModel runs programs over nodes without processes, in virtual time.
func tryModel(t *testing.T, fault string, seed uint64, b programs.Budget) (out programs.Tried, c programs.Coverage) {
	synctest.Test(t, func(t *testing.T) {
		x := &explorer{patience: 10 * time.Second, fleet: func() fleet {
			return &modelled{fault: fault, all: make(map[string]*modelNode)}
		}}
		v := x.vocabulary()
		out = v.Try(t.Context(), t, seed, b)
		c = v.Coverage(out.Counts)
	})
	return out, c
}

// Every operation meets every other, and every event, that it can.
func TestProgramsReachEveryPair(t *testing.T) {
	out, c := tryModel(t, "", 1, programs.Budget{Least: 400, One: time.Hour})
	require.Nil(t, out.Failure, "a sound cluster is accused")
	assert.Zero(t, out.Late)
	assert.GreaterOrEqual(t, float64(c.Tried), 0.95*float64(c.All), c.String())
}

func TestProgramsFindPlantedFaults(t *testing.T) {
	for fault, says := range map[string]string{
		"ring":               "and node-",
		"one of two":         "at the same instant as",
		"first seed":         "which is dead, and node-",
		"name kept":          "rejoin: ",
		"tombstone":          "rejoin: ",
		"old address":        "was started again at another address, and",
		"left while stopped": "left while nothing reached node-",
		"not taken back":     "was stopped",
		"after a heal":       "was cut off for a while",
		"claims":             "which is taken, was started without an error",
		"calls":              "to it fail: no answer",
	} {
		t.Run(fault, func(t *testing.T) {
			for seed := range uint64(3) {
				out, _ := tryModel(t, fault, seed, programs.Budget{Least: 8, One: time.Hour, Shrink: 30 * time.Second})
				f := out.Failure
				require.NotNil(t, f, "seed %d", seed)
				assert.Contains(t, f.Sentence, says)
				assert.LessOrEqual(t, strings.Count(f.Program, "\n"), 11)
			}
		})
	}
}

// A node that cannot leave is not asked to, and all else is tried.
func TestProgramsOfNodesThatDoNotLeave(t *testing.T) {
	out, _ := tryModel(t, "no leave", 1, programs.Budget{Least: 50, One: time.Hour})
	assert.Nil(t, out.Failure)
}
