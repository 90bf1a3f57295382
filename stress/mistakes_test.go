package stress_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"tensile/stress/chaostest"
	"tensile/stress/clustertest"
	"tensile/stress/node"
	"tensile/stress/pooltest"
	"tensile/stress/queuetest"
	"tensile/stress/routertest"
)

// mistakes are of those who use the kits, and not of their subjects.
var mistakes = map[string]struct {
	make func(*testing.T)
	says string
}{
	"no pool": {func(t *testing.T) {
		pooltest.TestPool(t, func(testing.TB, pooltest.Config) pooltest.Pool { return nil })
	}, "pooling: there is no subject: the function that was passed to the kit returned nil"},
	"no router": {func(t *testing.T) {
		routertest.TestRouter(t, func(testing.TB, routertest.Config) routertest.Router { return nil })
	}, "routing: there is no subject"},
	"no broker": {func(t *testing.T) {
		queuetest.TestBroker(t, func(testing.TB, queuetest.Config) queuetest.Broker { return nil })
	}, "queueing: there is no subject"},
	"no workers": {func(t *testing.T) {
		chaostest.TestWorkers(t, func(testing.TB, chaostest.WorkersConfig) chaostest.Workers { return nil })
	}, "chaos: there is no subject"},
	"no engine": {func(t *testing.T) {
		chaostest.TestChaos(t, chaostest.Subjects{Engine: func(testing.TB) chaostest.Engine { return nil }})
	}, "chaos: there is no subject"},
	"nothing at all": {func(t *testing.T) {
		chaostest.TestChaos(t, chaostest.Subjects{})
	}, "chaos: there is no subject"},
	"panic in a child": {func(t *testing.T) {
		clustertest.TestCluster(t, func(testing.TB, node.Config) (node.Node, error) { panic("where is it?") })
	}, "what the child processes print: "},
	"nameless errors": {func(t *testing.T) {
		routertest.TestRouter(t, func(tb testing.TB, cfg routertest.Config) routertest.Router {
			return namelessRouter{openRouter(tb, cfg)}
		})
	}, "routing.errors: Errors has none for Full: the kit could not tell it from another"},
}

type namelessRouter struct{ routertest.Router }

func (r namelessRouter) Errors() routertest.Errors {
	e := r.Router.Errors()
	e.Full = nil
	return e
}

// TestMistakes shows that a kit says what is wrong with its use, and does not
// crash of it.
func TestMistakes(t *testing.T) {
	if m, ok := mistakes[planted]; ok {
		m.make(t)
		return
	}
	var faults []fault
	for name, m := range mistakes {
		faults = append(faults, fault{name, m.says})
	}
	mustBeCaught(t, "TestMistakes", faults)
}

// TestOneKitAtATime runs two at once in a process of their own.
func TestOneKitAtATime(t *testing.T) {
	if planted == "two at once" {
		for range 2 {
			t.Run("kit", func(t *testing.T) {
				t.Parallel()
				routertest.TestRouter(t, openRouter)
			})
		}
		return
	}
	if testing.Short() {
		t.Skip("takes a process of its own")
	}
	said, err := runKitWith(unexplored, "TestOneKitAtATime", plantedVariable+"=two at once", "STRESS_SCALE=2000",
		"STRESS_OUT="+t.TempDir())
	assert.Error(t, err)
	assert.Contains(t, said, "another kit is at work in this process")
}

// TestKitLeavesNoGoroutine that a user would find who looks for leaks: none of
// the subject, and none of the kit.
func TestKitLeavesNoGoroutine(t *testing.T) {
	if planted == "nothing" {
		before := goleak.IgnoreCurrent()
		t.Run("kit", func(t *testing.T) { routertest.TestRouter(t, openRouter) })
		goleak.VerifyNone(t, before)
		return
	}
	if testing.Short() {
		t.Skip("takes a process of its own")
	}
	said, err := runKit("TestKitLeavesNoGoroutine", plantedVariable+"=nothing", "STRESS_SCALE=2000",
		"STRESS_OUT="+t.TempDir())
	assert.NoError(t, err, said)
}
