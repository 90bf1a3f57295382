package stress_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/chaos"
	"tensile/stress/chaostest"
	"tensile/stress/node"
)

func TestPlantedWorkers(t *testing.T) {
	t.Parallel()
	mustBeCaught(t, "TestChaosOfWorkers", []fault{
		{"restarts 999 of 1,000", "others and does not serve again"},
		{"restarts one that was not hit", "chaos.cascades: after 100 of 1000"},
		{"restarts all when one dies", "was restarted 1 times, and nothing was done to it"},
		{"loses work of others", "was answered as handled and was not"},
		{"refuses work of others", "which was not hit, returned"},
		{"handles one twice", "was handled 2 times"},
		{"restarts a crash loop for ever", "nothing stops the crash loop"},
		{"waits for ever for one that hangs", "hangs over an operation and was not replaced"},
		{"answers a death as handled", "was answered as handled"},
		{"holds up everybody after a death", "operations of workers that were not hit took up to"},
		{"swallows the handler's error", "the handler's error"},
		{"leaves workers behind", "left behind"},
	})
	mustBeCaught(t, "TestChaosOfWorkers",
		[]fault{{"restarts slowly", "although no operation of the others took more than"}}, "STRESS_PATIENCE=10s")
}

// TestPlantedSlowWorkers is for a time that is judged beside a control.
func TestPlantedSlowWorkers(t *testing.T) {
	unhurried(t)
	mustBeFoundSlow(t, "TestChaosOfWorkers$/^workers: a tenth dies$", slowPlant+"restarts", "recovery")
}

func TestPlantedEngines(t *testing.T) {
	t.Parallel()
	mustBeCaught(t, "TestChaosOfEngine", []fault{
		{"lets a twelfth more go", "hit at once, the bound is"},
		{"plans a twelfth more", "targets at once, the bound is"},
		{"plans by the clock", "two plans from seed"},
		{"always plans the same", "seeds give the same plan"},
		{"dry run hides a target", "the dry run does not show"},
		{"leaves a target hit", "are still hit"},
		{"undoes twice", "faults were undone more than once"},
		{"does not ask first", "although the steady state did not hold"},
		{"does not ask afterwards", "did not return after the faults"},
		{"skips what exceeds the bound", "and no error says so"},
	})
}

func TestPlantedChaosNodes(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaughtWaiting(t, "TestChaosOfNodes", []fault{
		{"cuts nothing", "the fault did nothing"},
		{"does not heal", "the steady state has not returned"},
		{"does not delay", "a call took only"},
		{"fails to strike", "does not serve"},
		{"answers another call", "and not the reply to its request"},
		{"calls a healthy node dead", "as failed"},
		{"does not take a node back", "as failed"},
	}, "STRESS_PATIENCE=6s", whole)
}

func TestPlantedLinks(t *testing.T) {
	t.Parallel()
	mustBeCaught(t, "TestChaosOfLinks", []fault{
		{"cuts nothing", "bytes passed from"},
		{"does not heal", "after it was undone"},
		{"does not delay", "a piece took"},
		{"fails to strike", "Inject returned"},
	})
}

// The parts of the scenario, each with the fault that is planted.

func TestChaosOfWorkers(t *testing.T) {
	skipUnlessPlanted(t)
	chaostest.TestChaos(t, chaostest.Subjects{Workers: openFaultyWorkers})
}

func TestChaosOfEngine(t *testing.T) {
	skipUnlessPlanted(t)
	chaostest.TestChaos(t, chaostest.Subjects{Engine: func(testing.TB) chaostest.Engine { return faultyEngine{} }})
}

func TestChaosOfLinks(t *testing.T) {
	skipUnlessPlanted(t)
	chaostest.TestChaos(t, chaostest.Subjects{Engine: openEngine, Links: openFaultyLinks})
}

func TestChaosOfNodes(t *testing.T) {
	skipUnlessPlanted(t)
	chaostest.TestChaos(t, chaostest.Subjects{Engine: openEngine, Nodes: startShakyNode, Links: openFaultyLinks})
}

