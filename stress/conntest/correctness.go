package conntest

import (
	"context"
	"math"
	"net"
	"runtime"
	"testing"

	"tensile/stress/internal/exchange"
	"tensile/stress/internal/pipe"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/measure"
	"tensile/stress/report"
)

// few is how many connections are enough to see that a server is correct.
const few = 64

// answers asks for each kind of server, and puts those that are offered to the
// test with few connections, in this process.
func (k *kit) answers(ctx context.Context, t *testing.T) {
	for _, d := range allKinds() {
		if n := len(k.kinds); d.Network == networkTCP && n > 0 && k.kinds[n-1].Network == networkTCP {
			continue // one kind over TCP is enough
		}
		baseline := measure.TakeBaseline()
		subject := k.open(t, d.Config)
		if subject == nil {
			continue
		}
		k.kinds = append(k.kinds, d)
		k.Record(func(r *report.Scenario) { r.Subject = scenario.TypeName(subject) })
		l, dial, err := listenFew(d.Network)
		if err != nil {
			k.Fail("memory: %v", err)
			return
		}
		before := runtime.NumGoroutine()
		callers := exchange.NewCallers(0, few, scenario.Settle)
		server := serve(subject, l)
		if err := callers.Connect(ctx, few, dial); err != nil {
			k.Fault("%s: %v", d.name, err)
		}
		callers.Touch(ctx, few, 0) // now each has been accepted
		wait.AtRest(ctx)
		connected := runtime.NumGoroutine()
		d.goroutines = math.Round(2*float64(connected-before)/few) / 2
		callers.Touch(ctx, 5*few, 0)
		if callers.Account().Faults() == 0 && k.steadyGoroutines(ctx, d, connected) {
			if err := callers.Fragments(ctx); err != nil {
				k.Violate("fragments", "%s: %v", d.name, err)
			}
			k.hangUp(ctx, d, callers)
		}
		k.closeFew(ctx, d, server, callers, baseline)
		k.book(d.name, callers.Account())
	}
	if len(k.kinds) == 0 {
		k.Fault("open returned no server at all")
	}
}

// listenFew listens in this process, and says how to call.
func listenFew(network string) (net.Listener, func(context.Context, int) (net.Conn, error), error) {
	if network == networkMemory {
		l := pipe.Listen()
		return l, func(context.Context, int) (net.Conn, error) { return l.Dial() }, nil
	}
	l, err := listenTCP(nil)
	if err != nil {
		return nil, nil, err
	}
	return l, func(ctx context.Context, _ int) (net.Conn, error) {
		return (&net.Dialer{Timeout: scenario.Settle}).DialContext(ctx, "tcp", l.Addr().String())
	}, nil
}

// steadyGoroutines waits until there are no more goroutines than when the
// connections were opened, or for each of them half a one more.
func (k *kit) steadyGoroutines(ctx context.Context, d *kind, connected int) bool {
	if wait.Until(ctx, scenario.Settle, func() bool { return runtime.NumGoroutine() <= connected+few/2 }) {
		return true
	}
	k.Violate("growth", "%s: when %d connections were open there were %d goroutines, and after five more requests on "+
		"each of them %d",
		d.name, few, connected, runtime.NumGoroutine())
	return false
}

// hangUp closes half of the connections from the calling side: what the server
// holds for them must go, and the others must not notice.
func (k *kit) hangUp(ctx context.Context, d *kind, callers *exchange.Callers) {
	before := measure.ReadHolding()
	callers.HangUp(few / 2)
	goroutinesOf, descriptorsOf := int(d.goroutines*few/2), 0
	if d.Network == networkTCP && before.Descriptors != nil {
		descriptorsOf = 2 * few / 2 // both ends are in this process
	}
	goroutines, descriptors := 0, 0
	if !wait.Until(ctx, scenario.Settle, func() bool {
		now := measure.ReadHolding()
		goroutines = now.Goroutines - (before.Goroutines - goroutinesOf)
		if descriptorsOf > 0 {
			descriptors = *now.Descriptors - (*before.Descriptors - descriptorsOf)
		}
		return goroutines <= 0 && descriptors <= 0
	}) {
		k.Violate("close", "%s: %d of %d callers hung up, and %v later there are still %d goroutines and %d descriptors "+
			"for them",
			d.name, few/2, few, scenario.Settle, max(goroutines, 0), max(descriptors, 0))
		return
	}
	callers.Touch(ctx, few, 0)
}

// closeFew closes the server: all connections must end, and everything must go.
func (k *kit) closeFew(
	ctx context.Context, d *kind, server *served, callers *exchange.Callers, baseline measure.Baseline,
) {
	if err := server.close(); err != nil {
		k.Violate("close", "%s: %v", d.name, err)
		callers.Close()
		return
	}
	callers.Finish(ctx)
	ctx, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	if l := baseline.Leaks(ctx); !l.None() {
		k.Violate("close", "%s: after Close %s", d.name, l)
	}
}
