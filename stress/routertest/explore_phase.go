package routertest

import (
	"testing"
	"time"

	"tensile/stress/internal/programs"
)

// explorations are those of the routers that open returns.
func explorations(open func(testing.TB, Config) Router) []programs.Part {
	v, many := vocabulary(open), manyNames(open)
	return []programs.Part{
		{Name: "programs", Body: v.Body, Short: 1700 * time.Millisecond, Full: 15 * time.Second, Least: 300,
			Coverage: v.Coverage},
		{Name: "many names", Body: many.Body, Short: 500 * time.Millisecond, Full: 3 * time.Second, Least: 4, Learning: 1},
	}
}

// look is what a first look at a subject says.
func look(t *testing.T, open func(testing.TB, Config) Router) (packages []string, networked bool) {
	r := open(t, Config{Mailbox: mailbox})
	if r == nil {
		return nil, false
	}
	_ = r.Close()
	return programs.Packages(open, r), programs.Networked(r)
}

// prepare begins to prepare the explore phase; nil if there is none.
func (k *kit) prepare(parts []programs.Part) *programs.Phase {
	packages, networked := look(k.T, k.open)
	if networked {
		k.NotOffered("explored", "the subject uses the network, so its schedules cannot be controlled")
		return nil
	}
	return programs.Prepare(k.Scenario, parts, packages)
}
