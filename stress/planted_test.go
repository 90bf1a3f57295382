package stress_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"tensile/stress"
)

// plantedVariable names the fault that a re-executed test binary plants in its
// subjects.
const plantedVariable = "TENSILE_PLANTED"

// TestPlantedBugs shows that the kits can fail: each fault must fail its kit
// with a message that names it.
func TestPlantedBugs(t *testing.T) {
	if testing.Short() {
		t.Skip("each fault takes a process of its own")
	}
	for _, c := range []struct{ fault, kit, says string }{
		{"one too many", "TestStressPool", "connections are open in a pool of size"},
		{"two users", "TestStressPool", "hold the same connection"},
		{"leaks on time-out", "TestStressPool", "capacity has leaked"},
		{"returns broken", "TestStressPool", "discarded as broken"},
		{"out of order", "TestStressPool", "was served before waiter"},
		{"drops one in 100,000", "TestStressRouter", "lost"},
		{"doubles one", "TestStressRouter", "duplicated"},
		{"swaps two", "TestStressRouter", "reordered"},
		{"wrong name", "TestStressRouter", "misrouted"},
		{"loses at unregister", "TestStressRouter", "neither delivered nor refused"},
		{"panic stops the rest", "TestStressRouter", "other names got nothing"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			child := exec.Command(os.Args[0], "-test.run=^"+c.kit+"$", "-test.v")
			child.Env = append(os.Environ(), plantedVariable+"="+c.fault, "STRESS_SCALE=2000", "STRESS_OUT="+t.TempDir())
			out, err := child.CombinedOutput()
			assert.Error(t, err, "the kit passed")
			assert.Contains(t, string(out), c.says)
		})
	}
}

var planted = os.Getenv(plantedVariable)

// faultyPool is a sound pool with a fault on top.
type faultyPool struct {
	stress.Pool
	calls atomic.Int64

	mu   sync.Mutex
	last stress.Lease
	line []chan struct{} // waiters, served from the wrong end
	free int
}

func plantInPool(p stress.Pool, cfg stress.PoolConfig) stress.Pool {
	return &faultyPool{Pool: p, free: cfg.Size}
}

type faultyLease struct {
	stress.Lease
	p *faultyPool
}

func (p *faultyPool) Acquire(ctx context.Context) (stress.Lease, error) {
	switch planted {
	case "two users":
		p.mu.Lock()
		last := p.last
		p.mu.Unlock()
		if p.calls.Add(1)%50 == 0 && last != nil {
			return sharedLease{last}, nil
		}
	case "out of order":
		p.mu.Lock()
		if p.free == 0 {
			turn := make(chan struct{})
			p.line = append(p.line, turn)
			p.mu.Unlock()
			select {
			case <-turn:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		} else {
			p.free--
			p.mu.Unlock()
		}
	}
	l, err := p.Pool.Acquire(ctx)
	if err != nil {
		if planted == "leaks on time-out" {
			// What it would have been served never comes back.
			go func() { _, _ = p.Pool.Acquire(context.Background()) }()
		}
		return nil, err
	}
	p.mu.Lock()
	p.last = l
	p.mu.Unlock()
	return faultyLease{l, p}, nil
}

func (l faultyLease) Release() {
	l.p.mu.Lock()
	l.p.last = nil
	l.p.mu.Unlock()
	l.Lease.Release()
	if planted == "out of order" {
		l.p.mu.Lock()
		defer l.p.mu.Unlock()
		if n := len(l.p.line); n > 0 {
			close(l.p.line[n-1])
			l.p.line = l.p.line[:n-1]
		} else {
			l.p.free++
		}
	}
}

func (l faultyLease) Discard() {
	if planted == "returns broken" {
		l.Lease.Release()
		return
	}
	l.Lease.Discard()
}

// sharedLease is a second loan of the same connection.
type sharedLease struct{ of stress.Lease }

func (l sharedLease) Conn() net.Conn { return l.of.Conn() }
func (l sharedLease) Release()       {}
func (l sharedLease) Discard()       {}

// faultyRouter is a sound router with a fault on top.
type faultyRouter struct {
	stress.Router
	sends atomic.Int64
	mu    sync.Mutex
	held  *stress.Message // the one to be swapped
	heldN string
	gone  sync.Map // names unregistered
	stop  atomic.Bool
}

func (r *faultyRouter) Register(name string, handle func(stress.Message)) error {
	r.gone.Delete(name)
	return r.Router.Register(name, func(m stress.Message) {
		if planted == "loses at unregister" {
			if _, gone := r.gone.Load(name); gone {
				return
			}
		}
		if planted == "panic stops the rest" {
			if r.stop.Load() {
				return
			}
			defer func() {
				if value := recover(); value != nil {
					r.stop.Store(true)
				}
			}()
		}
		handle(m)
	})
}

func (r *faultyRouter) Unregister(name string) error {
	if err := r.Router.Unregister(name); err != nil {
		return err
	}
	r.gone.Store(name, true)
	return nil
}

func (r *faultyRouter) Send(name string, m stress.Message) error {
	n := r.sends.Add(1)
	switch {
	case planted == "drops one in 100,000" && n%100_000 == 0:
		return nil
	case planted == "doubles one" && n == 5_000:
		if err := r.Router.Send(name, m); err != nil {
			return err
		}
		_ = r.Router.Send(name, m)
		return nil
	case planted == "wrong name" && n == 5_000:
		if r.Router.Send("name-1", m) == nil {
			return nil
		}
	case planted == "swaps two":
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.held == nil && n%5_000 == 0 {
			r.held, r.heldN = &m, name
			return nil
		}
		err := r.Router.Send(name, m)
		if r.held != nil && r.heldN == name && err == nil {
			for r.Router.Send(name, *r.held) != nil {
			}
			r.held = nil
		}
		return err
	}
	return r.Router.Send(name, m)
}
