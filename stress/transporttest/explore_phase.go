package transporttest

import (
	"context"
	"testing"
	"time"

	"tensile/stress/internal/proc"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
)

// programsPhase is the subtest of programs.
const programsPhase = "programs"

// budget is for how long programs are run.
func budget(ops int) programs.Budget {
	return programs.Budget{
		Short: 4 * time.Second, Full: 40 * time.Second,
		Least:  ops, // each operation once
		One:    8 * scenario.Settle,
		Shrink: 3 * scenario.Settle,
	}
}

// programs runs programs on nodes of their own.
func (k *kit) programs(site *proc.Site) func(context.Context, *testing.T) {
	v := k.vocabulary(site)
	return func(ctx context.Context, t *testing.T) {
		out := v.Try(ctx, t, k.Seed, budget(len(v.Ops)))
		if k.explored != nil {
			k.explored.kill()
		}
		if k.givenUp > 0 {
			k.Note("In %d programs nodes did not find each other again, which is for the kit of formation to judge: "+
				"these were given up.", k.givenUp)
		}
		if !v.Report(k.Scenario, out) {
			k.Measured("explored", 1)
			return
		}
		tried := v.Coverage(out.Counts).Promises
		for _, criterion := range []string{"once", "one_way", "kept", "strangers"} {
			if tried[criterion] == 0 {
				k.NotMeasured(criterion, "no program came to try it")
			}
		}
	}
}
