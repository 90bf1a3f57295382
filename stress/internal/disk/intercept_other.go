//go:build !linux || !(amd64 || arm64)

package disk

// Intercept is not supported here.
func Intercept() (*Syncs, error) { return nil, ErrUnsupported }