// faultyWorkers are sound workers with a fault on top.
type faultyWorkers struct {
	subjectWorkers
	operations, deaths atomic.Int64
	refuse             atomic.Int64 // operations that are still to be refused, or lost
	mu                 sync.Mutex
	mute               map[int]time.Time // until when a worker does not serve
	all                sync.RWMutex      // held by what holds up everybody
}

func openFaultyWorkers(tb testing.TB, cfg chaostest.WorkersConfig) chaostest.Workers {
	switch planted {
	case "restarts a crash loop for ever":
		cfg.Restarts = 1 << 30
	case "waits for ever for one that hangs":
		cfg.Hung = 0
	}
	sound := openWorkers(tb, cfg).(subjectWorkers)
	return &faultyWorkers{subjectWorkers: sound, mute: make(map[int]time.Time)}
}

var errMute = errors.New("does not serve")

func (f *faultyWorkers) Do(ctx context.Context, worker int, op uint64) error {
	f.all.RLock()
	f.mu.Lock()
	until, muted := f.mute[worker]
	f.mu.Unlock()
	f.all.RUnlock()
	if muted && time.Now().Before(until) {
		return errMute
	}
	n := f.operations.Add(1)
	if op>>56 == 0 && f.refuse.Load() > 0 && !muted && f.refuse.Add(-1) >= 0 {
		if planted == "loses work of others" {
			return nil
		}
		return errMute
	}
	err := f.subjectWorkers.Do(ctx, worker, op)
	if err != nil && planted == "swallows the handler's error" && !errors.Is(err, chaos.ErrCrashed) {
		return nil
	}
	if planted == "handles one twice" && n%5000 == 0 {
		return f.subjectWorkers.Do(ctx, worker, op)
	}
	if errors.Is(err, chaos.ErrCrashed) {
		return f.died(ctx, worker, err)
	}
	return err
}

// slowRestart is how long a planted worker that died does not serve.
const slowRestart = 400 * time.Millisecond

// died is called after each death, with what is to be answered.
func (f *faultyWorkers) died(ctx context.Context, worker int, err error) error {
	n := f.deaths.Add(1)
	switch planted {
	case "restarts 999 of 1,000":
		if n == 57 {
			f.silence(worker, time.Hour)
		}
	case "restarts slowly":
		if n == 57 { // of many that die at once
			f.silence(worker, 8*time.Second)
		}
	case slowPlant + "restarts":
		f.silence(worker, slowRestart)
	case "restarts one that was not hit":
		if n == 57 {
			f.harm(ctx, (worker+1)%1000)
		}
	case "restarts all when one dies":
		for i := 0; f.harm(ctx, i); i++ {
		}
	case "loses work of others", "refuses work of others":
		f.silence(worker, 0) // not one that was hit
		if n > 10 {          // before there are but a few workers
			f.refuse.Store(1)
		}
	case "answers a death as handled":
		return nil
	case "holds up everybody after a death":
		if n == 10 {
			f.all.Lock()
			time.Sleep(6 * time.Second)
			f.all.Unlock()
		}
	}
	return err
}

func (f *faultyWorkers) silence(worker int, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mute[worker] = time.Now().Add(d)
}

// harm restarts a worker, and tells whether it exists.
func (f *faultyWorkers) harm(ctx context.Context, worker int) bool {
	_, err := f.Injectors()[chaos.Panic](ctx, strconv.Itoa(worker))
	return err == nil
}

func (f *faultyWorkers) Close() error {
	if planted == "leaves workers behind" {
		return nil
	}
	return f.subjectWorkers.Close()
}

// faultyEngine is a sound engine with a fault on top.
type faultyEngine struct{ subjectEngine }

func (f faultyEngine) Plan(s chaostest.Spec) ([]chaostest.Step, error) {
	switch planted {
	case "plans a twelfth more":
		s.Bound++
	case "plans by the clock":
		s.Seed = uint64(time.Now().UnixNano())
	case "always plans the same":
		s.Seed, s.Bound = 1, 1
	}
	return f.subjectEngine.Plan(s)
}

func (f faultyEngine) DryRun(steps []chaostest.Step) string {
	if planted == "dry run hides a target" {
		steps = steps[1:]
	}
	return f.subjectEngine.DryRun(steps)
}

