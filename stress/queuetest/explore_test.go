package queuetest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/explore"
	"tensile/stress/internal/programs"
)

// explored explores a broker in the way of the phase, by a number of schedules.
func explored(t *testing.T, fault string, schedules int) (explore.Outcome, *programs.Vocabulary[*model]) {
	v := vocabulary(func(_ testing.TB, cfg Config) Broker { return newFaulty(cfg, fault) },
		offers{optionAbilities{dead: true, bounded: true, batches: true}, true})
	return v.Explored(t, schedules), v
}

// TestExploredFaults plants a fault of each kind in a sound broker.
func TestExploredFaults(t *testing.T) {
	programs.MustFind(t, map[string]string{
		"last first":                       "reordered: ",
		"back to the end":                  "reordered: ",
		"reverses batches":                 "reordered: ",
		"one signal for all":               "lost: ",
		"keeps the lease of who left":      "lost: ",
		"wakes nobody for what comes back": "redelivery: ",
		"loses what is refused":            "nothing else happens",
		"leases never end":                 "redelivery: ",
		"attempt stuck":                    "redelivery: ",
		"knows no delay":                   "redelivery: ",
		"leases end too early":             "exclusive: ",
		"delivers twice":                   "exclusive: ",
		"nacks for another":                "exclusive: ",
		"acks the slot":                    "exclusive: ",
		"forgets acks":                     "duplicated: ",
		"acks one of a batch":              "duplicated: ",
		"dies too early":                   "dead_letter: ",
		"dies too late":                    "dead_letter: ",
		"loses the dead":                   "dead_letter: ",
		"one too many":                     "bounded: ",
		"does not count what is leased":    "bounded: ",
		"lets nobody in":                   "bounded: ",
		"counts who left":                  "bounded: ",
		"says another error":               "bounded: ",
		"waits though it is to refuse":     "bounded: ",
		"heeds no context":                 "deadline: ",
		"leaves who waits alone":           "close: ",
		"takes after Close":                "close: ",
		"wrong queue":                      "misrouted: ",
		"corrupts":                         "corrupted: ",
	}, func(t *testing.T, fault string) explore.Outcome {
		out, _ := explored(t, fault, 4000)
		return out
	})
}

// Without a fault the broker is sound, and the programs reach what they are made of.
func TestExploredCoverage(t *testing.T) {
	out, v := explored(t, "", 6000)
	require.Nil(t, out.Failure, "%v", out)
	c := v.Coverage(out.Counts)
	t.Log(c)
	for _, criterion := range []string{"exclusive", "reordered", "redelivery", "dead_letter", "bounded", "deadline",
		"close"} {
		assert.Positive(t, c.Promises[criterion], criterion)
	}
}
