package scenario

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"tensile/stress/internal/run"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// settled is a pooling scenario of which some phases have come to an end as said.
func settled(lines []*line, before func(s *Scenario)) map[string]validate.Check {
	s := &Scenario{ID: validate.Pooling, N: 1000, Run: new(run.Run), Shares: undisturbed, lines: lines,
		result: new(report.Scenario),
		list:   validate.NewChecklist(validate.Of(validate.Pooling)), violations: make(map[string]int)}
	s.evident.Do(func() {}) // no file is written
	before(s)
	s.settle()
	checks := make(map[string]validate.Check)
	for _, c := range s.list.Checks() {
		checks[c.ID[len(s.ID)+1:]] = c
	}
	return checks
}

func TestACriterionPassesOnlyIfAllOfItWasTried(t *testing.T) {
	const left, unreached = "were left out by -run", "were not reached, as another phase failed"
	order := func() *line { return &line{"order", []string{"order", "served"}, report.Passed, ""} }
	nothing := func(*Scenario) {}

	c := settled([]*line{order(), {"burst", []string{"served", "in_flight"}, report.Passed, ""}}, nothing)
	assert.Equal(t, validate.Passed, c["order"].Verdict)
	assert.Equal(t, validate.Passed, c["served"].Verdict)
	assert.Equal(t, validate.NotMeasured, c["close"].Verdict, "no phase shows it")
	assert.Equal(t, validate.NotMeasured, c["in_flight"].Verdict, "it has a figure, which nobody has measured")

	c = settled([]*line{order(), {"burst", []string{"served", "in_flight"}, report.NotRun, left}},
		func(s *Scenario) { s.Measured("leaks", 0) })
	assert.Equal(t, validate.Passed, c["order"].Verdict)
	for _, name := range []string{"served", "in_flight", "leaks"} {
		assert.Equal(t, validate.NotMeasured, c[name].Verdict, name)
		assert.Equal(t, `the phase "burst" was left out by -run`, c[name].Note, name)
	}

	c = settled([]*line{{"order", []string{"order", "served"}, report.Failed, "failed"},
		{"burst", []string{"in_flight"}, report.NotRun, unreached}},
		func(s *Scenario) { s.violations["order"] = 2 })
	assert.Equal(t, validate.Failed, c["order"].Verdict)
	assert.Equal(t, 2.0, *c["order"].Measured)
	assert.Equal(t, `the phase "order" failed`, c["served"].Note, "of what was tried nobody knows how far")
	assert.Equal(t, `the phase "burst" was not reached, as another phase failed`, c["in_flight"].Note)

	c = settled([]*line{{"burst", []string{"served", "throughput", "in_flight"}, report.Failed, "failed"}},
		func(s *Scenario) { s.Measured("in_flight", 1000); s.violations["throughput"] = 1 })
	assert.Equal(t, validate.Passed, c["in_flight"].Verdict, "its figure was measured")
	assert.Equal(t, validate.Failed, c["throughput"].Verdict,
		"what fails belongs to a criterion, also where that has no figure")
	assert.Nil(t, c["throughput"].Measured)

	c = settled([]*line{order()}, func(s *Scenario) {
		s.NotOffered("order", "it says so")
		s.NotMeasured("served", "it can not be")
	})
	assert.Equal(t, validate.NotOffered, c["order"].Verdict)
	assert.Equal(t, "it can not be", c["served"].Note)
}

func TestReasonsInWords(t *testing.T) {
	assert.Equal(t, `the phases "a" and "b" were left out by -run`, sentence([]string{"a", "b"}, "were left out by -run"))
	assert.Equal(t, `5 phases were left out by -run`, sentence(make([]string, 5), "were left out by -run"))
	assert.Equal(t, `the phase "a" failed`, sentence([]string{"a"}, "failed"))
}

func TestAFaultBelongsToACriterion(t *testing.T) {
	s := &Scenario{ID: validate.Pooling, Run: new(run.Run)}
	s.at(t, &line{shows: []string{"in_flight", "served", "order"}})
	assert.Equal(t, "served", s.main, "the first that counts faults")
	s.at(t, &line{shows: []string{"in_flight", "p50"}})
	assert.Equal(t, "in_flight", s.main)
	s.at(nil, nil)
	assert.Empty(t, s.main)
}

func TestTheCommandRepeatsWhatFailed(t *testing.T) {
	s := &Scenario{T: t, ID: validate.Pooling, N: 1000, Run: new(run.Run), Shares: undisturbed,
		result: new(report.Scenario),
		list:   validate.NewChecklist(validate.Of(validate.Pooling))}
	s.evident.Do(func() {})
	s.lines = []*line{{"order", []string{"order"}, report.Passed, ""}, {"failing dials", nil, report.Passed, ""},
		{"burst", []string{"in_flight", "throughput"}, report.Passed, ""},
		{"steady", []string{"throughput"}, report.Passed, ""}}
	pattern := func() string { return s.pattern() }
	const test = "^TestTheCommandRepeatsWhatFailed$"
	assert.Equal(t, test, pattern())

	s.lines[3].state = report.NotRun
	assert.Equal(t, test+"/^(order|failing_dials|burst)$", pattern())
	s.lines[0].state, s.lines[2].state = report.NotRun, report.NotRun
	assert.Equal(t, test+"/^failing_dials$", pattern())

	s.lines[1].state, s.lines[2].state = report.Failed, report.Passed
	assert.Equal(t, test+"/^failing_dials$", pattern())
	s.lines[1].state = report.Passed
	s.Measured("in_flight", 0)
	assert.Equal(t, test+"/^burst$", pattern(), "the phase that measures it")
	s.Measured("leaks", 1)
	assert.Equal(t, test+"/^(failing_dials|burst)$", pattern(), "that is of the whole, as far as it ran")
}
