package chaos_test

import (
	"context"
	"testing"

	"example.com/yours/chaos"

	"tensile/stress"
)

func TestMain(m *testing.M) { stress.Main(m) }

func TestStressChaos(t *testing.T) {
	stress.TestChaos(t, stress.ChaosSubjects{Workers: openWorkers, Engine: openEngine})
}

func BenchmarkWorkers(b *testing.B) { stress.BenchmarkWorkers(b, openWorkers) }

// openWorkers needs no adapter: the methods are those that the kit calls. They
// have none called Watched: to replace a worker that hangs is not offered.
func openWorkers(_ testing.TB, cfg stress.WorkersConfig) stress.Workers {
	return chaos.New(cfg.Workers, cfg.Restarts, cfg.Within, cfg.Start)
}

// drills are the functions of the package as the kit calls them.
type drills struct{}

func openEngine(testing.TB) stress.Engine { return drills{} }

func (drills) Plan(s stress.EngineSpec) ([]stress.ChaosStep, error) {
	var plan []stress.ChaosStep
	for _, step := range chaos.Draw(s.Seed, s.Faults, s.Targets, s.Steps, s.Spread, s.Min, s.Max, s.Bound) {
		plan = append(plan, stress.ChaosStep(step))
	}
	return plan, nil
}

func (drills) DryRun(plan []stress.ChaosStep) string { return chaos.Describe(drill(plan)) }

func (drills) Run(ctx context.Context, bound int, plan []stress.ChaosStep, world stress.World) error {
	return chaos.Run(ctx, bound, drill(plan), world.Inject, world.Steady)
}

func drill(plan []stress.ChaosStep) (steps []chaos.Step) {
	for _, s := range plan {
		steps = append(steps, chaos.Step(s))
	}
	return steps
}
