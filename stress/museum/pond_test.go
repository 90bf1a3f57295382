package museum

import (
	"testing"

	"github.com/alitto/pond/v2"

	"tensile/stress/routertest"
)

func pondTasks(t *testing.T) {
	routertest.TestRouter(t, func(_ testing.TB, cfg routertest.Config) routertest.Router {
		p := pond.NewPool(128, pond.WithQueueSize(1))
		return pondRouter{newRouter(cfg, nil, func(task func()) { _ = p.Go(task) }), p}
	})
}

// pondRouter stops the pool with its router.
type pondRouter struct {
	*router
	pool pond.Pool
}

func (r pondRouter) Close() error {
	err := r.router.Close()
	r.pool.StopAndWait()
	return err
}
