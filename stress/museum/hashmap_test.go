package museum

import (
	"testing"

	"tensile/stress/routertest"
)

func hashmapNames(t *testing.T) {
	routertest.TestRouter(t, func(_ testing.TB, cfg routertest.Config) routertest.Router {
		return newRouter(cfg, newHashmap(), nil)
	})
}
