package validate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCriteriaAreWellFormed(t *testing.T) {
	scenarios := map[string]bool{WholeRun: true}
	for _, s := range Scenarios {
		scenarios[s.ID] = true
	}
	require.Len(t, Scenarios, 9)
	seen := map[string]bool{}
	for _, c := range Criteria {
		assert.False(t, seen[c.ID], "%s is there twice", c.ID)
		seen[c.ID] = true
		assert.True(t, scenarios[c.Scenario], c.ID)
		assert.True(t, strings.HasPrefix(c.ID, c.Scenario+".") && len(c.ID) > len(c.Scenario)+1, c.ID)
		assert.NotEmpty(t, c.Name, c.ID)
		assert.NotEmpty(t, c.Unit, c.ID)
		assert.Contains(t, []Comparison{AtLeast, AtMost, Below, Equal}, c.Comparison, c.ID)
		assert.Contains(t, []Kind{Must, Reach}, c.Kind, c.ID)
		assert.Contains(t, []Scaling{Fixed, WithN, UpToBase, WithShare, WithControl}, c.Scaling, c.ID)
		if c.Unit == "violations" || strings.HasSuffix(c.ID, ".leaks") {
			assert.Equal(t, 0.0, c.Target, c.ID)
		}
		if c.Scaling == WithShare && c.Comparison == AtMost {
			assert.Positive(t, c.Target, "%s: a target of 0 does not scale", c.ID)
		}
	}
	for scenario := range scenarios {
		assert.NotEmpty(t, Of(scenario), scenario)
	}
	assert.Empty(t, Of("nothing"))
}

// TestCriteriaOfTheSpecification holds the figures of the specification beside
// the list, so that none of them changes unseen.
func TestCriteriaOfTheSpecification(t *testing.T) {
	index := map[string]Criterion{}
	for _, c := range Criteria {
		index[c.ID] = c
	}
	for _, want := range []struct {
		id         string
		comparison Comparison
		target     float64
		unit       string
		kind       Kind
	}{
		{"run.throughput", AtLeast, 50_000, "ops/s", Must},
		{"run.p50", Below, 50, "ms", Must},
		{"run.p95", Below, 75, "ms", Must},
		{"run.p99", Below, 100, "ms", Must},
		{"run.memory", AtMost, 500, "MB", Must},
		{"run.per_connection", AtMost, 5120, "bytes", Must},
		{"run.recovery", Below, 2000, "ms", Must},
		{"run.sessions", AtLeast, 99.5, "%", Must},
		{"run.connections", Equal, 100, "%", Must},
		{"run.balance", AtMost, 2000, "connections", Must},
		{"run.loss", Equal, 0, "messages", Must},
		{"run.cascades", Equal, 0, "failures", Must},
		{"run.leaks", Equal, 0, "leaks", Must},
		{"formation.formed", Below, 2000, "ms", Must},
		{"formation.death", Below, 100, "ms", Must},
		{"formation.false_deaths", Equal, 0, "nodes", Must},
		{"formation.formed_reach", Below, 250, "ms", Reach},
		{"pooling.in_flight", AtLeast, 100_000, "operations", Must},
		{"pooling.throughput", AtLeast, 50_000, "ops/s", Must},
		{"pooling.p99", Below, 100, "ms", Must},
		{"pooling.crosstalk", Equal, 0, "violations", Must},
		{"routing.in_flight", AtLeast, 100_000, "messages", Must},
		{"routing.throughput", AtLeast, 90_000, "msgs/s", Must},
		{"routing.mean", Below, 3, "ms", Must},
		{"routing.delivery", Equal, 100, "%", Must},
		{"queueing.throughput", AtLeast, 95_000, "msgs/s", Must},
		{"queueing.kills", AtLeast, 20, "kills", Must},
		{"queueing.durable_lost", Equal, 0, "messages", Must},
		{"memory.per_connection", AtMost, 5120, "bytes", Must},
		{"memory.slope", AtMost, 0, "bytes/s", Must},
		{"memory.heap_returned", AtMost, 5, "%", Must},
		{"balancing.spread", AtMost, 2000, "connections", Must},
		{"balancing.default_spread", AtMost, 0.6, "%", Must},
		{"sessions.survival", AtLeast, 99.5, "%", Must},
		{"sessions.recovery", Below, 2000, "ms", Must},
		{"messaging.throughput", AtLeast, 85_000, "msgs/s", Must},
		{"messaging.answered", Equal, 100, "%", Must},
		{"chaos.recovery", Below, 2000, "ms", Must},
		{"chaos.cascades", Equal, 0, "failures", Must},
		{"chaos.p99", AtMost, 2, "times", Must},
		{"chaos.recovery_reach", Below, 103, "ms", Reach},
	} {
		c, ok := index[want.id]
		if assert.True(t, ok, want.id) {
			assert.Equal(t, want.comparison, c.Comparison, want.id)
			assert.Equal(t, want.target, c.Target, want.id)
			assert.Equal(t, want.unit, c.Unit, want.id)
			assert.Equal(t, want.kind, c.Kind, want.id)
		}
	}
}

// TestEveryScenarioDecidesOneAcceptance, and all of them are accounted for.
func TestEveryScenarioDecidesOneAcceptance(t *testing.T) {
	decides := map[string]int{}
	for _, a := range acceptances {
		for _, scenario := range a.scenarios {
			decides[scenario]++
		}
	}
	assert.Len(t, acceptances, 6)
	for _, s := range Scenarios {
		assert.Equal(t, 1, decides[s.ID], s.ID)
	}
	assert.Equal(t, 1, decides[WholeRun])
}