func (f faultyEngine) Run(ctx context.Context, bound int, steps []chaostest.Step, world chaostest.World) error {
	inject, steady := world.Inject, world.Steady
	switch planted {
	case "lets a twelfth more go":
		return f.unguarded(ctx, bound+1, steps, world)
	case "skips what exceeds the bound":
		return f.unguarded(ctx, bound, steps, world)
	case "leaves a target hit":
		world.Inject = func(fault, target string) (func() error, error) {
			undo, err := inject(fault, target)
			if target == "node-1" {
				undo = nil
			}
			return undo, err
		}
	case "undoes twice":
		world.Inject = func(fault, target string) (func() error, error) {
			undo, err := inject(fault, target)
			return func() error { return errors.Join(undo(), undo()) }, err
		}
	case "does not ask first":
		world.Steady = func(context.Context) error { return nil }
	case "does not ask afterwards":
		world.Steady = func(ctx context.Context) error {
			if err := steady(ctx); err == nil || ctx.Err() != nil {
				return err
			}
			return nil
		}
		if steady(ctx) != nil {
			return errMute
		}
	}
	return f.subjectEngine.Run(ctx, bound, steps, world)
}

// unguarded carries out what its bound allows, and leaves out the rest.
func (f faultyEngine) unguarded(ctx context.Context, bound int, steps []chaostest.Step, world chaostest.World) error {
	var allowed []chaostest.Step
	for _, s := range steps {
		hit := map[string]bool{s.Target: true}
		for _, o := range allowed {
			if s.At < o.At+o.For {
				hit[o.Target] = true
			}
		}
		if len(hit) <= bound {
			allowed = append(allowed, s)
		}
	}
	return f.subjectEngine.Run(ctx, max(bound, len(allowed)), allowed, world)
}

// faultyLinks are sound links with a fault on top.
type faultyLinks struct{ chaostest.Links }

func openFaultyLinks(tb testing.TB, cfg chaostest.LinksConfig) chaostest.Links {
	if planted == "does not delay" {
		cfg.Delay = time.Microsecond
	}
	return faultyLinks{openLinks(tb, cfg)}
}

func (l faultyLinks) Inject(fault, node string) (func() error, error) {
	nothing := func() error { return nil }
	switch planted {
	case "cuts nothing":
		return nothing, nil
	case "does not heal":
		_, err := l.Links.Inject(fault, node)
		return nothing, err
	case "fails to strike":
		return nil, errMute
	}
	return l.Links.Inject(fault, node)
}

// shakyNode is a sound node with a fault on top, for the chaos kit.
type shakyNode struct {
	node.Node
	calls  atomic.Int64
	mu     sync.Mutex
	failed map[string]bool
	last   []byte
}

func startShakyNode(tb testing.TB, cfg node.Config) (node.Node, error) {
	n, err := startNode(tb, cfg)
	if err != nil {
		return nil, err
	}
	return &shakyNode{Node: n, failed: make(map[string]bool)}, nil
}

func (f *shakyNode) Call(to string, request []byte, done func([]byte, error)) {
	f.Node.Call(to, request, func(reply []byte, err error) {
		f.mu.Lock()
		last := f.last
		f.last = bytes.Clone(reply)
		f.mu.Unlock()
		if planted == "answers another call" && err == nil && last != nil && f.calls.Add(1)%100 == 0 {
			reply = last
		}
		done(reply, err)
	})
}

func (f *shakyNode) Close() error {
	if planted == "leaves a goroutine" {
		go func() { select {} }()
	}
	return f.Node.Close()
}

func (f *shakyNode) Members() []node.Member {
	if planted == "knows nobody" {
		return nil
	}
	all := f.Node.Members()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range all {
		if m.State == node.Failed {
			f.failed[m.Name] = true
		}
	}
	for i, m := range all {
		switch {
		case planted == "does not take a node back" && f.failed[m.Name],
			planted == "calls a healthy node dead" && len(f.failed) > 0 && !f.failed[m.Name]:
			all[i].State = node.Failed
		}
	}
	return all
}
