package router_test

import (
	"testing"

	"example.com/yours/router"

	"tensile/stress"
	"tensile/stress/routertest"
)

func TestMain(m *testing.M) { stress.Main(m) }

func TestStressRouter(t *testing.T) { routertest.TestRouter(t, open) }

func BenchmarkRouter(b *testing.B) { routertest.BenchmarkRouter(b, open) }

func open(_ testing.TB, cfg routertest.Config) routertest.Router {
	return subject{router.New[routertest.Message](cfg.Mailbox)}
}

// subject adapts the router to the kit. It only says which error is which; the router has
// the other methods.
type subject struct {
	*router.Router[routertest.Message]
}

func (subject) Errors() routertest.Errors {
	return routertest.Errors{
		Unknown: router.ErrUnknown, Taken: router.ErrTaken, Full: router.ErrFull, Closed: router.ErrClosed,
	}
}
