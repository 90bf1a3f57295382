package router_test

import (
	"testing"

	"example.com/yours/router"

	"tensile/stress"
)

func TestMain(m *testing.M) { stress.Main(m) }

func TestStressRouter(t *testing.T) { stress.TestRouter(t, open) }

func BenchmarkRouter(b *testing.B) { stress.BenchmarkRouter(b, open) }

func open(_ testing.TB, cfg stress.RouterConfig) stress.Router {
	return subject{router.New[stress.Message](cfg.Mailbox)}
}

// subject is the router as the kit calls it: it says which error is which, and
// the rest is there.
type subject struct {
	*router.Router[stress.Message]
}

func (subject) Errors() stress.RouterErrors {
	return stress.RouterErrors{
		Unknown: router.ErrUnknown, Taken: router.ErrTaken, Full: router.ErrFull, Closed: router.ErrClosed,
	}
}
