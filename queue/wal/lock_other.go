//go:build !unix

package wal

import (
	"errors"
	"fmt"
	"io"
)

// Lock implements FS: there is no lock here that ends with the process.
func (System) Lock(path string) (io.Closer, error) {
	return nil, fmt.Errorf("lock %s: %w", path, errors.ErrUnsupported)
}
