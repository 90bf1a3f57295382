package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"tensile/chaos"
)

func ExampleExperiment() {
	var down atomic.Int64
	plan, err := chaos.Draw(1, chaos.Spec{
		Targets: map[chaos.Fault][]string{"stop": {"a", "b", "c"}},
		Steps:   2, Spread: 100 * time.Millisecond,
		Min: 10 * time.Millisecond, Max: 20 * time.Millisecond, Bound: 1,
	})
	if err != nil {
		panic(err)
	}
	experiment := chaos.Experiment{
		Plan: plan,
		Injectors: map[chaos.Fault]chaos.Injector{
			"stop": func(context.Context, string) (func() error, error) {
				down.Add(1)
				return func() error { down.Add(-1); return nil }, nil
			},
		},
		Hypothesis: chaos.Hypothesis{Name: "most are up", Check: func(context.Context) error {
			if down.Load() > 1 {
				return errors.New("too many are down")
			}
			return nil
		}},
	}
	if err := experiment.DryRun(os.Stdout); err != nil {
		panic(err)
	}
	report, err := experiment.Run(context.Background())
	fmt.Println(err, report.Peak, "hit at once,", report.Broken, "checks failed")
	// Output:
	// chaos plan, seed 1: 2 faults on 2 targets in 77.932128ms, at most 1 hit at once
	//   at 8.911177ms   for 10.236764ms  stop       c
	//   at 59.826095ms  for 18.106033ms  stop       b
	// <nil> 1 hit at once, 0 checks failed
}

func ExampleWorkers() {
	workers, err := chaos.NewWorkers(chaos.WorkersConfig[int]{
		Workers: 2,
		Start: func(int) chaos.Handler[int] {
			return func(_ context.Context, item int) error {
				fmt.Println(100 / item)
				return nil
			}
		},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(workers.Do(context.Background(), 0, 0))
	fmt.Println(workers.Do(context.Background(), 0, 5))
	fmt.Println(workers.Close())
	// Output:
	// chaos: worker 0: worker crashed: runtime error: integer divide by zero
	// 20
	// <nil>
	// <nil>
}
