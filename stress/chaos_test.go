package stress_test

import (
	"context"
	"testing"

	"tensile/chaos"
	"tensile/stress/chaostest"
)

func TestStressChaos(t *testing.T) {
	chaostest.TestChaos(t, chaostest.Subjects{Workers: openWorkers, Engine: openEngine, Nodes: startNode,
		Links: openLinks})
}

func BenchmarkWorkers(b *testing.B) { chaostest.BenchmarkWorkers(b, openWorkers) }

// subjectWorkers is chaos.Workers behind the interface of the kit.
type subjectWorkers struct{ *chaos.Workers[uint64] }

func openWorkers(tb testing.TB, cfg chaostest.WorkersConfig) chaostest.Workers {
	w, err := chaos.NewWorkers(chaos.WorkersConfig[uint64]{
		Workers: cfg.Workers, Restarts: cfg.Restarts, Within: cfg.Within, Hung: cfg.Hung,
		Start: func(worker int) chaos.Handler[uint64] {
			handle := cfg.Start(worker)
			return func(_ context.Context, op uint64) error { return handle(op) }
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return subjectWorkers{w}
}

func (subjectWorkers) Watched() {}

// subjectEngine is chaos.Draw and chaos.Experiment behind the interface of the
// kit.
type subjectEngine struct{}

func openEngine(testing.TB) chaostest.Engine { return subjectEngine{} }

func (subjectEngine) Plan(s chaostest.Spec) ([]chaostest.Step, error) {
	spec := chaos.Spec{
		Targets: make(map[chaos.Fault][]string), Steps: s.Steps, Spread: s.Spread, Min: s.Min, Max: s.Max, Bound: s.Bound,
	}
	for _, fault := range s.Faults {
		spec.Targets[chaos.Fault(fault)] = s.Targets
	}
	plan, err := chaos.Draw(s.Seed, spec)
	steps := make([]chaostest.Step, len(plan.Steps))
	for i, s := range plan.Steps {
		steps[i] = chaostest.Step{Fault: string(s.Fault), Target: s.Target, At: s.At, For: s.For}
	}
	return steps, err
}

func planOf(bound int, steps []chaostest.Step) chaos.Plan {
	plan := chaos.Plan{Bound: bound}
	for _, s := range steps {
		plan.Steps = append(plan.Steps, chaos.Step{Fault: chaos.Fault(s.Fault), Target: s.Target, At: s.At, For: s.For})
	}
	return plan
}

func (subjectEngine) DryRun(steps []chaostest.Step) string { return planOf(1, steps).String() }

func (subjectEngine) Run(ctx context.Context, bound int, steps []chaostest.Step, world chaostest.World) error {
	e := chaos.Experiment{
		Plan: planOf(bound, steps), Injectors: make(map[chaos.Fault]chaos.Injector),
		Hypothesis: chaos.Hypothesis{Name: "steady", Check: world.Steady},
	}
	for _, s := range steps {
		e.Injectors[chaos.Fault(s.Fault)] = func(_ context.Context, target string) (func() error, error) {
			return world.Inject(s.Fault, target)
		}
	}
	_, err := e.Run(ctx)
	return err
}

// subjectLinks is chaos.Network behind the interface of the kit.
type subjectLinks struct {
	*chaos.Network
	injectors map[chaos.Fault]chaos.Injector
}

func openLinks(_ testing.TB, cfg chaostest.LinksConfig) chaostest.Links {
	n := chaos.NewNetwork(cfg.Seed)
	return subjectLinks{n, n.Injectors(chaos.Condition{
		Delay: cfg.Delay, Jitter: cfg.Jitter, Loss: cfg.Loss, Stall: cfg.Stall, Corrupt: cfg.Corrupt,
	})}
}

// Inject finds the fault by its name: the kit and the package have the same.
func (l subjectLinks) Inject(fault, node string) (func() error, error) {
	return l.injectors[chaos.Fault(fault)](context.Background(), node)
}
