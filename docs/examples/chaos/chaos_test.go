package chaos_test

import (
	"context"
	"testing"

	"example.com/yours/chaos"

	"tensile/stress"
	"tensile/stress/chaostest"
)

func TestMain(m *testing.M) { stress.Main(m) }

func TestStressChaos(t *testing.T) {
	chaostest.TestChaos(t, chaostest.Subjects{Workers: openWorkers, Engine: openEngine})
}

func BenchmarkWorkers(b *testing.B) { chaostest.BenchmarkWorkers(b, openWorkers) }

// openWorkers needs no adapter: the workers have the methods that the kit calls. They do
// not offer to replace a worker that hangs, because they have no method Watched.
func openWorkers(_ testing.TB, cfg chaostest.WorkersConfig) chaostest.Workers {
	return chaos.New(cfg.Workers, cfg.Restarts, cfg.Within, cfg.Start)
}

// drills adapts the functions of the package to the kit.
type drills struct{}

func openEngine(testing.TB) chaostest.Engine { return drills{} }

func (drills) Plan(s chaostest.Spec) ([]chaostest.Step, error) {
	var plan []chaostest.Step
	for _, step := range chaos.Draw(s.Seed, s.Faults, s.Targets, s.Steps, s.Spread, s.Min, s.Max, s.Bound) {
		plan = append(plan, chaostest.Step(step))
	}
	return plan, nil
}

func (drills) DryRun(plan []chaostest.Step) string { return chaos.Describe(drill(plan)) }

func (drills) Run(ctx context.Context, bound int, plan []chaostest.Step, world chaostest.World) error {
	return chaos.Run(ctx, bound, drill(plan), world.Inject, world.Steady)
}

func drill(plan []chaostest.Step) (steps []chaos.Step) {
	for _, s := range plan {
		steps = append(steps, chaos.Step(s))
	}
	return steps
}
