package stress_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/routertest"
)

func TestPlantedRouters(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaught(t, "TestFaultyRouter", []fault{
		{"drops one in 100,000", "lost"},
		{"doubles one", "duplicated"},
		{"swaps two", "reordered"},
		{"wrong name", "misrouted"},
		{"loses at unregister", "neither delivered nor refused"},
		{"panic stops the rest", "other names got nothing"},
		{"panic loses what waits", "other names got nothing"},
		{"loses a registration", "of 8 registrations of one name at the same time succeeded"},
	})
}

// TestFaultyRouter is the kit over a router with the fault that is planted.
func TestFaultyRouter(t *testing.T) {
	skipUnlessPlanted(t)
	routertest.TestRouter(t, openFaultyRouter)
}

func openFaultyRouter(tb testing.TB, cfg routertest.Config) routertest.Router {
	if strings.HasPrefix(planted, sneaky) {
		return newSneakyRouter(cfg)
	}
	return &faultyRouter{Router: openRouter(tb, cfg)}
}

// faultyRouter is a sound router with a fault on top.
type faultyRouter struct {
	routertest.Router
	sends, delivered    atomic.Int64
	mu                  sync.Mutex
	held                *routertest.Message // the one to be swapped
	gone                sync.Map            // names unregistered
	stop                atomic.Bool
	inside, registering atomic.Int64
}

func (r *faultyRouter) Register(name string, handle func(routertest.Message)) error {
	r.gone.Delete(name)
	if planted == "loses a registration" {
		defer r.registering.Add(-1)
		if r.registering.Add(1) > 1 {
			return nil
		}
		time.Sleep(time.Microsecond)
	}
	return r.Router.Register(name, func(m routertest.Message) {
		if planted == "loses at unregister" {
			if _, gone := r.gone.Load(name); gone {
				return
			}
		}
		if planted == "drops one in 100,000" && r.delivered.Add(1)%100_000 == 0 {
			return
		}
		if planted == "panic loses what waits" && name == "panics" {
			r.inside.Add(1)
			defer r.inside.Add(-1)
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
	if planted == "loses at unregister" {
		r.gone.Store(name, true)
	}
	return nil
}

func (r *faultyRouter) Send(name string, m routertest.Message) error {
	n := r.sends.Add(1)
	switch {
	case planted == "panic loses what waits" && r.inside.Load() > 0:
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
		// The first of several in a row that one sender has for a name.
		if r.held == nil && n >= 5_000 && m.ID > 0 && m.ID%4 == 0 {
			r.held = &m
			return nil
		}
		err := r.Router.Send(name, m)
		if r.held != nil && m.ID == r.held.ID+1 && err == nil {
			for errors.Is(r.Router.Send(name, *r.held), r.Errors().Full) {
			}
			r.held = nil
		}
		return err
	}
	return r.Router.Send(name, m)
}
