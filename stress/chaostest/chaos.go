package chaostest

import (
	"context"
	"testing"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
	"tensile/stress/node"
	"tensile/stress/validate"
)

// Subjects are the subjects of the chaos scenario. Those that are nil are "not
// offered".
type Subjects struct {
	// Workers opens supervised workers, see TestWorkers.
	Workers func(testing.TB, WorkersConfig) Workers
	// Engine opens what plans faults and carries plans out.
	Engine func(testing.TB) Engine
	// Nodes starts a node of a cluster, in a process of its own. It needs Links between
	// the nodes, and an Engine.
	Nodes func(testing.TB, node.Config) (node.Node, error)
	Links func(testing.TB, LinksConfig) Links
}

// Engine plans faults and carries plans out. The kit passes it the world into which
// faults are injected, and counts there.
type Engine interface {
	// Plan draws a plan. The same Spec gives the same plan.
	Plan(Spec) ([]Step, error)
	// DryRun returns a plan as text. It injects nothing.
	DryRun([]Step) string
	// Run carries out a plan, which need not come from Plan. It injects nothing unless
	// the steady state holds. It lets no more than bound targets be hit at once,
	// whatever the plan says. When it returns or panics, it has undone everything. The
	// error says that the bound would have been exceeded, that the steady state did
	// not hold before or after, that an injection failed, or that the context ended.
	Run(ctx context.Context, bound int, plan []Step, world World) error
}

// Spec describes the plan to draw.
type Spec struct {
	Seed     uint64
	Faults   []string
	Targets  []string // each fault may hit any of them
	Steps    int
	Spread   time.Duration // over which faults begin
	Min, Max time.Duration // how long each lasts
	Bound    int           // most targets hit at once
}

// Step is one fault of a plan.
type Step struct {
	Fault, Target string
	At, For       time.Duration
}

// World is where faults are injected.
type World struct {
	Inject func(fault, target string) (undo func() error, err error)
	Steady func(context.Context) error // nil while the steady state holds
}

// TestChaos tests subjects in the chaos scenario.
func TestChaos(t *testing.T, subjects Subjects) {
	site := proc.At(t, "node")
	if site.Child() {
		site.Serve(nodes.Serve(t, subjects.Nodes))
		return
	}
	parts := explorations(subjects)
	if len(parts) > 0 && programs.Alone(t, parts, func(t *testing.T) []string { return packages(t, subjects) }) {
		return
	}
	s := scenario.Begin(t, validate.Chaos)
	if subjects.Engine == nil && subjects.Workers == nil && subjects.Nodes == nil {
		s.Fail("chaos: there is no subject: nothing was passed to the kit")
	}
	explored := prepare(t, s, subjects, parts)
	s.Take(explored.Soon())
	if subjects.Engine != nil {
		s.Take((&engineKit{s, subjects.Engine}).phases()...)
	} else {
		lacking(s, "no engine was passed to the kit", "plan", "dry_run", "blast_radius", "undone", "gate")
	}
	s.Take(explored.Whenever())
	if subjects.Workers != nil {
		s.Take((&workersKit{Scenario: s, open: subjects.Workers}).phases()...)
	} else {
		lacking(s, "no workers were passed to the kit", "serving", "recovery", "recovery_reach", "slowness", "lost",
			"p99", "answers", "hypothesis", "intensity", "hung")
	}
	left := 0 // by node processes
	if subjects.Nodes != nil && subjects.Links != nil && subjects.Engine != nil {
		k := &nodesKit{Nodes: nodes.New(s, site, nodes.LookOften), subjects: subjects, members: proc.NodeNames(nodeCount)}
		k.Nodes.Notified = k.notified
		defer k.close()
		s.Take(k.phases()...)
		k.conclude()
		k.close()
		left = k.Leaks
	} else {
		lacking(s, "no nodes, links and engine were passed to the kit", "nodes", "nodes_recovery", "nodes_faults",
			"nodes_answers")
		if subjects.Workers == nil {
			lacking(s, "neither workers nor nodes were passed to the kit", "cascades")
		}
	}
	if subjects.Links != nil {
		s.Take((&linksKit{s, subjects.Links}).phases()...)
	} else {
		lacking(s, "no links were passed to the kit", "links")
	}
	if !s.Aborted {
		s.Audit(left)
	}
}

type phase = scenario.Phase

// prepare begins to prepare the explore phase; nil if there is none.
func prepare(t *testing.T, s *scenario.Scenario, subjects Subjects, parts []programs.Part) *programs.Phase {
	if len(parts) == 0 {
		lacking(s, "neither an engine nor workers were passed to the kit", "explored")
		return nil
	}
	return programs.Prepare(s, parts, packages(t, subjects))
}

// lacking says of criteria what was not passed to the kit.
func lacking(s *scenario.Scenario, why string, criteria ...string) {
	for _, c := range criteria {
		s.NotOffered(c, why)
	}
}
