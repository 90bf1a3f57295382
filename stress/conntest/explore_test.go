package conntest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/explore"
	"tensile/stress/internal/programs"
)

// inMemory is what is asked of a server that programs are made for.
var inMemory = Config{Network: networkMemory}

// explored explores a server in the way of the phase, by a number of schedules.
func explored(t *testing.T, open func(testing.TB, Config) Server, cfg Config, schedules int) explore.Outcome {
	v := vocabulary(open, cfg)
	out := explore.Try(t, v.Body(t), explore.Schedules(schedules), explore.Points(2_000_000))
	if !out.Controlled {
		t.Skip(out.Reason)
	}
	return out
}

// TestExploredFaults plants a fault of each kind in a sound server.
func TestExploredFaults(t *testing.T) {
	programs.MustFind(t, map[string]string{
		answersOneARead:  "fragments: ",
		takesPiece:       "corrupted: ",
		flushesLate:      "fragments: ",
		countsFromFirst:  "close: Close has returned, and the connection of ",
		leavesSilent:     "without a request",
		leavesUnwritable: "close: the server has not closed the connection of ",
		leavesInRequest:  "in the middle of request ",
		keepsResets:      "growth: ",
		keepsGoings:      "growth: ",
		timesOldSlot:     "survival: the server has ended the connection of ",
		closesOldSlot:    "survival: the server has ended the connection of ",
		writesUnderLock:  ": ",
		waitsForPart:     "close: Close has not returned",
		waitsForReader:   "close: Close has not returned",
		spinsAtAccept:    "close: Accept has failed ",
		sleepsAtAccept:   "survival: ",
		returnsAtReset:   "survival: Serve returned ",
		endsAtReset:      "survival: the server has ended the connection of ",
		keepsState:       "stale: ",
		sharesFrame:      ": ",
		answersBeside:    ": ",
		answersTwice:     "duplicated: ",
		losesAtFull:      ": ",
	}, func(t *testing.T, fault string) explore.Outcome {
		open := func(testing.TB, Config) Server { return newFaulty(fault) }
		return explored(t, open, inMemory, 4000)
	})
}

// So many schedules reach nearly all pairs: some are of two things that are over in an instant.
const (
	coverageSchedules = 6_000
	leastCoverage     = 0.95
)

// Without a fault the server is sound, and the programs reach what they are made of.
func TestExploredCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes thousands of programs")
	}
	open := func(testing.TB, Config) Server { return newFaulty("") }
	out := explored(t, open, inMemory, coverageSchedules)
	require.Nil(t, out.Failure, "%v", out)
	c := vocabulary(open, inMemory).Coverage(out.Counts)
	t.Log(c)
	assert.GreaterOrEqual(t, float64(c.Tried), leastCoverage*float64(c.All), "%v", c)
	for _, criterion := range []string{"lost", "fragments", "stale", "survival", "close", "growth"} {
		assert.Positive(t, c.Promises[criterion], criterion)
	}
}
