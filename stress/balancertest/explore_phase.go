package balancertest

import (
	"testing"
	"time"

	"tensile/stress/internal/programs"
)

// explorations are those of the balancers that open returns.
func explorations(open func(testing.TB, Config) Balancer, offered map[Strategy]kind) []programs.Part {
	v := vocabulary(open, offered)
	return []programs.Part{
		{Name: "programs", Body: v.Body, Short: 1700 * time.Millisecond, Full: 15 * time.Second, Least: 300,
			Coverage: v.Coverage},
	}
}

// packages are those of the balancers.
func packages(t *testing.T, open func(testing.TB, Config) Balancer, offered map[Strategy]kind) []string {
	var subjects []any
	for s := range offered {
		subjects = append(subjects, open(t, Config{Strategy: s, Load: boundedLoad}))
	}
	return programs.Packages(open, subjects...)
}
