package stress_test

import (
	"testing"

	"tensile/registry"
	"tensile/stress/routertest"
)

func TestStressRouter(t *testing.T) { routertest.TestRouter(t, openRouter) }

func BenchmarkRouter(b *testing.B) { routertest.BenchmarkRouter(b, openRouter) }

// subjectRouter is package registry behind the interface of the kit.
type subjectRouter struct {
	*registry.Registry[routertest.Message]
}

func openRouter(tb testing.TB, cfg routertest.Config) routertest.Router {
	r, err := registry.New[routertest.Message](registry.Config{
		Mailbox: cfg.Mailbox,
		OnPanic: func(string, any, []byte) {}, // the kit's own, on purpose
	})
	if err != nil {
		tb.Fatal(err)
	}
	return subjectRouter{r}
}

// Outlasts says that a handler may call runtime.Goexit.
func (subjectRouter) Outlasts() {}

func (subjectRouter) Errors() routertest.Errors {
	return routertest.Errors{
		Unknown: registry.ErrUnknown, Taken: registry.ErrTaken, Full: registry.ErrFull, Closed: registry.ErrClosed,
	}
}
