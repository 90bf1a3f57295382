//go:build !linux || !amd64

package clock

import "time"

// Back is not supported here.
func Back(time.Duration) error { return ErrUnsupported }
