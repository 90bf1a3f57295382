package museum

import (
	"testing"

	"tensile/stress"
)

func hashmapNames(t *testing.T) {
	stress.TestRouter(t, func(_ testing.TB, cfg stress.RouterConfig) stress.Router {
		return newRouter(cfg, newHashmap(), nil)
	})
}
