package stress_test

import (
	"strings"
	"testing"

	"tensile/registry"
	"tensile/stress"
)

func TestStressRouter(t *testing.T) { stress.TestRouter(t, openRouter) }

func BenchmarkRouter(b *testing.B) { stress.BenchmarkRouter(b, openRouter) }

// subjectRouter is package registry behind the interface of the kit.
type subjectRouter struct {
	*registry.Registry[stress.Message]
}

func openRouter(tb testing.TB, cfg stress.RouterConfig) stress.Router {
	if strings.HasPrefix(planted, sneaky) {
		return newSneakyRouter(cfg)
	}
	r, err := registry.New[stress.Message](registry.Config{
		Mailbox: cfg.Mailbox,
		OnPanic: func(string, any, []byte) {}, // the kit's own, on purpose
	})
	if err != nil {
		tb.Fatal(err)
	}
	if planted != "" {
		return &faultyRouter{Router: subjectRouter{r}}
	}
	return subjectRouter{r}
}

func (subjectRouter) Errors() stress.RouterErrors {
	return stress.RouterErrors{
		Unknown: registry.ErrUnknown, Taken: registry.ErrTaken, Full: registry.ErrFull, Closed: registry.ErrClosed,
	}
}
